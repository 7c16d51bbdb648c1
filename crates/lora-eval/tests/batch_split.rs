//! Scores don't depend on how the examples were split into batches.
//!
//! Counts are equal; sums of floats are added in another order, so what follows from them agrees to 1e-12 relative to the larger
//! of the value and 1 (the scale of the summands: a calibration error is a small difference of sums).

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_eval::calibration::{AdaptiveCalibration, Binning, EdgeRule, ReliabilityTable};
use lora_eval::classification::ConfusionMatrix;
use lora_eval::detection::Detection;
use lora_eval::proper::{BrierScore, NegativeLogLikelihood};
use lora_eval::regression::{Correlation, RankCorrelation, RegressionErrors};
use lora_eval::selective::RiskCoverage;
use lora_eval::squad::{SquadAccumulator, SquadVersion};
use lora_eval::{ScoreAccumulator, Scores};
use proptest::prelude::*;

const CLASSES: usize = 3;

/// One example: a distribution over three classes, another one as its soft target, and a label.
#[derive(Debug, Clone)]
struct Example {
    predicted: Vec<f64>,
    target: Vec<f64>,
    label: usize,
}

fn distribution() -> impl Strategy<Value = Vec<f64>> {
    // Whole numbers, so that equal confidences and confidences on bin edges are common.
    prop::collection::vec(0_u32..6, CLASSES)
        .prop_filter("not all zero", |weights| weights.iter().sum::<u32>() > 0)
        .prop_map(|weights| {
            let sum = f64::from(weights.iter().sum::<u32>());
            weights.iter().map(|weight| f64::from(*weight) / sum).collect()
        })
}

fn example() -> impl Strategy<Value = Example> {
    (distribution(), distribution(), 0..CLASSES).prop_map(|(predicted, target, label)| Example {
        predicted,
        target,
        label,
    })
}

/// A list and the places where it is cut into batches, some of them empty.
fn cut<T: Clone + std::fmt::Debug>(
    element: impl Strategy<Value = T>,
) -> impl Strategy<Value = (Vec<T>, Vec<usize>)> {
    prop::collection::vec(element, 1..60).prop_flat_map(|list| {
        let cuts = prop::collection::vec(0..=list.len(), 0..5);
        (Just(list), cuts)
    })
}

fn batches<'a, T>(list: &'a [T], cuts: &[usize]) -> Vec<&'a [T]> {
    let mut ends: Vec<usize> = cuts.iter().copied().chain([0, list.len()]).collect();
    ends.sort_unstable();
    ends.windows(2).map(|ends| &list[ends[0]..ends[1]]).collect()
}

/// Gathers the whole list at once, and batch by batch with the batches merged from the last to the first.
fn whole_and_merged<T, A>(
    list: &[T],
    cuts: &[usize],
    empty: impl Fn() -> A,
    update: impl Fn(&mut A, &T),
    merge: impl Fn(&mut A, &A),
) -> (A, A) {
    let gather = |examples: &[T]| {
        let mut accumulator = empty();
        for example in examples {
            update(&mut accumulator, example);
        }
        accumulator
    };
    let mut merged = empty();
    batches(list, cuts)
        .into_iter()
        .rev()
        .for_each(|batch| merge(&mut merged, &gather(batch)));
    (gather(list), merged)
}

fn near(whole: f64, merged: f64) -> bool {
    (whole - merged).abs() <= 1e-12 * whole.abs().max(1.0)
}

fn values(scores: &Scores) -> [f64; 9] {
    [
        scores.accuracy,
        scores.balanced_accuracy,
        scores.f1,
        scores.matthews,
        scores.nll,
        scores.brier,
        scores.ece,
        scores.adaptive_ece,
        scores.mce,
    ]
}

fn top(row: &[f64]) -> (usize, f64) {
    let class = lora_eval::softmax::top_class(row);
    (class, row[class])
}

proptest! {
    #[test]
    fn a_confusion_matrix_is_the_sum_of_its_batches((examples, cuts) in cut((0..CLASSES, 0..CLASSES))) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            || ConfusionMatrix::new(CLASSES),
            |matrix, (label, predicted)| matrix.update(*label, *predicted).unwrap(),
            |matrix, other| matrix.merge(other).unwrap(),
        );
        prop_assert_eq!(whole, merged);
    }

    #[test]
    fn proper_scores_are_the_mean_over_all_batches((examples, cuts) in cut(example()), soft in any::<bool>()) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            NegativeLogLikelihood::new,
            |score, Example { predicted, target, label }| {
                let updated = if soft { score.update_soft(predicted, target) } else { score.update(predicted, *label) };
                updated.unwrap();
            },
            NegativeLogLikelihood::merge,
        );
        prop_assert!(near(whole.mean().unwrap(), merged.mean().unwrap()));
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            BrierScore::new,
            |score, Example { predicted, target, label }| {
                let updated = if soft { score.update_soft(predicted, target) } else { score.update(predicted, *label) };
                updated.unwrap();
            },
            BrierScore::merge,
        );
        prop_assert!(near(whole.mean().unwrap(), merged.mean().unwrap()));
    }

    #[test]
    fn a_reliability_table_is_the_sum_of_its_batches(
        (examples, cuts) in cut(example()),
        bins in 1_usize..20,
        edges in prop::sample::select(vec![EdgeRule::LeftOpen, EdgeRule::LeftClosed, EdgeRule::Torchmetrics]),
    ) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            || ReliabilityTable::new(Binning { bins, edges }).unwrap(),
            |table, example| {
                let (class, confidence) = top(&example.predicted);
                table.update(confidence, class == example.label).unwrap();
            },
            |table, other| table.merge(other).unwrap(),
        );
        prop_assert!(near(whole.ece().unwrap(), merged.ece().unwrap()));
        prop_assert!(near(whole.mce().unwrap(), merged.mce().unwrap()));
        prop_assert_eq!(whole.count(), examples.len() as u64);
        for (whole, merged) in whole.bins().iter().zip(merged.bins()) {
            prop_assert_eq!((whole.count, whole.lower, whole.upper), (merged.count, merged.lower, merged.upper));
            prop_assert!(near(whole.mean_confidence, merged.mean_confidence));
            prop_assert!(near(whole.accuracy, merged.accuracy));
        }
    }

    #[test]
    fn equal_mass_bins_do_not_depend_on_batches_or_order((examples, cuts) in cut(example()), bins in 1_usize..20) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            AdaptiveCalibration::new,
            |adaptive, example| {
                let (class, confidence) = top(&example.predicted);
                adaptive.update(confidence, class == example.label).unwrap();
            },
            AdaptiveCalibration::merge,
        );
        prop_assert_eq!(whole.bins(bins).unwrap(), merged.bins(bins).unwrap());
    }

    #[test]
    fn all_scores_at_once_do_not_depend_on_batches((examples, cuts) in cut(example())) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            || ScoreAccumulator::new(CLASSES, Binning::default()).unwrap(),
            |scores, example| scores.update(&example.predicted, example.label).unwrap(),
            |scores, other| scores.merge(other).unwrap(),
        );
        let (whole, merged) = (whole.scores().unwrap(), merged.scores().unwrap());
        prop_assert_eq!(whole.n, merged.n);
        for (whole, merged) in values(&whole).into_iter().zip(values(&merged)) {
            prop_assert!(near(whole, merged), "{} and {}", whole, merged);
        }
    }

    #[test]
    fn regression_scores_do_not_depend_on_batches(
        (examples, cuts) in cut((-9_i32..9, -9_i32..9).prop_map(|(x, y)| (f64::from(x) / 3.0, f64::from(y) / 7.0))),
    ) {
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            RegressionErrors::new,
            |errors, (prediction, target)| errors.update(*prediction, *target).unwrap(),
            RegressionErrors::merge,
        );
        prop_assert!(near(whole.mse().unwrap(), merged.mse().unwrap()));
        prop_assert!(near(whole.mae().unwrap(), merged.mae().unwrap()));
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            Correlation::new,
            |correlation, (prediction, target)| correlation.update(*prediction, *target).unwrap(),
            Correlation::merge,
        );
        match (whole.pearson(), merged.pearson()) {
            (Ok(whole), Ok(merged)) => prop_assert!(near(whole, merged), "{whole} and {merged}"),
            (whole, merged) => prop_assert_eq!(whole, merged),
        }
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            RankCorrelation::new,
            |ranks, (prediction, target)| ranks.update(*prediction, *target).unwrap(),
            RankCorrelation::merge,
        );
        match (whole.spearman(), merged.spearman()) {
            (Ok(whole), Ok(merged)) => prop_assert!(near(whole, merged), "{whole} and {merged}"),
            (whole, merged) => prop_assert_eq!(whole, merged),
        }
    }

    #[test]
    fn risks_and_detection_do_not_depend_on_batches_or_order(
        (examples, cuts) in cut((-3_i8..4, 0_u8..3, any::<bool>())),
    ) {
        // Few different doubts: most examples are tied.
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            RiskCoverage::new,
            |risk, (doubt, loss, _)| risk.update(f64::from(*doubt) / 3.0, f64::from(*loss) / 7.0).unwrap(),
            RiskCoverage::merge,
        );
        prop_assert_eq!(whole.aurc().unwrap(), merged.aurc().unwrap());
        prop_assert_eq!(whole.excess_aurc().unwrap(), merged.excess_aurc().unwrap());
        prop_assert_eq!(whole.curve().unwrap(), merged.curve().unwrap());
        let (whole, merged) = whole_and_merged(
            &examples,
            &cuts,
            Detection::new,
            |detection, (doubt, _, outside)| detection.update(f64::from(*doubt) / 3.0, *outside).unwrap(),
            Detection::merge,
        );
        prop_assert_eq!(whole.scores(), merged.scores());
    }

    #[test]
    fn answers_to_questions_do_not_depend_on_batches_or_order(
        (questions, cuts) in cut((
            prop::collection::vec("(a |the |mill |river )", 0..3),
            "(a |mill |river ){0,3}",
            -2_i8..3,
        )),
    ) {
        let (whole, merged) = whole_and_merged(
            &questions,
            &cuts,
            || SquadAccumulator::new(SquadVersion::V2),
            |squad, (answers, prediction, no_answer)| {
                squad.update(answers, prediction, Some(f64::from(*no_answer))).unwrap();
            },
            |squad, other| squad.merge(other).unwrap(),
        );
        prop_assert_eq!(whole.scores(), merged.scores());
        prop_assert_eq!(whole.scores_at(0.0), merged.scores_at(0.0));
        prop_assert_eq!(whole.best_thresholds(), merged.best_thresholds());
    }
}
