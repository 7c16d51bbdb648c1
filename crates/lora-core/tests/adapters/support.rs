//! A small model with every axis of another size, and numbers out of tensors.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::random::seeded_normal;
use lora_core::{Linears, LoraConfig, LoraLinear, Pass, TargetModules};

/// Flex, unless `BURN_DEVICE` names another backend.
pub fn device() -> Device {
    Device::default()
}

pub fn is_on_flex() -> bool {
    device() == Device::flex()
}

pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 data")
}

/// A tensor of standard normal numbers that depend on the name alone.
pub fn normal<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    let values = seeded_normal(3, name, shape.iter().product(), 1.0);
    Tensor::from_data(TensorData::new(values, shape), &device())
}

pub fn assert_close(ours: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), expected.len());
    for (index, (a, b)) in ours.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "[{index}]: {a}, expected {b}"
        );
    }
}

/// Two linears and a head: 5 → 7 → 6 → 3.
#[derive(Module, Debug)]
pub struct Tiny {
    pub first: LoraLinear,
    pub second: LoraLinear,
    pub classifier: LoraLinear,
}

impl Tiny {
    pub fn new() -> Self {
        let linear = |path: &str, d_input, d_output| {
            LoraLinear::new(
                path,
                normal(path, [d_input, d_output]),
                Some(normal(&format!("{path}.bias"), [d_output])),
            )
        };
        Self {
            first: linear("net.layer.0.query", 5, 7),
            second: linear("net.layer.1.value", 7, 6),
            classifier: linear("classifier", 6, 3),
        }
    }

    pub fn forward(&self, input: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let hidden = self.first.forward(input, pass).tanh();
        let hidden = self.second.forward(hidden, pass).tanh();
        self.classifier.forward(hidden, pass)
    }
}

impl Linears for Tiny {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        [&self.first, &self.second, &self.classifier]
            .into_iter()
            .for_each(visit);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        [&mut self.first, &mut self.second, &mut self.classifier]
            .into_iter()
            .for_each(visit);
    }

    fn heads(&self) -> Vec<String> {
        vec!["classifier".into()]
    }
}

/// Rank 2, alpha 5, query and value, classifier trained in full.
pub fn config() -> LoraConfig {
    LoraConfig::new(2, 5.0, TargetModules::names(["query", "value"])).with_modules_to_save(["classifier"])
}

/// Gives every factor B numbers that are not zero, as training would.
pub fn fill_b(model: &mut impl Linears) {
    model.visit_linears_mut(&mut |linear| {
        let name = format!("{}.b", linear.path());
        if let Some(Adapter::LowRank(adapter)) = &mut linear.adapter {
            let shape = adapter.b.dims();
            adapter.b = burn::module::Param::from_tensor(normal(&name, shape).mul_scalar(0.3));
        }
    });
}
