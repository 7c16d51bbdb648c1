//! No subnormal number (below 1.2e-38, but not 0) comes up when the embedded MiniLM is trained on padded batches of real text. Many
//! processors take a hundred times longer for each of them, and nobody sees why.
//!
//! What kernels keep to themselves (the weights of attention, the gradients of scores) they assert in builds with debug assertions, as
//! this one is; the tests beside them look at it too. Here are their outputs, forward and backward, the gradients, and what is trained.

use bench_model::real;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lora_core::peft::trained_tensors;
use lora_core::taps::{TappedMap, Taps};
use lora_core::tensors::HostTensor;
use lora_core::{Adapted, Linears, Pass, Rescale, TargetModules};
use lora_data::Batch;
use lora_models::Transformer;
use lora_train::loss::batch_loss;
use lora_train::{MaskGrouping, TrainConfig, Trainer};

/// LoRA on every linear, so that taps see what goes into each and what comes back.
fn adapted(dropout: f64) -> Adapted<Transformer> {
    let every = ["query", "key", "value", "dense"];
    real::adapted(
        |mut config| {
            config.targets = TargetModules::names(every);
            config.with_dropout(dropout, Rescale::Rescaled)
        },
        &Device::flex(),
    )
}

fn assert_none<const D: usize>(tensor: Tensor<D>, what: &str) {
    let numbers = HostTensor::of(tensor).values;
    let count = numbers.iter().filter(|number| number.is_subnormal()).count();
    assert_eq!(
        count,
        0,
        "{what}: so many of {} numbers are subnormal",
        numbers.len()
    );
}

/// Inputs of every linear (outputs of norms, attention and gelu), and gradients of their outputs.
fn assert_none_in_a_pass(adapted: &Adapted<Transformer>, batch: &Batch, when: &str) {
    let taps = Taps::new();
    let loss = batch_loss(&adapted.model, batch, &Pass::Tapped(&taps));
    let gradients = loss.backward();
    let mut seen = 0;
    adapted.model.visit_linears(&mut |linear| {
        for map in [TappedMap::A, TappedMap::B, TappedMap::Base] {
            for tap in taps.of(linear.path(), map) {
                let place = format!("{when}, {} {map:?}", linear.path());
                assert_none(tap.input.clone(), &format!("{place}, input"));
                if let Some(gradient) = tap.output_gradient(&gradients) {
                    assert_none(gradient, &format!("{place}, gradient"));
                    seen += 1;
                }
            }
        }
    });
    assert!(seen > 70, "{seen} taps");
}

#[test]
fn ten_steps_on_padded_real_text_meet_no_subnormal_number() {
    let batch = real::ragged();
    for grouping in [MaskGrouping::Pass, MaskGrouping::Example] {
        let config = TrainConfig {
            mask_grouping: grouping,
            ..TrainConfig::new(1e-3, 1.0, real::ROWS)
        };
        let mut trainer = Trainer::new(adapted(0.5), config, 10).expect("the settings are valid");
        assert_none_in_a_pass(&trainer.adapted().map(Module::train), &batch, "before");
        for step in 0..10 {
            trainer
                .step(std::slice::from_ref(&batch))
                .expect("the training does not diverge");
            for (name, tensor) in trained_tensors(&trainer.adapted()) {
                let count = tensor
                    .values
                    .iter()
                    .filter(|number| number.is_subnormal())
                    .count();
                assert_eq!(count, 0, "step {step}: {count} numbers of {name} are subnormal");
            }
        }
        assert_none_in_a_pass(&trainer.adapted().map(Module::train), &batch, "after ten steps");
    }
}

/// With padding, as models that cannot leave it out compute it.
#[test]
fn hidden_states_beside_padding_hold_no_subnormal_number() {
    let adapted = adapted(0.0).map(Module::train);
    let batch = real::ragged();
    let mut states = Vec::new();
    let outputs = adapted
        .model
        .observed_forward(&batch, &Pass::Mean, &mut |hidden| {
            let hidden = hidden.clone();
            states.push(hidden);
        });
    let states: Vec<_> = states.into_iter().map(Tensor::inner).collect();
    for (layer, hidden) in states.into_iter().enumerate() {
        assert_none(hidden, &format!("hidden states before layer {layer}"));
    }
    assert_none(outputs.clone().inner(), "outputs");
    let gradients = outputs.sum().backward();
    adapted.model.visit_linears(&mut |linear| {
        linear.visit_trained(&mut |parameter| {
            if let lora_core::trained::ParamRef::Matrix(param) = parameter.param
                && let Some(gradient) = param.val().grad(&gradients)
            {
                assert_none(gradient, &parameter.name);
            }
        });
    });
}
