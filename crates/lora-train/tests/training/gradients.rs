//! The objective: which parameters it moves, and how masks are averaged.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use lora_core::peft::trained_tensors;
use lora_core::random::Draw;
use lora_core::tensors::HostTensor;
use lora_core::{Adapted, LoraConfig, MaskSampler, Pass, PassNoise, Rescale};
use lora_data::{Batch, ChoiceTarget, Targets};
use lora_train::loss::loss;
use lora_train::objective::{LossAndGradients, backward};
use lora_train::{MaskGrouping, TrainConfig, Trainer};

use crate::toy::{Toy, adapted, batch, config, device};

type Named = BTreeMap<String, HostTensor>;

fn dropout() -> LoraConfig {
    config().with_dropout(0.4, Rescale::Rescaled)
}

fn settings() -> TrainConfig {
    TrainConfig {
        seed: 9,
        ..TrainConfig::new(1e-2, 1.0, 4)
    }
}

fn trainer(lora: LoraConfig, settings: TrainConfig) -> Trainer<Toy> {
    Trainer::new(adapted(lora), settings, 10).unwrap()
}

/// The masks of the first step with these sample numbers.
fn masks(adapted: &Adapted<Toy>, samples: std::ops::Range<u32>) -> PassNoise {
    let drawing = MaskSampler {
        seed: 9,
        dropout: adapted.dropout(),
        input_dropout: 0.0,
    };
    let draws: Vec<Draw> = samples.map(|sample| Draw::Step { step: 0, sample }).collect();
    drawing.draw(&draws, &adapted.adapter_shapes(), &device())
}

/// The mean of the gradients of single passes, each over a batch under one mask.
fn mean_of_passes(trainer: &Trainer<Toy>, passes: &[(Batch, u32)]) -> Named {
    let parts = passes.iter().map(|(batch, sample)| {
        let masks = masks(&trainer.adapted(), *sample..sample + 1);
        trainer.pass_gradients(batch, &Pass::Stochastic(&masks)).1
    });
    let mut mean = Named::new();
    for part in parts {
        for (name, tensor) in part {
            let sum = mean.entry(name).or_insert_with(|| HostTensor {
                shape: tensor.shape.clone(),
                values: vec![0.0; tensor.values.len()],
            });
            for (sum, value) in sum.values.iter_mut().zip(tensor.values) {
                *sum += value / passes.len() as f32;
            }
        }
    }
    mean
}

fn assert_near(found: &Named, expected: &Named) {
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (name, found) in found {
        let expected = &expected[name];
        assert_eq!(found.shape, expected.shape, "{name}");
        for (found, expected) in found.values.iter().zip(&expected.values) {
            assert!((found - expected).abs() < 1e-5, "{name}: {found}, {expected}");
        }
    }
}

#[test]
fn exactly_the_adapters_their_biases_and_the_head_get_gradients() {
    /// Whether a parameter kept its gradient.
    struct Graph<'a>(&'a mut Vec<bool>, &'a LossAndGradients);
    impl ModuleVisitor for Graph<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.push(self.1.gradients.get::<D>(param.id).is_some());
        }
    }
    let adapted = adapted(dropout()).map(Module::train);
    let masks = masks(&adapted, 0..1);
    let part = backward(&adapted, &batch(5), &Pass::Stochastic(&masks), 1.0);
    let mut with_gradient = Vec::new();
    adapted.model.visit(&mut Graph(&mut with_gradient, &part));
    // Embedding and two weights are frozen; two A, two B, two biases, weight and bias of the head are not.
    assert_eq!(with_gradient.iter().filter(|has| !**has).count(), 3);
    assert_eq!(with_gradient.iter().filter(|has| **has).count(), 8);
    let LossAndGradients { gradients, .. } = part;
    assert_eq!(gradients.len(), 8);
}

#[test]
fn gradients_have_pefts_names_and_pytorchs_shapes() {
    let trainer = trainer(dropout(), settings());
    let gradients = trainer.gradients(&[batch(5)]);
    let shapes: Vec<(&str, &[usize])> = gradients
        .iter()
        .map(|(name, tensor)| (name.as_str(), &tensor.shape[..]))
        .collect();
    assert_eq!(
        shapes,
        [
            ("classifier.bias", &[3][..]),
            ("classifier.weight", &[3, 5]),
            ("toy.down.base_layer.bias", &[5]),
            ("toy.down.lora_A.weight", &[2, 10]),
            ("toy.down.lora_B.weight", &[5, 2]),
            ("toy.up.base_layer.bias", &[10]),
            ("toy.up.lora_A.weight", &[2, 6]),
            ("toy.up.lora_B.weight", &[10, 2]),
        ]
    );
    for (name, tensor) in &gradients {
        assert!(tensor.values.iter().any(|value| *value != 0.0), "{name}");
    }
    assert_eq!(
        trained_tensors(&trainer.adapted()).keys().collect::<Vec<_>>(),
        gradients.keys().collect::<Vec<_>>()
    );
}

#[test]
fn n_masks_averaged_are_n_passes_averaged() {
    let trainer = trainer(
        dropout(),
        TrainConfig {
            masks_per_step: 3,
            ..settings()
        },
    );
    let passes = [0, 1, 2].map(|sample| (batch(5), sample));
    assert_near(
        &trainer.gradients(&[batch(5)]),
        &mean_of_passes(&trainer, &passes),
    );
}

#[test]
fn groups_are_parts_of_the_batch_under_masks_of_their_own() {
    let grouping = MaskGrouping::Groups(2);
    let trainer = trainer(
        dropout(),
        TrainConfig {
            mask_grouping: grouping,
            masks_per_step: 2,
            ..settings()
        },
    );
    let parts = batch(6).split(2);
    let passes = [(&parts[0], 0), (&parts[1], 1), (&parts[0], 2), (&parts[1], 3)];
    let passes = passes.map(|(part, sample)| (part.clone(), sample));
    assert_near(
        &trainer.gradients(&[batch(6)]),
        &mean_of_passes(&trainer, &passes),
    );
}

#[test]
fn a_mask_an_example_on_equal_rows_is_the_average_over_masks() {
    let grouping = MaskGrouping::Example;
    let trainer = trainer(
        dropout(),
        TrainConfig {
            mask_grouping: grouping,
            ..settings()
        },
    );
    let row = batch(1);
    let passes = [0, 1, 2, 3].map(|sample| (row.clone(), sample));
    assert_near(
        &trainer.gradients(&[row.repeat(4)]),
        &mean_of_passes(&trainer, &passes),
    );
}

#[test]
fn a_dropout_of_zero_is_plain_lora_to_the_bit() {
    let plain = trainer(config(), settings()).gradients(&[batch(5)]);
    for rescale in [Rescale::Plain, Rescale::Rescaled] {
        let settings = TrainConfig {
            masks_per_step: 4,
            mask_grouping: MaskGrouping::Example,
            ..settings()
        };
        let without = trainer(config().with_dropout(0.0, rescale), settings);
        assert_eq!(without.gradients(&[batch(5)]), plain);
    }
}

#[test]
fn accumulation_is_one_large_batch() {
    let example = TrainConfig {
        mask_grouping: MaskGrouping::Example,
        ..settings()
    };
    for trainer in [trainer(config(), settings()), trainer(dropout(), example)] {
        let whole = batch(8);
        let expected = trainer.gradients(std::slice::from_ref(&whole));
        assert_near(&trainer.gradients(&whole.split(2)), &expected);
        // Uneven parts count by their rows.
        assert_near(
            &trainer.gradients(&[whole.slice(0..5), whole.slice(5..8)]),
            &expected,
        );
    }
}

#[test]
fn the_masks_of_two_steps_differ() {
    let mut trainer = trainer(
        dropout(),
        TrainConfig {
            warmup_steps: 1,
            ..settings()
        },
    );
    let first = trainer.gradients(&[batch(5)]);
    // The first step of a warmup has learning rate 0: only the step number changes.
    trainer.step(&[batch(5)]).unwrap();
    assert_ne!(trainer.gradients(&[batch(5)]), first);
}

#[test]
fn input_dropout_alone_is_drawn_too() {
    let mut lora = config();
    lora.input_dropout = 0.3;
    let noisy = trainer(lora, settings()).gradients(&[batch(5)]);
    assert_ne!(noisy, trainer(config(), settings()).gradients(&[batch(5)]));
}

#[test]
fn the_loss_is_cross_entropy_or_the_mean_squared_error() {
    let device = device();
    let of = |outputs: Tensor<2>, targets: Targets| loss(outputs, &targets).into_scalar::<f32>();
    // Softmax of (ln 2, 0, 0) is (1/2, 1/4, 1/4).
    let logits = Tensor::from_floats([[2.0_f32.ln(), 0.0, 0.0], [0.0, 0.0, 0.0]], &device);
    let expected = f32::midpoint(4.0_f32.ln(), 3.0_f32.ln());
    assert!((of(logits, Targets::Classes(vec![2, 0])) - expected).abs() < 1e-6);
    let values = Tensor::from_floats([[1.0], [2.0], [-1.0]], &device);
    let expected = (0.25 + 4.0 + 1.0) / 3.0;
    assert!((of(values, Targets::Values(vec![0.5, 4.0, 0.0])) - expected).abs() < 1e-6);
}

#[test]
fn start_and_end_of_a_span_count_alike() {
    // Two rows of three places: the starts of both, then their ends.
    let scores = [[1.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]];
    let outputs = Tensor::<2>::from_floats(scores, &device());
    let found = loss(outputs, &Targets::Spans(vec![(0, 1), (2, 0)])).into_scalar::<f32>();
    // −ln softmax of one score x against two zeros: ln(1 + 2 e^−x).
    let of = |x: f32| (2.0 * (-x).exp()).ln_1p();
    let expected = (of(1.0) + of(2.0) + of(3.0) + of(0.0)) / 4.0;
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}

#[test]
#[should_panic(expected = "class 3 for a model with 3 classes")]
fn a_class_the_model_does_not_have_panics() {
    let _ = loss(Tensor::zeros([2, 3], &device()), &Targets::Classes(vec![0, 3]));
}

#[test]
fn positions_without_a_class_count_neither_in_the_sum_nor_in_the_mean() {
    // Two rows of three positions, two classes; three positions are judged.
    let logits = [
        [2.0, 0.0],
        [9.0, 9.0],
        [0.0, 1.0],
        [0.5, 0.5],
        [-3.0, 8.0],
        [7.0, -7.0],
    ];
    let targets = Targets::Positions(vec![vec![Some(0), None, Some(1)], vec![Some(1)]]);
    let outputs = Tensor::<2>::from_floats(logits, &device());
    let found = loss(outputs.clone(), &targets).into_scalar::<f32>();
    // −ln softmax by hand: ln(1 + e^−2), ln(1 + e^−1), ln 2.
    let expected = ((-2.0_f32).exp().ln_1p() + (-1.0_f32).exp().ln_1p() + 2.0_f32.ln()) / 3.0;
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    assert_eq!(targets.judged(), 3);

    let none = Targets::Positions(vec![vec![None; 3], Vec::new()]);
    assert_eq!(loss(outputs, &none).into_scalar::<f32>(), 0.0);
}

#[test]
fn a_choice_is_judged_among_its_own_tokens_alone() {
    // Two rows of two positions, a vocabulary of four; what other tokens score does not count, however much it is.
    let outputs = [
        [9.0, 9.0, 9.0, 9.0],
        [1.0, 50.0, 3.0, 0.0],
        [0.5, -2.0, 0.0, 99.0],
        [7.0, 7.0, 7.0, 7.0],
    ];
    let choice = |place, tokens: &[u32], answer| ChoiceTarget {
        place,
        tokens: tokens.to_vec(),
        answer,
    };
    // The first row chooses among two tokens, the second among three.
    let targets = Targets::Choices(vec![choice(1, &[2, 0], 1), choice(0, &[0, 1, 2], 0)]);
    assert_eq!(targets.judged(), 2);
    let found = loss(Tensor::<2>::from_floats(outputs, &device()), &targets).into_scalar::<f32>();
    // −ln softmax by hand: of 1 against 3; of 1/2 against −2 and 0.
    let first = (2.0_f32).exp().ln_1p();
    let second = ((-2.5_f32).exp() + (-0.5_f32).exp()).ln_1p();
    let expected = f32::midpoint(first, second);
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
}
