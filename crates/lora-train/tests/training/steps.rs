//! Optimizer steps: AdamW, clipping, what changes and what does not.

use std::collections::BTreeMap;

use lora_core::peft::trained_tensors;
use lora_core::{Linears, Rescale};
use lora_train::optimizer::learning_rate_of;
use lora_train::schedule::Schedule;
use lora_train::{MaskGrouping, TrainConfig, TrainError, Trainer};

use crate::toy::{Toy, adapted, batch, config, frozen_bits, trained_bits};

fn trainer(settings: TrainConfig) -> Trainer<Toy> {
    Trainer::new(adapted(config().with_dropout(0.5, Rescale::Plain)), settings, 8).unwrap()
}

fn settings() -> TrainConfig {
    TrainConfig {
        masks_per_step: 2,
        weight_decay: 0.1,
        ..TrainConfig::new(5e-2, 1.0, 4)
    }
}

fn train(settings: TrainConfig, steps: usize) -> Trainer<Toy> {
    let mut trainer = trainer(settings);
    for _ in 0..steps {
        trainer.step(&[batch(6)]).unwrap();
    }
    trainer
}

#[test]
fn frozen_weights_keep_their_bits_and_every_trained_tensor_changes() {
    let before = adapted(config().with_dropout(0.5, Rescale::Plain));
    let after = train(settings(), 3).into_adapted();
    assert_eq!(frozen_bits(&after), frozen_bits(&before));
    let (before, after) = (trained_tensors(&before), trained_tensors(&after));
    assert_eq!(before.len(), 8);
    for (name, before) in before {
        assert_ne!(before.values, after[&name].values, "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    for mask_grouping in [MaskGrouping::Pass, MaskGrouping::Groups(4), MaskGrouping::Example] {
        let bits = |seed| {
            let settings = TrainConfig {
                seed,
                mask_grouping,
                ..settings()
            };
            trained_bits(&train(settings, 4).into_adapted())
        };
        assert_eq!(bits(1), bits(1));
        assert_ne!(bits(1), bits(2));
    }
}

#[test]
fn a_dropout_of_zero_trains_as_plain_lora_to_the_bit() {
    let run = |lora| {
        let mut trainer = Trainer::new(adapted(lora), settings(), 8).unwrap();
        for _ in 0..4 {
            trainer.step(&[batch(6)]).unwrap();
        }
        trained_bits(&trainer.into_adapted())
    };
    assert_eq!(run(config().with_dropout(0.0, Rescale::Rescaled)), run(config()));
}

/// AdamW as its paper has it (arXiv 1711.05101, algorithm 2), in double precision, for one number.
#[derive(Clone, Copy, Default)]
struct ScalarAdamW {
    first: f64,
    second: f64,
}

impl ScalarAdamW {
    fn step(&mut self, value: f64, gradient: f64, rate: f64, time: i32, settings: &TrainConfig) -> f64 {
        let (beta1, beta2) = (settings.adam_beta1, settings.adam_beta2);
        self.first = beta1 * self.first + (1.0 - beta1) * gradient;
        self.second = beta2 * self.second + (1.0 - beta2) * gradient * gradient;
        let first = self.first / (1.0 - beta1.powi(time));
        let second = self.second / (1.0 - beta2.powi(time));
        value - rate * (first / (second.sqrt() + settings.adam_epsilon) + settings.weight_decay * value)
    }
}

#[test]
fn steps_are_adamw_on_clipped_gradients_at_the_rate_of_each_role() {
    // A large epsilon shows whether gradients are clipped: without it, Adam's first step only sees their signs.
    let settings = TrainConfig {
        adam_beta1: 0.8,
        adam_beta2: 0.95,
        adam_epsilon: 0.1,
        max_grad_norm: 0.25,
        loraplus_lr_ratio: 3.0,
        head_learning_rate: Some(0.2),
        lr_scheduler_type: Schedule::Linear,
        warmup_steps: 2,
        ..settings()
    };
    let mut trainer = trainer(settings.clone());
    let mut states: BTreeMap<String, Vec<ScalarAdamW>> = BTreeMap::new();
    for (time, factor) in [(1, 0.0), (2, 0.5), (3, 1.0), (4, 5.0 / 6.0)] {
        let before = trained_tensors(&trainer.adapted());
        let gradients = trainer.gradients(&[batch(6)]);
        let squares = gradients
            .values()
            .flat_map(|tensor| &tensor.values)
            .map(|value| f64::from(*value).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        assert!(norm > 0.25, "the case must clip, the norm is {norm}");

        let report = trainer.step(&[batch(6)]).unwrap();
        assert!(
            (report.grad_norm - norm).abs() < 1e-5 * norm,
            "{} instead of {norm}",
            report.grad_norm
        );
        assert!((report.learning_rate - 5e-2 * factor).abs() < 1e-15);

        let after = trained_tensors(&trainer.adapted());
        for (name, before) in before {
            let rate = factor
                * match name.as_str() {
                    name if name.starts_with("classifier") => 0.2,
                    // PEFT's LoRA+ counts every vector to B.
                    name if name.contains("lora_B") || name.ends_with("bias") => 3.0 * 5e-2,
                    _ => 5e-2,
                };
            let count = before.values.len();
            let states = states
                .entry(name.clone())
                .or_insert_with(|| vec![ScalarAdamW::default(); count]);
            for (place, state) in states.iter_mut().enumerate() {
                let gradient = f64::from(gradients[&name].values[place]) * 0.25 / (norm + 1e-6);
                let expected = state.step(f64::from(before.values[place]), gradient, rate, time, &settings);
                let found = f64::from(after[&name].values[place]);
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{name}[{place}], step {time}: {found}, {expected}"
                );
            }
        }
    }
}

#[test]
fn a_head_without_a_rate_of_its_own_is_in_the_groups_of_lora_plus() {
    let settings = TrainConfig {
        loraplus_lr_ratio: 3.0,
        ..settings()
    };
    let mut rates = BTreeMap::new();
    adapted(config()).visit_trained(&mut |parameter| {
        rates.insert(parameter.name.clone(), learning_rate_of(&parameter, &settings));
    });
    assert!((rates["classifier.weight"] - 5e-2).abs() < 1e-15);
    assert!((rates["classifier.bias"] - 3.0 * 5e-2).abs() < 1e-15);
}

#[test]
fn gradients_below_the_maximal_norm_are_left_alone() {
    let with = |max_grad_norm| {
        trained_bits(
            &train(
                TrainConfig {
                    max_grad_norm,
                    ..settings()
                },
                2,
            )
            .into_adapted(),
        )
    };
    assert_eq!(with(1e6), with(0.0));
    assert_ne!(with(1e-3), with(0.0));
}

#[test]
fn the_model_handed_out_is_in_validation_mode() {
    let trainer = train(settings(), 1);
    for adapted in [trainer.adapted(), trainer.into_adapted()] {
        adapted
            .model
            .visit_linears(&mut |linear| assert!(!linear.base.weight.val().is_autodiff()));
    }
}

#[test]
fn a_diverged_step_is_refused_and_leaves_the_parameters() {
    let mut trainer = trainer(settings());
    let mut broken = batch(4);
    broken.attention_mask.fill(0.0); // a mean over no tokens: 0/0
    let before = trained_bits(&trainer.adapted());
    let error = trainer.step(&[broken]).unwrap_err();
    assert!(
        matches!(error, TrainError::Diverged { step: 1, loss, .. } if loss.is_nan()),
        "{error}"
    );
    assert_eq!(trained_bits(&trainer.adapted()), before);
    assert_eq!(trainer.steps_done(), 0);
}

#[test]
fn a_model_without_trained_parameters_and_bad_settings_are_refused() {
    let mut lora = config();
    lora.modules_to_save.clear();
    let mut without = adapted(lora);
    without.model.visit_linears_mut(&mut |linear| {
        linear.detach();
        linear.train_base(lora_core::linear::BaseTraining::Frozen);
    });
    assert_eq!(
        Trainer::new(without, settings(), 8).err(),
        Some(TrainError::NothingTrained)
    );
    let bad = TrainConfig {
        learning_rate: -1.0,
        ..settings()
    };
    assert!(matches!(
        Trainer::new(adapted(config()), bad, 8).err(),
        Some(TrainError::Config(_))
    ));
}
