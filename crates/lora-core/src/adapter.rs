//! The trainable part of an adapted linear.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::LowRankBranch;
use rand_distr::{Distribution, Normal, Uniform};

use crate::config::{Init, LowRankSettings};
use crate::pass::Pass;
use crate::sampler::parameter_generator;

/// The forms an adapter can take.
#[derive(Module, Debug)]
pub enum Adapter {
    /// LoRA: two factors.
    LowRank(LowRank),
}

/// LoRA's two factors: the update is `s · A B`, in Burn's orientation `[d_input, d_output]`.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `A: [d_input, rank]`, the transpose of PEFT's `lora_A`.
    pub a: Param<Tensor<2>>,
    /// `B: [rank, d_output]`, the transpose of PEFT's `lora_B`.
    pub b: Param<Tensor<2>>,
    #[module(skip)]
    settings: Constants,
}

/// Numbers that belong to the adapter but are not trained.
#[derive(Clone, Copy, Debug)]
struct Constants {
    scale: f64,
    mean_factor: f64,
}

impl LowRank {
    /// New factors: A drawn on the host from `(seed, path)`, B zero, so that the update starts at zero.
    ///
    /// # Panics
    ///
    /// Panics if the rank or the input size is 0.
    pub fn init(
        path: &str,
        [d_input, d_output]: [usize; 2],
        settings: &LowRankSettings,
        init: Init,
        seed: u64,
        device: &Device,
    ) -> Self {
        let mut generator = parameter_generator(seed, path);
        let bound = 1.0 / (d_input as f32).sqrt();
        let count = d_input * settings.rank;
        let values: Vec<f32> = match init {
            Init::KaimingUniform => Uniform::new(-bound, bound)
                .expect("the bound is positive")
                .sample_iter(&mut generator)
                .take(count)
                .collect(),
            Init::Gaussian => Normal::new(0.0, 1.0 / settings.rank as f32)
                .expect("the deviation is positive")
                .sample_iter(&mut generator)
                .take(count)
                .collect(),
        };
        let a = Tensor::from_data(TensorData::new(values, [d_input, settings.rank]), device);
        let b = Tensor::zeros([settings.rank, d_output], device);
        Self::from_factors(a, b, settings)
    }

    /// An adapter with given factors.
    ///
    /// # Shapes
    ///
    /// - a: `[d_input, rank]`
    /// - b: `[rank, d_output]`
    ///
    /// # Panics
    ///
    /// Panics if the ranks of the factors and of the settings differ.
    pub fn from_factors(a: Tensor<2>, b: Tensor<2>, settings: &LowRankSettings) -> Self {
        assert_eq!(
            [a.dims()[1], b.dims()[0]],
            [settings.rank; 2],
            "both factors have the rank of the settings"
        );
        Self {
            a: Param::from_tensor(a),
            b: Param::from_tensor(b),
            settings: Constants {
                scale: settings.scale,
                mean_factor: settings.mean_factor,
            },
        }
    }

    /// Rank of the update.
    pub fn rank(&self) -> usize {
        self.a.dims()[1]
    }

    /// The factor `s`.
    pub fn scale(&self) -> f64 {
        self.settings.scale
    }

    /// What the adapter adds to the linear at `path` in this pass; `rows` is [batch, product of the inner axes].
    pub(crate) fn branch(&self, path: &str, [batch, rows]: [usize; 2], pass: &Pass) -> LowRankBranch {
        let masks = match pass {
            Pass::Mean => None,
            Pass::Masked(set) => set.keep_masks(path).cloned(),
        };
        let input_noise = match pass {
            Pass::Mean => None,
            Pass::Masked(set) => set.input_noise(path, [batch, rows, self.a.dims()[0]], &self.a.device()),
        };
        let factor = if masks.is_some() {
            1.0
        } else {
            self.settings.mean_factor
        };
        LowRankBranch {
            a: self.a.val(),
            b: self.b.val(),
            scale: self.settings.scale * factor,
            masks,
            input_noise,
        }
    }

    /// The dense update of [`Pass::Mean`], `[d_input, d_output]`: what merging adds to the weight.
    pub fn delta(&self) -> Tensor<2> {
        self.a
            .val()
            .matmul(self.b.val())
            .mul_scalar(self.settings.scale * self.settings.mean_factor)
    }
}
