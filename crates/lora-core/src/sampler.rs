//! Masks from a seed: counter-based, so any mask can be drawn alone, in any order, on any machine.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::KeepMasks;
use rand_distr::{Bernoulli, Distribution};

use crate::dropout::LoraDropout;
use crate::noise::{InputDropout, PassNoise};
use crate::random::{Draw, NoiseKind, generator};

/// Draws [`PassNoise`]s on the host. The values depend on the seed, the draw, the path of the adapter and the side,
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

impl MaskSampler {
    /// One mask for each draw, as the groups of one set: `draws.len()` groups.
    pub fn draw(&self, draws: &[Draw], adapters: &[AdapterShape], device: &Device) -> PassNoise {
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
                        input: mask(axes.mask_input(), NoiseKind::Input, adapter.d_input),
                        output: mask(axes.mask_output(), NoiseKind::Output, adapter.d_output),
                        rank: mask(axes.mask_rank(), NoiseKind::Rank, adapter.rank),
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
            side: NoiseKind::Noise,
        });
        PassNoise::new(keep, input)
    }

    /// The masks of ensemble members, one group a member.
    pub fn members(
        &self,
        members: std::ops::Range<u64>,
        adapters: &[AdapterShape],
        device: &Device,
    ) -> PassNoise {
        self.draw(&members.map(Draw::Member).collect::<Vec<_>>(), adapters, device)
    }

    fn side(
        &self,
        dropout: &LoraDropout,
        draws: &[Draw],
        path: &str,
        side: NoiseKind,
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
        side: NoiseKind,
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
