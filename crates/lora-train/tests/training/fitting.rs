//! The loop as a whole: it learns, repeats itself, and refuses what it cannot use.

use lora_core::{Adapted, Rescale};
use lora_data::{EncodedDataset, Targets};
use lora_train::{
    Event, FitData, Fitted, Flow, MaskGrouping, Metric, Observer, TrainConfig, TrainError, fit,
};

use crate::toy::{
    Toy, adapted, adapted_with, config, dataset, frozen_bits, padding, regression, trained_bits,
};

pub fn settings() -> TrainConfig {
    TrainConfig {
        metric_for_best_model: Metric::Accuracy,
        weight_decay: 0.01,
        ..TrainConfig::new(2e-2, 3.0, 8)
    }
}

pub fn dropout() -> Adapted<Toy> {
    adapted(config().with_dropout(0.3, Rescale::Rescaled))
}

pub fn run(settings: &TrainConfig, observer: &mut dyn Observer<Toy>) -> Fitted<Toy> {
    let (train, validation) = (dataset(50, 1), dataset(21, 2));
    let data = FitData {
        train: &train,
        validation: Some(&validation),
        padding: padding(),
    };
    fit(dropout(), settings, &data, observer).unwrap()
}

pub fn go_on(_: &Event) -> Flow {
    Flow::Continue
}

#[test]
fn a_learnable_task_is_learned_with_every_grouping() {
    for mask_grouping in [MaskGrouping::Pass, MaskGrouping::Groups(3), MaskGrouping::Example] {
        let settings = TrainConfig {
            num_train_epochs: 30.0,
            mask_grouping,
            ..settings()
        };
        let before = frozen_bits(&dropout());
        let fitted = run(&settings, &mut go_on);
        let losses: Vec<f64> = fitted.history.steps.iter().map(|step| step.loss).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..7]), mean(&losses[losses.len() - 7..]));
        assert!(last < first / 2.0, "{mask_grouping}: {first} to {last}");
        let best = fitted
            .history
            .evaluations
            .iter()
            .filter_map(|evaluation| evaluation.metric)
            .fold(0.0, f64::max);
        assert!(best > 0.9, "{mask_grouping}: accuracy {best}");
        assert_eq!(frozen_bits(&fitted.best), before);
    }
}

#[test]
fn one_seed_gives_one_model_and_another_seed_another() {
    let settings = TrainConfig {
        masks_per_step: 2,
        gradient_accumulation_steps: 2,
        ..settings()
    };
    let bits = |seed| {
        let fitted = run(
            &TrainConfig {
                seed,
                ..settings.clone()
            },
            &mut go_on,
        );
        (
            trained_bits(&fitted.last),
            trained_bits(&fitted.best),
            fitted.history,
        )
    };
    assert_eq!(bits(3), bits(3));
    assert_ne!(bits(3).0, bits(4).0);
}

#[test]
fn a_regression_is_trained_and_judged_by_its_own_metrics() {
    let (train, validation) = (regression(50, 1), regression(21, 2));
    let data = FitData {
        train: &train,
        validation: Some(&validation),
        padding: padding(),
    };
    let settings = TrainConfig {
        metric_for_best_model: Metric::Pearson,
        num_train_epochs: 30.0,
        ..settings()
    };
    let fitted = fit(adapted_with(1, config()), &settings, &data, &mut go_on).unwrap();
    let best = fitted
        .history
        .evaluations
        .iter()
        .filter_map(|evaluation| evaluation.metric)
        .fold(-1.0, f64::max);
    assert!(best > 0.9, "{best}");
}

#[test]
fn without_validation_the_best_model_is_the_last() {
    let train = dataset(20, 1);
    let data = FitData {
        train: &train,
        validation: None,
        padding: padding(),
    };
    let fitted = fit(dropout(), &settings(), &data, &mut go_on).unwrap();
    assert_eq!(trained_bits(&fitted.best), trained_bits(&fitted.last));
    assert_eq!(
        (fitted.history.best_step, fitted.history.evaluations.len()),
        (None, 0)
    );
}

#[test]
fn data_that_cannot_be_used_is_refused_before_the_first_step() {
    let good = dataset(9, 1);
    let unlabelled = EncodedDataset {
        targets: Targets::None,
        ..good.clone()
    };
    let empty = EncodedDataset {
        encoded: Vec::new(),
        targets: Targets::Classes(Vec::new()),
        ..good.clone()
    };
    let refusal = |train: &EncodedDataset, validation: &EncodedDataset, metric| {
        let settings = TrainConfig {
            metric_for_best_model: metric,
            ..settings()
        };
        let data = FitData {
            train,
            validation: Some(validation),
            padding: padding(),
        };
        let mut silent = |event: &Event| -> Flow { panic!("{event:?}") };
        fit(dropout(), &settings, &data, &mut silent).unwrap_err()
    };
    assert_eq!(
        refusal(&empty, &good, Metric::Loss),
        TrainError::NoExamples { split: "training" }
    );
    assert_eq!(
        refusal(&good, &empty, Metric::Loss),
        TrainError::NoExamples { split: "validation" }
    );
    assert_eq!(
        refusal(&unlabelled, &good, Metric::Loss),
        TrainError::NoTargets { split: "training" }
    );
    assert_eq!(
        refusal(&good, &unlabelled, Metric::Loss),
        TrainError::NoTargets { split: "validation" }
    );
    assert!(matches!(
        refusal(&good, &good, Metric::Spearman),
        TrainError::Metric {
            metric: Metric::Spearman,
            ..
        }
    ));
}
