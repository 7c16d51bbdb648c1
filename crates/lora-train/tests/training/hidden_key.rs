//! `HiddenKey`: its loss, its gradients, and that nothing of it is left after training.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use lora_core::hidden_key::HiddenKeyNoise;
use lora_core::random::Draw;
use lora_core::vector::{Part, VectorLayout};
use lora_core::{Adapted, Model, Pass, PassNoise, Rescale};
use lora_data::Targets;
use lora_train::variational::VariationalSettings;
use lora_train::{HiddenKeySettings, MaskGrouping, TrainConfig, TrainConfigError, TrainError, Trainer};

use crate::fitting::settings;
use crate::toy::{Toy, adapted, adapted_with, batch, config, trained_bits};
use crate::variational::line;

const USUAL: HiddenKeySettings = HiddenKeySettings {
    key_probability: 0.0,
    cut_probability: 0.4,
    kl_weight: 0.7,
};

fn with(hidden_key: HiddenKeySettings) -> TrainConfig {
    TrainConfig {
        hidden_key: Some(hidden_key),
        ..settings()
    }
}

fn loss(model: &Adapted<Toy>, hidden_key: HiddenKeySettings, targets: Option<Targets>) -> f64 {
    let mut trainer = Trainer::new(model.clone(), with(hidden_key), 8).unwrap();
    let mut batch = batch(6);
    batch.targets = targets.unwrap_or(batch.targets);
    trainer.step(&[batch]).unwrap().loss
}

#[test]
fn the_gradient_is_that_of_loss_and_divergence_by_differences() {
    let model = adapted(config());
    let layout = VectorLayout::of(&model, Part::Trained);
    let start = layout.read(&model);
    // The divergence alone too: a weight so large that the losses are next to nothing beside it.
    for (kl_weight, scale) in [(0.7, 1.0), (200.0, 200.0)] {
        let hidden_key = HiddenKeySettings { kl_weight, ..USUAL };
        let trainer = Trainer::new(model.clone(), with(hidden_key), 8).unwrap();
        let gradients = trainer.gradients(&[batch(6)]);
        let loss_at = |place: usize, moved: f64| {
            let mut vector = start.clone();
            vector[place] += moved;
            loss(&layout.write(&model, &vector), hidden_key, None)
        };
        for slot in layout.slots() {
            for place in slot.range.clone().step_by(7) {
                let step = 1e-2;
                let expected = (loss_at(place, step) - loss_at(place, -step)) / (2.0 * step);
                let found = f64::from(gradients[&slot.name].values[place - slot.range.start]);
                // As for the other objectives: f32 and the step give a difference its error.
                assert!(
                    (found - expected).abs() < 2e-3 * expected.abs().max(0.3 * scale),
                    "{kl_weight}, {}, {place}: {found}, expected {expected}",
                    slot.name
                );
            }
        }
    }
}

#[test]
fn the_loss_is_the_mean_of_two_passes_and_their_divergence() {
    let model = adapted(config());
    let of = |kl_weight: f64| loss(&model, HiddenKeySettings { kl_weight, ..USUAL }, None);
    // A tiny weight leaves the mean of both losses; from there the loss is linear in the weight.
    let (start, slope) = (of(1e-9), of(1.0) - of(1e-9));
    assert!(slope > 1e-3, "{slope}");
    assert!((of(3.0) - (start + 3.0 * slope)).abs() < 1e-4);
    // One pass alone is another draw of the same loss.
    let alone = of(0.0);
    assert!((alone - start).abs() < 0.5 && alone != start);

    // The two sides of a divergence, by hand, from the passes that the trainer makes.
    let trainer = Trainer::new(model.clone(), with(USUAL), 8).unwrap();
    let log_probabilities =
        |sample: u32| -> Vec<Vec<f64>> { outputs(&model, sample).chunks_exact(3).map(log_softmax).collect() };
    let (first, second) = (log_probabilities(0), log_probabilities(1));
    let Targets::Classes(labels) = batch(6).targets else {
        unreachable!()
    };
    let mut expected = 0.0;
    for ((p, q), label) in first.iter().zip(&second).zip(labels) {
        let kl = |p: &[f64], q: &[f64]| -> f64 { p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum() };
        expected -= f64::midpoint(p[label], q[label]);
        expected += USUAL.kl_weight * (kl(p, q) + kl(q, p)) / 2.0;
    }
    let found = trainer.clone().step(&[batch(6)]).unwrap().loss;
    assert!(
        (found - expected / 6.0).abs() < 1e-5,
        "{found}, expected {}",
        expected / 6.0
    );
}

/// Outputs of a pass of the first step under training, without masks: its noise is that of one draw.
fn outputs(model: &Adapted<Toy>, sample: u32) -> Vec<f32> {
    let noise = HiddenKeyNoise {
        seed: settings().seed,
        draw: Draw::Step { step: 0, sample },
        key_probability: USUAL.key_probability,
        cut_probability: USUAL.cut_probability,
    };
    let masks = PassNoise::default().with_hidden_key(noise);
    let training = model.clone().map(Module::train);
    let outputs = training.model.forward(&batch(6), &Pass::Stochastic(&masks));
    outputs.inner().into_data().try_to_vec().unwrap()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
    logits.iter().map(|logit| f64::from(*logit) - sum.ln()).collect()
}

#[test]
fn numbers_are_held_together_by_their_squared_difference() {
    let model = adapted_with(1, config());
    let values = vec![0.5, -1.0, 2.0, 0.25, 1.5, -0.5];
    let (first, second) = (outputs(&model, 0), outputs(&model, 1));
    let mean_square = |left: &[f32], right: &[f32]| -> f64 {
        let squares = left
            .iter()
            .zip(right)
            .map(|(left, right)| f64::from(left - right).powi(2));
        squares.sum::<f64>() / left.len() as f64
    };
    let apart = mean_square(&first, &second);
    assert!(apart > 1e-4, "{apart}");
    let expected = f64::midpoint(mean_square(&first, &values), mean_square(&second, &values));
    let expected = expected + USUAL.kl_weight * apart;
    let found = loss(&model, USUAL, Some(Targets::Values(values)));
    assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
}

#[test]
fn one_seed_trains_one_model_and_the_mean_pass_knows_nothing_of_it() {
    let after_steps = |config: TrainConfig| {
        let mut trainer = Trainer::new(adapted(self::config()), config, 8).unwrap();
        for _ in 0..3 {
            trainer.step(&[batch(6)]).unwrap();
        }
        trainer.into_adapted()
    };
    let usual = after_steps(with(USUAL));
    assert_eq!(trained_bits(&usual), trained_bits(&after_steps(with(USUAL))));
    let other_seed = TrainConfig {
        seed: 99,
        ..with(USUAL)
    };
    assert_ne!(trained_bits(&usual), trained_bits(&after_steps(other_seed)));
    assert_ne!(trained_bits(&usual), trained_bits(&after_steps(settings())));

    // Before any step the mean pass of a model under training is that of the model.
    let plain = adapted(config());
    let mean_pass = |model: &Adapted<Toy>| -> Tensor<2> { model.model.forward(&batch(6), &Pass::Mean) };
    let trainer = Trainer::new(plain.clone(), with(USUAL), 8).unwrap();
    let (before, under_training): (TensorData, TensorData) = (
        mean_pass(&plain).into_data(),
        mean_pass(&trainer.adapted()).into_data(),
    );
    assert_eq!(before, under_training);
}

#[test]
fn it_goes_with_masks_and_with_several_of_them() {
    let of = |masks: f64, masks_per_step: usize, hidden_key: Option<HiddenKeySettings>| {
        let lora = config().with_dropout(masks, Rescale::Rescaled);
        let config = TrainConfig {
            masks_per_step,
            mask_grouping: MaskGrouping::Example,
            hidden_key,
            ..settings()
        };
        let mut trainer = Trainer::new(adapted(lora), config, 8).unwrap();
        trainer.step(&[batch(6), batch(4)]).unwrap().loss
    };
    let both = of(0.3, 2, Some(USUAL));
    assert!(both.is_finite());
    assert_eq!(both, of(0.3, 2, Some(USUAL)));
    // Each of the ingredients makes a difference beside the others.
    let half = HiddenKeySettings {
        kl_weight: USUAL.kl_weight / 2.0,
        ..USUAL
    };
    for (without, loss) in [
        ("masks", of(1e-9, 2, Some(USUAL))),
        ("the second mask", of(0.3, 1, Some(USUAL))),
        ("half of the divergence", of(0.3, 2, Some(half))),
        ("noise", of(0.3, 2, None)),
    ] {
        assert!((both - loss).abs() > 1e-4, "{without}: {both}, {loss}");
    }
    // A divergence is never negative.
    assert!(both > of(0.3, 2, Some(half)));
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |hidden_key| Trainer::new(adapted(config()), with(hidden_key), 8).err();
    for (setting, hidden_key) in [
        (
            "key_probability",
            HiddenKeySettings {
                key_probability: 1.0,
                ..USUAL
            },
        ),
        (
            "cut_probability",
            HiddenKeySettings {
                cut_probability: -0.1,
                ..USUAL
            },
        ),
        (
            "kl_weight",
            HiddenKeySettings {
                kl_weight: f64::NAN,
                ..USUAL
            },
        ),
    ] {
        let found = refused(hidden_key);
        assert!(
            matches!(&found, Some(TrainError::Config(TrainConfigError::HiddenKey { setting: found, .. })) if *found == setting),
            "{found:?}"
        );
    }
    let nothing = HiddenKeySettings {
        cut_probability: 0.0,
        ..USUAL
    };
    let without = TrainConfigError::HiddenKeyWithoutNoise;
    assert_eq!(refused(nothing), Some(TrainError::Config(without)));
    let variational = Trainer::new(adapted(config()), with(USUAL), 8)
        .unwrap()
        .with_variational(VariationalSettings::default(), 50);
    assert_eq!(variational.err(), Some(TrainError::HiddenKeyAndVariational));
    // A model whose blocks ignore the noise.
    let line = Trainer::new(line(), with(USUAL), 8);
    assert_eq!(line.err(), Some(TrainError::HiddenKey));
}
