//! The promise of coverage by simulation, and what is refused.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use proptest::prelude::*;

use super::*;

/// Rows of three classes from a generator: probabilities of a model that is far too sure, and labels that are 0 in half of the rows.
fn drawn(generator: &mut ChaCha8Rng, rows: usize) -> (ClassProbabilities, Vec<usize>) {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let label = [0, 0, 1, 2][generator.random_range(0..4)];
        let mut row: Vec<f64> = (0..3).map(|_| (4.0 * generator.random::<f64>()).exp()).collect();
        row[label] *= 3.0;
        let sum: f64 = row.iter().sum();
        values.extend(row.iter().map(|value| value / sum));
        labels.push(label);
    }
    (ClassProbabilities::new(rows, 3, values).unwrap(), labels)
}

/// The mean coverage of new rows over many fits, over all and of class 2.
fn simulated(
    score: ConformityScore,
    rows: usize,
    coverage: f64,
    per_class: bool,
    seed: Option<u64>,
) -> [f64; 2] {
    const FITS: usize = 400;
    let mut generator = ChaCha8Rng::seed_from_u64(7);
    let (mut all, mut last) = (Vec::new(), Vec::new());
    for fit in 0..FITS {
        let (probabilities, labels) = drawn(&mut generator, rows);
        let seed = seed.map(|seed| seed + fit as u64);
        let scores = ConformalScores::of(&probabilities, &labels, score, seed).unwrap();
        let (new, truth) = drawn(&mut generator, 50);
        let sets = scores
            .thresholds(coverage, per_class)
            .unwrap()
            .sets(&new)
            .unwrap();
        let scores = sets.scores(&truth).unwrap();
        all.push(scores.coverage);
        last.extend(scores.by_class[2].coverage);
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    [mean(&all), mean(&last)]
}

#[test]
fn the_coverage_is_that_of_the_promise_for_every_score() {
    // (n + 1) · 0.8 is a whole number for n = 39, so the promise is met as an equality but for ties. The mean of 400 fits × 50 rows has a
    // standard error of about √(0.16/20000 + 0.16/41/400) = 0.0042.
    for score in [ConformityScore::Lac, ConformityScore::Aps, ConformityScore::RAPS] {
        for seed in [None, Some(3)] {
            let [covered, _] = simulated(score, 39, 0.8, false, seed);
            assert!(
                (covered - 0.8).abs() < 0.0042 * 4.0,
                "{score:?}, {seed:?}: {covered}"
            );
        }
    }
}

#[test]
fn thresholds_by_class_hold_for_the_class() {
    let [_, overall] = simulated(ConformityScore::Lac, 159, 0.8, false, None);
    let [_, by_class] = simulated(ConformityScore::Lac, 159, 0.8, true, None);
    // Class 2 has some 40 rows: between 0.8 and 0.8 + 1/41, with a standard error of √(0.16/5000 + 0.16/41/400) = 0.0065 or so.
    assert!(
        (0.8 - 0.02..0.8 + 0.025 + 0.02).contains(&by_class),
        "{by_class} by class, {overall} overall"
    );
}

#[test]
fn too_few_rows_say_how_many_are_needed() {
    let probabilities = ClassProbabilities::new(20, 2, [0.75, 0.25].repeat(20)).unwrap();
    let mut labels = [0; 20];
    labels[19] = 1;
    let scores = ConformalScores::of(&probabilities, &labels, ConformityScore::Lac, None).unwrap();
    assert!(scores.thresholds(0.95, false).is_ok());
    let message = |coverage, per_class| scores.thresholds(coverage, per_class).unwrap_err().to_string();
    let text = message(0.96, false);
    assert!(
        text.contains("20 validation rows") && text.contains("24"),
        "{text}"
    );
    assert!(
        scores.thresholds(0.5, true).is_ok(),
        "one row is enough for a half"
    );
    let text = message(0.9, true);
    assert!(text.contains("class 1") && text.contains('9'), "{text}");
    assert!(message(1.0, false).contains("level is 1"));
}

#[test]
fn scores_go_through_json_and_lies_are_refused() {
    let (probabilities, labels) = drawn(&mut ChaCha8Rng::seed_from_u64(1), 30);
    let scores = ConformalScores::of(&probabilities, &labels, ConformityScore::RAPS, Some(5)).unwrap();
    let json = serde_json::to_value(&scores).unwrap();
    assert_eq!(
        serde_json::from_value::<ConformalScores>(json.clone()).unwrap(),
        scores
    );
    for (key, lie) in [
        ("by_class", serde_json::json!([[0.5]])),
        ("by_class", serde_json::json!([[0.5], ["a"]])),
        (
            "score",
            serde_json::json!({"score": "raps", "penalty": -1.0, "free": 1}),
        ),
    ] {
        let mut json = json.clone();
        json[key] = lie;
        assert!(serde_json::from_value::<ConformalScores>(json).is_err(), "{key}");
    }
}

#[test]
fn other_classes_are_refused() {
    let (probabilities, labels) = drawn(&mut ChaCha8Rng::seed_from_u64(1), 30);
    let scores = ConformalScores::of(&probabilities, &labels, ConformityScore::Aps, None).unwrap();
    let new = ClassProbabilities::new(1, 2, vec![0.5, 0.5]).unwrap();
    let error = scores.thresholds(0.5, false).unwrap().sets(&new).unwrap_err();
    assert!(
        matches!(
            error,
            EvalError::ClassCount {
                expected: 3,
                found: 2,
                ..
            }
        ),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the scores: of the rows of the fit itself, at least the stated share is covered, and fewer would be with the next
    /// smaller threshold.
    #[test]
    fn sets_grow_with_the_coverage_and_hold_the_rows_of_the_fit(
        seed in any::<u64>(), rows in 20_usize..60, coverage in 0.3_f64..0.9, which in 0_usize..3,
    ) {
        let score = [ConformityScore::Lac, ConformityScore::Aps, ConformityScore::RAPS][which];
        let (probabilities, labels) = drawn(&mut ChaCha8Rng::seed_from_u64(seed), rows);
        let scores = ConformalScores::of(&probabilities, &labels, score, None).unwrap();
        let sets = scores.thresholds(coverage, false).unwrap().sets(&probabilities).unwrap();
        let covered = sets.scores(&labels).unwrap().coverage;
        prop_assert!(covered + 1e-12 >= coverage, "{covered} of {coverage}");
        let larger = scores.thresholds(coverage + 0.05, false).unwrap().sets(&probabilities).unwrap();
        for (small, large) in sets.rows().zip(larger.rows()) {
            prop_assert!(small.iter().all(|class| large.contains(class)));
        }
    }
}
