//! Masks from a seed: counter-based, so any mask can be drawn alone, in any order, on any machine.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::KeepMasks;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Bernoulli, Distribution, Normal, Uniform};
use xxhash_rust::xxh3::xxh3_64;

use crate::dropout::LoraDropout;
use crate::pass::{InputDropout, MaskSet};

/// Draws [`MaskSet`]s on the host. The numbers depend on the seed, the draw, the path of the adapter and the side,
/// and on nothing else: neither on the backend nor on what was drawn before, nor on the grouping.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskSampler {
    /// The seed.
    pub seed: u64,
    /// LoRA Dropout; `None` draws no masks.
    pub dropout: Option<LoraDropout>,
    /// Probability of PEFT's input dropout; 0 draws none.
    pub input_dropout: f64,
}

/// What a mask is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// A training step.
    Step {
        /// Number of the optimizer step.
        step: u64,
        /// Number of the mask within the step: several passes, or groups of one batch.
        sample: u32,
    },
    /// A member of an ensemble.
    Member(u64),
}

/// The sizes of an adapted linear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterShape {
    /// Hugging Face path.
    pub path: String,
    /// Length of `m_A`.
    pub d_input: usize,
    /// Length of `m_B`.
    pub d_output: usize,
    /// Length of `m_R`.
    pub rank: usize,
}

/// What is drawn for an adapter; keeps the streams of its masks and of the noise apart. The order is part of the streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Input,
    Output,
    Noise,
    /// Noise on what all rows of a group read.
    SharedNoise,
    Rank,
    /// Keys that attention does not see.
    Keys,
    /// Numbers cut out of a block's output.
    Cut,
}

impl MaskSampler {
    /// One mask for each draw, as the groups of one set: `draws.len()` groups.
    pub fn draw(&self, draws: &[Draw], adapters: &[AdapterShape], device: &Device) -> MaskSet {
        let keep = self
            .dropout
            .filter(|dropout| dropout.probability > 0.0)
            .map(|dropout| {
                let axes = dropout.axes;
                let masks = |adapter: &AdapterShape| {
                    let mask = |is_masked: bool, side, length| {
                        is_masked.then(|| self.side(&dropout, draws, &adapter.path, side, length, device))
                    };
                    KeepMasks {
                        input: mask(axes.mask_input(), Side::Input, adapter.d_input),
                        output: mask(axes.mask_output(), Side::Output, adapter.d_output),
                        rank: mask(axes.mask_rank(), Side::Rank, adapter.rank),
                    }
                };
                adapters
                    .iter()
                    .map(|adapter| (adapter.path.clone(), masks(adapter)))
                    .collect::<HashMap<_, _>>()
            });
        let input = (self.input_dropout > 0.0).then(|| InputDropout {
            seed: self.seed,
            probability: self.input_dropout,
            draws: draws.to_vec(),
            side: Side::Noise,
        });
        MaskSet::new(keep, input)
    }

    /// The masks of ensemble members, one group a member.
    pub fn members(
        &self,
        members: std::ops::Range<u64>,
        adapters: &[AdapterShape],
        device: &Device,
    ) -> MaskSet {
        self.draw(&members.map(Draw::Member).collect::<Vec<_>>(), adapters, device)
    }

    fn side(
        &self,
        dropout: &LoraDropout,
        draws: &[Draw],
        path: &str,
        side: Side,
        length: usize,
        device: &Device,
    ) -> Tensor<2> {
        let mut values = Vec::with_capacity(draws.len() * length);
        for draw in draws {
            values.extend(self.entries(dropout, path, side, *draw, length));
        }
        Tensor::from_data(TensorData::new(values, [draws.len(), length]), device)
    }

    /// The entries of one mask.
    pub(crate) fn entries(
        &self,
        dropout: &LoraDropout,
        path: &str,
        side: Side,
        draw: Draw,
        length: usize,
    ) -> Vec<f32> {
        let keep = Bernoulli::new(1.0 - dropout.probability)
            .expect("the probability was checked with the configuration");
        let kept = dropout.kept_value() as f32;
        let mut generator = generator(self.seed, path, side, draw);
        keep.sample_iter(&mut generator)
            .take(length)
            .map(|keep| if keep { kept } else { 0.0 })
            .collect()
    }
}

/// The generator of one side of one adapter in one draw: its 256-bit key holds all four.
pub(crate) fn generator(seed: u64, path: &str, side: Side, draw: Draw) -> ChaCha8Rng {
    let (index, sample, kind) = match draw {
        Draw::Step { step, sample } => (step, sample, 1),
        Draw::Member(member) => (member, 0, 2),
    };
    keyed(seed, path, index, sample, kind, side as u16)
}

/// `count` draws from N(0, `deviation`²) that depend on `(seed, name)` alone: the start of a new weight.
///
/// # Panics
///
/// Panics if the deviation is negative or not finite.
pub fn seeded_normal(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation as f32).expect("the deviation is finite and not negative");
    normal
        .sample_iter(&mut parameter_generator(seed, name))
        .take(count)
        .collect()
}

/// `count` draws from the uniform distribution between two numbers that depend on `(seed, name)` alone.
///
/// # Panics
///
/// Panics unless `low` is below `high` and both are finite.
pub fn seeded_uniform(seed: u64, name: &str, count: usize, low: f64, high: f64) -> Vec<f32> {
    let uniform = Uniform::new(low as f32, high as f32).expect("the bounds are finite and in order");
    uniform
        .sample_iter(&mut parameter_generator(seed, name))
        .take(count)
        .collect()
}

/// The generator of a parameter's first values.
pub(crate) fn parameter_generator(seed: u64, path: &str) -> ChaCha8Rng {
    keyed(seed, path, 0, 0, 0, 0)
}

fn keyed(seed: u64, path: &str, index: u64, sample: u32, kind: u16, side: u16) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&xxh3_64(path.as_bytes()).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    key[24..28].copy_from_slice(&sample.to_le_bytes());
    key[28..30].copy_from_slice(&kind.to_le_bytes());
    key[30..].copy_from_slice(&side.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
