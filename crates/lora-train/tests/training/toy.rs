//! A model with every kind of parameter, all axes of different sizes, and data that it can learn.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::peft::trained_tensors;
use lora_core::random::seeded_normal;
use lora_core::{Adapted, BiasMode, Linears, LoraConfig, LoraLinear, Model, Pass, TargetModules};
use lora_data::{Batch, Encoded, EncodedDataset, LabelNames, Padding, Targets, Task};
use lora_kernels::gelu;

/// Flex, unless `BURN_DEVICE` names another backend.
pub fn device() -> Device {
    Device::default()
}

pub const CLASSES: usize = 3;
const VOCABULARY: usize = 11;
const D_MODEL: usize = 6;
const D_FF: usize = 10;
const D_POOLED: usize = 5;

/// Mean of embedded tokens between two linears, and a head.
#[derive(Module, Debug)]
pub struct Toy {
    embedding: Param<Tensor<2>>,
    up: LoraLinear,
    down: LoraLinear,
    head: LoraLinear,
}

impl Toy {
    pub fn new(outputs: usize) -> Self {
        let linear = |path: &str, d_input: usize, d_output: usize| {
            let bias = normal(&format!("{path}.bias"), [1, d_output], 0.3).squeeze_dim(0);
            LoraLinear::new(path, normal(path, [d_input, d_output], 0.5), Some(bias))
        };
        Self {
            embedding: Param::from_tensor(normal("embedding", [VOCABULARY, D_MODEL], 1.0)),
            up: linear("toy.up", D_MODEL, D_FF),
            down: linear("toy.down", D_FF, D_POOLED),
            head: linear("classifier", D_POOLED, outputs),
        }
    }

    /// Another pretrained model of the same shapes.
    pub fn with_other_embedding(mut self) -> Self {
        self.embedding = self.embedding.map(|embedding| embedding.mul_scalar(1.5));
        self
    }
}

impl Linears for Toy {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        [&self.up, &self.down, &self.head].into_iter().for_each(visit);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        [&mut self.up, &mut self.down, &mut self.head]
            .into_iter()
            .for_each(visit);
    }

    fn heads(&self) -> Vec<String> {
        vec!["classifier".to_owned()]
    }
}

impl Model for Toy {
    type Input = Batch;

    fn takes_hidden_key(&self) -> bool {
        true
    }

    fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
        let device = self.embedding.device();
        let (batch, seq) = (input.batch, input.seq);
        let ids = Tensor::<1, Int>::from_data(input.input_ids.as_slice(), &device);
        let mask = TensorData::new(input.attention_mask.clone(), [batch, seq, 1]);
        let mask = Tensor::<3>::from_data(mask, &device);
        let embedded = self.embedding.val().select(0, ids).reshape([batch, seq, D_MODEL]);
        let hidden = gelu(self.up.forward(embedded, pass)); // [batch, seq, d_ff]
        let hidden = pass.cut_hidden(self.up.path(), hidden);
        let pooled = (hidden * mask.clone()).sum_dim(1) / mask.sum_dim(1); // [batch, 1, d_ff]
        let pooled = self.down.forward(pooled.squeeze_dim::<2>(1), pass).tanh(); // [batch, d_pooled]
        self.head.forward(pooled, pass)
    }
}

/// Adapters of rank 2 with alpha 5 on both inner linears, their biases trained, the head trained in full.
pub fn config() -> LoraConfig {
    let mut config =
        LoraConfig::new(2, 5.0, TargetModules::names(["up", "down"])).with_modules_to_save(["classifier"]);
    config.bias = BiasMode::LoraOnly;
    config
}

/// A fresh adapted model, with B moved away from zero so that every factor has a gradient.
pub fn adapted(config: LoraConfig) -> Adapted<Toy> {
    adapted_with(CLASSES, config)
}

pub fn adapted_with(outputs: usize, config: LoraConfig) -> Adapted<Toy> {
    let (mut adapted, _) = Adapted::attach(Toy::new(outputs), config, 5).unwrap();
    adapted.model.visit_linears_mut(&mut |linear| {
        let [_, d_output] = linear.dims();
        if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
            factors.b = factors
                .b
                .clone()
                .map(|b| normal("b", [b.dims()[0], d_output], 0.3));
        }
    });
    adapted
}

/// Bits of every trained parameter, in a fixed order.
pub fn trained_bits(adapted: &Adapted<Toy>) -> Vec<u32> {
    let parameters = trained_tensors(adapted);
    parameters
        .values()
        .flat_map(|tensor| tensor.values.iter().map(|value| value.to_bits()))
        .collect()
}

/// Bits of what no training may touch: the embedding and the weights of both adapted linears.
pub fn frozen_bits(adapted: &Adapted<Toy>) -> Vec<u32> {
    let model = &adapted.model;
    [&model.embedding, &model.up.base.weight, &model.down.base.weight]
        .into_iter()
        .flat_map(|param| {
            param
                .val()
                .inner()
                .into_data()
                .convert::<f32>()
                .try_into_vec::<f32>()
                .unwrap()
        })
        .map(f32::to_bits)
        .collect()
}

/// Rows of 2 to 5 tokens; the class is told by one token among noise.
pub fn dataset(examples: usize, phase: usize) -> EncodedDataset {
    let class_of = |row: usize| scrambled(row, 0, phase) % CLASSES;
    let encoded = (0..examples)
        .map(|row| {
            let length = 2 + scrambled(row, 1, phase) % 4;
            let noise =
                |place: usize| 1 + CLASSES + scrambled(row, 2 + place, phase) % (VOCABULARY - CLASSES - 1);
            let mut input_ids: Vec<u32> = (0..length).map(|place| noise(place) as u32).collect();
            input_ids[scrambled(row, 9, phase) % length] = 1 + class_of(row) as u32;
            Encoded {
                token_type_ids: vec![0; length],
                input_ids,
            }
        })
        .collect();
    let labels = LabelNames::new(["low", "middle", "high"].map(String::from).to_vec()).unwrap();
    EncodedDataset {
        encoded,
        targets: Targets::Classes((0..examples).map(class_of).collect()),
        task: Some(Task::Classification { labels }),
        truncated: 0,
    }
}

/// The same rows with a number to predict.
pub fn regression(examples: usize, phase: usize) -> EncodedDataset {
    let dataset = dataset(examples, phase);
    let Targets::Classes(classes) = dataset.targets else {
        unreachable!()
    };
    let values = classes
        .into_iter()
        .map(|class| class as f32 * 0.4 - 0.3)
        .collect();
    EncodedDataset {
        targets: Targets::Values(values),
        task: Some(Task::Regression),
        ..dataset
    }
}

pub fn padding() -> Padding {
    Padding::with(0)
}

/// The first rows of the data set, padded.
pub fn batch(rows: usize) -> Batch {
    let rows: Vec<usize> = (0..rows).collect();
    dataset(rows.len(), 1).batch(&rows, padding())
}

/// Whole numbers without pattern: the finalizer of `MurmurHash3` on a counter.
fn scrambled(row: usize, place: usize, phase: usize) -> usize {
    let mut bits = (phase * 1009 + row * 13 + place) as u32;
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    (bits ^ (bits >> 16)) as usize
}

/// Normal numbers that depend on the name alone, on the plain device.
fn normal(name: &str, shape: [usize; 2], deviation: f64) -> Tensor<2> {
    let values = seeded_normal(3, name, shape[0] * shape[1], deviation);
    Tensor::from_data(TensorData::new(values, shape), &device())
}
