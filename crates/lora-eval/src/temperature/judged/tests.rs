//! Each reason, by rows made for it; the gain and the regularized optimum by other ways through the code.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use crate::proper::NegativeLogLikelihood;
use crate::temperature::SMALLEST_FITTED_TEMPERATURE;

/// Rows of two classes with this gap between the logits; the first so many are labelled as predicted.
fn constant_gap(gap: f32, right: usize, n: usize) -> (Predictions, Vec<usize>) {
    let predictions = Predictions::new(1, n, 2, [gap, 0.0].repeat(n)).unwrap();
    (predictions, (0..n).map(|row| usize::from(row >= right)).collect())
}

fn judged(gap: f32, right: usize, n: usize) -> JudgedTemperature {
    let (predictions, labels) = constant_gap(gap, right, n);
    judge_temperature(&predictions, &labels, Average::Probabilities, 3).unwrap()
}

#[test]
fn every_reason_is_found_and_named() {
    let too_few = judged(4.0, 12, 19).outcome;
    assert!(
        too_few
            .to_string()
            .contains("19 rows are too few, give at least 20"),
        "{too_few}"
    );

    let all_right = judged(4.0, 30, 30).outcome;
    assert!(
        all_right.to_string().contains("all 30 rows are right"),
        "{all_right}"
    );

    // Labels swapped: 6 of 30 right. ln(1 + e⁻²) = 0.127, so the loss is (6 · 0.127 + 24 · 2.127) / 30.
    let swapped = judged(2.0, 6, 30).outcome;
    let text = swapped.to_string();
    assert!(
        text.contains("equal probabilities (20 % right, loss 1.727"),
        "{text}"
    );
    assert_eq!(swapped.temperature(), None);

    // Logits of 10,000, with one of 30 wrong: too sure for a double, and no reason to look for swapped labels.
    let huge = judged(1e4, 29, 30).outcome;
    assert!(
        !matches!(huge, TemperatureOutcome::WorseThanGuessing { .. }),
        "{huge}"
    );

    // Odds of 3 to 1 and three of four right: nothing to gain.
    let calibrated = judged(3.0_f32.ln(), 45, 60).outcome;
    // A fit without some of these rows is off by what they would have said.
    let text = calibrated.to_string();
    assert!(text.contains("it would raise the loss"), "{text}");
}

#[test]
fn one_wrong_row_among_many_sure_ones_is_no_reason_to_be_surer() {
    // 49 of 50 right at 90 %: the plain fit says odds of 49 to 1, T = 0.56.
    let (predictions, labels) = constant_gap(9.0_f32.ln(), 49, 50);
    let plain = super::super::fit_temperature(&predictions, &labels, Average::Probabilities).unwrap();
    assert!(plain.has_minimum && plain.temperature < 0.6);
    assert!(matches!(
        judged(9.0_f32.ln(), 49, 50).outcome,
        TemperatureOutcome::NoGain { .. }
    ));
}

#[test]
fn the_temperature_minimizes_loss_and_prior_and_the_gain_is_that_of_other_rows() {
    let (predictions, labels) = constant_gap(4.0, 45, 60);
    let found = judge_temperature(&predictions, &labels, Average::Probabilities, 3).unwrap();
    let TemperatureOutcome::Fitted {
        temperature,
        gain,
        gain_error,
        p_value,
    } = found.outcome
    else {
        panic!("{:?}", found.outcome);
    };
    let loss = |right: f64, wrong: f64, t: f64| {
        let penalty = (-4.0 / t).exp().ln_1p();
        right * penalty + wrong * (4.0 / t + penalty) + t.ln().powi(2) / (2.0 * PRIOR_DEVIATION.powi(2))
    };
    let minimum = |right: f64, wrong: f64| {
        let all = (0..40_000).map(|step| (f64::from(step) * 5e-5).exp());
        all.min_by(|left, right_t| loss(right, wrong, *left).total_cmp(&loss(right, wrong, *right_t)))
            .unwrap()
    };
    assert!((temperature - minimum(45.0, 15.0)).abs() < 3e-4, "{temperature}");
    // Parts of six rows each: of every part the temperature of the other 54.
    let parts = parts(60, 3);
    let mut expected = 0.0;
    for part in 0..FOLDS {
        let rows = (0..60).filter(|row| parts[*row] == part);
        let wrong = rows.filter(|row| labels[*row] == 1).count() as f64;
        let other = minimum(45.0 - (6.0 - wrong), 15.0 - wrong);
        let bare = |t: f64| loss(6.0 - wrong, wrong, t) - t.ln().powi(2) / (2.0 * PRIOR_DEVIATION.powi(2));
        expected += (bare(1.0) - bare(other)) / 60.0;
    }
    assert!((gain - expected).abs() < 1e-4, "{gain}, not {expected}");
    // p of being wrong is 1 / (1 + e⁴) = 0.018: 15 where 1.08 ± 1.03 are expected is far beyond chance.
    assert!(gain_error > 0.0 && p_value < 1e-6, "{p_value}");
    let mean: f64 = found.row_losses.iter().sum::<f64>() / 60.0;
    let mut at_one = NegativeLogLikelihood::new();
    let average = predictions.average(Average::Probabilities);
    average
        .rows()
        .zip(&labels)
        .for_each(|(row, label)| at_one.update(row, *label).unwrap());
    assert!((at_one.mean().unwrap() - gain - mean).abs() < 1e-12);
}

#[test]
fn labels_drawn_from_the_probabilities_look_contradictory_in_five_of_a_hundred() {
    // Ensembles of two members, three classes, 40 rows: how often does the test reject what is true?
    use rand::RngExt;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut rejected = 0;
    for _ in 0..1000 {
        let logits: Vec<f32> = (0..240).map(|_| rng.random_range(-3.0..3.0)).collect();
        let predictions = Predictions::new(2, 40, 3, logits).unwrap();
        let average = predictions.average(Average::Probabilities);
        let draw = |row: &[f64]| {
            let drawn: f64 = rng.random();
            usize::from(drawn > row[0]) + usize::from(drawn > row[0] + row[1])
        };
        let labels: Vec<usize> = average.rows().map(draw).collect();
        rejected += usize::from(
            p_value(&LabelledLogits::new(
                &predictions,
                &labels,
                Average::Probabilities,
            )) < SIGNIFICANCE,
        );
    }
    // 50 ± 7 are expected.
    assert!((30..=70).contains(&rejected), "{rejected} of 1000");
}

#[test]
fn the_seed_moves_rows_between_parts_and_the_same_seed_gives_the_same_bits() {
    let (predictions, labels) = constant_gap(4.0, 45, 60);
    let judge = |seed| judge_temperature(&predictions, &labels, Average::Probabilities, seed).unwrap();
    assert_eq!(judge(1), judge(1));
    assert_ne!(judge(1).row_losses, judge(2).row_losses);
    assert_eq!(judge(1).outcome.temperature(), judge(2).outcome.temperature());
}

#[test]
fn a_model_that_is_sure_beyond_reason_gets_a_temperature_that_fits_it() {
    // Right in 55 of 100 with a lead of 60 in the logits: the plain fit would be 60 / ln(55/45) = 299. The prior on ln T, whose slope
    // is ln T / 0.5², holds it back to where 100 (σ(60 / T) − 0.55) 60 / T = 4 ln T.
    let found = judged(60.0, 55, 100).outcome.temperature().unwrap();
    assert!((found - 62.627).abs() < 0.01, "{found}");
}

#[test]
fn a_temperature_stays_within_its_bounds() {
    let found = judged(6_000.0, 55, 100).outcome.temperature().unwrap();
    assert!(
        (found * SMALLEST_FITTED_TEMPERATURE - 1.0).abs() < 1e-9,
        "{found}"
    );
}

#[test]
fn labels_that_do_not_fit_are_refused() {
    let (predictions, mut labels) = constant_gap(4.0, 45, 60);
    labels[5] = 2;
    assert!(judge_temperature(&predictions, &labels, Average::Logits, 0).is_err());
    assert!(judge_temperature(&predictions, &labels[1..], Average::Logits, 0).is_err());
}

#[test]
fn the_condition_that_decided_is_said() {
    let fitted = |gain: f64| TemperatureOutcome::Fitted {
        temperature: 1.5,
        gain,
        gain_error: 0.02,
        p_value: 0.01,
    };
    assert!(!fitted(0.05).to_string().contains("contradict"));
    let within_chance = fitted(0.01).to_string();
    assert!(
        within_chance.contains("0.010 ± 0.020 nats")
            && within_chance.ends_with("(taken because the labels contradict T = 1, p = 0.010)"),
        "{within_chance}"
    );
    let refused = |gain: f64| {
        let outcome = TemperatureOutcome::NoGain { gain, p_value: 0.3 };
        outcome.to_string()
    };
    assert!(refused(-0.002).contains("it would raise the loss by 0.0020 nats"));
    let lower = refused(0.002);
    assert!(
        lower.contains("beyond chance")
            && lower.contains("lower the loss by 0.0020 nats")
            && lower.contains("p = 0.30"),
        "{lower}"
    );
}
