//! The t-test of a lead, and ensembles that stop early against whole ones.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::predict;
use crate::probe::{D_INPUT, EXAMPLES, example, probe};

/// Two classes; the first leads by so much in each member.
fn leads(leads: &[f64]) -> Vec<Vec<f64>> {
    leads
        .iter()
        .map(|lead| vec![0.5 + lead / 2.0, 0.5 - lead / 2.0])
        .collect()
}

fn rule(confidence: f64, first: usize, step: usize) -> StoppingRule {
    StoppingRule {
        confidence,
        first,
        step,
    }
}

/// Mean lead 0.5, deviation 0.1, so the error of 3 members out of 16 is 0.1 √(1/3 − 1/16) = 0.0520. Tables of the
/// t-distribution give 6.965 for 99 % and 22.327 for 99.9 % at 2 degrees of freedom: 0.362 and 1.162.
#[test]
fn a_lead_decides_if_it_is_larger_than_the_tabled_quantile_of_its_error() {
    assert!(rule(0.99, 3, 1).is_decided(&leads(&[0.4, 0.5, 0.6]), 16));
    assert!(!rule(0.999, 3, 1).is_decided(&leads(&[0.4, 0.5, 0.6]), 16));
    // A lead of 0.361 is just too small for 99 %, one of 0.363 just large enough.
    assert!(!rule(0.99, 3, 1).is_decided(&leads(&[0.261, 0.361, 0.461]), 16));
    assert!(rule(0.99, 3, 1).is_decided(&leads(&[0.263, 0.363, 0.463]), 16));
}

#[test]
fn members_that_agree_exactly_decide_at_once_and_a_tie_never_before_the_end() {
    assert!(rule(0.999, 2, 1).is_decided(&leads(&[0.01, 0.01]), 16));
    assert!(!rule(0.51, 2, 1).is_decided(&leads(&[0.0, 0.0, 0.0]), 16));
    assert!(rule(0.51, 2, 1).is_decided(&leads(&[0.0, 0.0, 0.0]), 3));
}

#[test]
fn the_third_class_can_keep_an_example_open() {
    let third = |lead: f64| vec![0.5, 0.1, 0.5 - lead];
    let values = [third(0.3), third(-0.2), third(0.1)];
    assert!(!rule(0.99, 3, 1).is_decided(&values, 16));
}

#[test]
fn looks_end_with_the_whole_ensemble() {
    assert_eq!(rule(0.9, 3, 2).looks(8), [3, 5, 7, 8]);
    assert_eq!(rule(0.9, 4, 1).looks(3), [3]);
}

#[test]
fn settings_that_decide_nothing_are_refused_by_name() {
    for (rule, field) in [
        (rule(0.5, 3, 1), "confidence"),
        (rule(f64::NAN, 3, 1), "confidence"),
        (rule(0.9, 1, 1), "first"),
        (rule(0.9, 3, 0), "step"),
    ] {
        assert!(rule.check().unwrap_err().to_string().contains(field));
    }
}

/// Leads without a true favourite are the hardest case. The t-test is exact for normal leads: given what the whole ensemble
/// says, a sample of it points the other way at that confidence in at most 5 of 100 cases.
#[test]
fn early_decisions_are_those_of_the_whole_ensemble_at_the_stated_confidence() {
    const CASES: usize = 4000;
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let rule = rule(0.95, 4, 100);
    let (mut wrong, mut decided) = (0_u32, 0_u32);
    for _ in 0..CASES {
        let drawn: Vec<f64> = StandardNormal.sample_iter(&mut random).take(16).collect();
        let values = leads(&drawn);
        if rule.is_decided(&values[..4], 16) {
            decided += 1;
            let sign = |leads: &[f64]| leads.iter().sum::<f64>() > 0.0;
            wrong += u32::from(sign(&drawn[..4]) != sign(&drawn));
        }
    }
    // Deviation of a share of 0.05 in 4,000 cases: 0.0034. By chance the bound is broken once in 300,000 seeds.
    assert!(
        f64::from(wrong) < (0.05 + 4.5 * 0.0034) * CASES as f64,
        "{wrong} of {CASES}"
    );
    assert!(decided > 200, "only {decided} decided, so nothing was tested");
}

proptest! {
    #[test]
    fn an_example_that_got_all_members_is_averaged_as_in_the_whole_ensemble(
        logits in prop::collection::vec(-3.0_f32..3.0, 5 * 4 * 3),
    ) {
        let whole = Predictions::new(5, 4, 3, logits).unwrap().with_temperature(1.5).unwrap();
        for average in [Average::Probabilities, Average::Logits] {
            let adaptive = AdaptivePredictions::within(&whole, StoppingRule::default(), average).unwrap();
            let (found, expected) = (adaptive.probabilities(), whole.average(average));
            for (example, members) in adaptive.members().enumerate() {
                prop_assert!((3..=5).contains(&members));
                let first = whole.first_members(members).unwrap().average(average);
                prop_assert_eq!(found.row(example), first.row(example));
                if members == 5 {
                    prop_assert_eq!(found.row(example), expected.row(example));
                }
            }
        }
    }
}

#[test]
fn running_in_rounds_equals_stopping_within_the_whole_ensemble() {
    const MEMBERS: usize = 12;
    let (adapted, sampler) = probe();
    let inputs: Vec<[f32; D_INPUT]> = (0..EXAMPLES).map(example).collect();
    let rows: Vec<usize> = (0..EXAMPLES).collect();
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..MEMBERS as u64,
    };
    let whole = predict(
        &adapted,
        [(&inputs, rows.as_slice())].into_iter(),
        EXAMPLES,
        &passes,
        &mut |_| (),
    );
    let whole = whole.into_predictions().unwrap().with_temperature(0.7).unwrap();
    let ensemble = AdaptiveEnsemble {
        sampler: &sampler,
        members: MEMBERS,
        rule: rule(0.995, 2, 3),
        average: Average::Probabilities,
        temperature: 0.7,
    };
    let mut requested = Vec::new();
    let mut progress = Vec::new();
    let found = predict_adaptively(
        &adapted,
        EXAMPLES,
        &ensemble,
        &mut |rows| {
            requested.push(rows.len());
            let batch = |rows: &[usize]| (rows.iter().map(|row| inputs[*row]).collect(), rows.to_vec());
            rows.chunks(3).map(batch).collect()
        },
        &mut |done| progress.push(done),
    )
    .unwrap();
    let expected = AdaptivePredictions::within(&whole, ensemble.rule, ensemble.average).unwrap();
    assert_eq!(
        found.members().collect::<Vec<_>>(),
        expected.members().collect::<Vec<_>>()
    );
    for (found, expected) in found
        .probabilities()
        .values()
        .iter()
        .zip(expected.probabilities().values())
    {
        assert!((found - expected).abs() < 1e-6);
    }
    assert!(
        found.mean_members() < MEMBERS as f64,
        "nothing decided early, so nothing was tested"
    );
    assert!(requested.windows(2).all(|pair| pair[1] <= pair[0]) && requested.len() > 1);
    assert!(progress.is_sorted());
    assert_eq!(progress.last(), Some(&(EXAMPLES * MEMBERS)));
}
