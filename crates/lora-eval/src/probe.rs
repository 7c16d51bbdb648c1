//! A model small enough to reason about, for tests of passes over a data set.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::{Adapted, Linears, LoraConfig, LoraLinear, MaskSampler, Model, Pass, Rescale, TargetModules};

/// Rows of the data set.
pub(crate) const EXAMPLES: usize = 7;
/// Values a row.
pub(crate) const D_INPUT: usize = 5;

/// A linear on rows of values: its logits are linear in the update, so the average member is the mean pass.
#[derive(Module, Debug)]
pub(crate) struct Probe {
    linear: LoraLinear,
}

impl Linears for Probe {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.linear);
    }
    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.linear);
    }
    fn heads(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Model for Probe {
    type Input = Vec<[f32; D_INPUT]>;
    fn forward(&self, input: &Self::Input, pass: &Pass) -> Tensor<2> {
        let data = TensorData::new(input.concat(), [input.len(), D_INPUT]);
        self.linear.forward(
            Tensor::<2>::from_data(data, &self.linear.base.weight.device()),
            pass,
        )
    }
}

/// Values without pattern or zero.
fn numbers(count: usize, phase: f32) -> Vec<f32> {
    (0_u8..)
        .take(count)
        .map(|index| (f32::from(index) * 1.7 + phase).sin() + 0.1)
        .collect()
}

/// The model with an adapter, and what draws its masks.
pub(crate) fn probe() -> (Adapted<Probe>, MaskSampler) {
    let device = Device::flex();
    let tensor = |shape: [usize; 2], phase| {
        Tensor::<2>::from_data(
            TensorData::new(numbers(shape[0] * shape[1], phase), shape),
            &device,
        )
    };
    let model = Probe {
        linear: LoraLinear::new("probe", tensor([D_INPUT, 3], 0.5), None),
    };
    let config = LoraConfig::new(2, 3.0, TargetModules::names(["probe"])).with_dropout(0.5, Rescale::Plain);
    let sampler = MaskSampler {
        seed: 11,
        dropout: config.dropout,
        input_dropout: 0.0,
    };
    let (mut adapted, _) = Adapted::attach(model, config, 1).unwrap();
    let Some(Adapter::LowRank(factors)) = &mut adapted.model.linear.adapter else {
        unreachable!()
    };
    factors.b = factors.b.clone().map(|_| tensor([2, 3], 2.5));
    (adapted.map(|model| model.valid()), sampler)
}

/// A row of the data set.
pub(crate) fn example(row: usize) -> [f32; D_INPUT] {
    numbers(D_INPUT, row as f32 * 0.9).try_into().unwrap()
}
