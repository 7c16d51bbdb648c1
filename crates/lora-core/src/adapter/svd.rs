//! AdaLoRA's three factors.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::{LinearWeight, LowRankBranch, linear, lora_linear};

use super::{Constants, folded_shape, noise, param};
use crate::config::LowRankSettings;
use crate::pass::Pass;
use crate::random::seeded_normal;

/// Standard deviation of new factors.
const DEVIATION: f64 = 0.02;

/// AdaLoRA (arXiv 2303.10512): the update is `s · A diag(E) B`. In the paper's letters `ΔW = P Λ Q` with `P = Bᵀ`, `Λ = E`,
/// `Q = Aᵀ`; LoRA Dropout's masks drop rows of P and columns of Q.
#[derive(Module, Debug)]
pub struct SvdForm {
    /// The triplets; none where the budget left none.
    pub factors: Option<SvdFactors>,
    #[module(skip)]
    constants: Constants,
}

/// At least one triplet.
#[derive(Module, Debug)]
pub struct SvdFactors {
    /// `A: [d_input, rank]`, the transpose of PEFT's `lora_A`.
    pub a: Param<Tensor<2>>,
    /// `E: [1, rank]`, the transpose of PEFT's `lora_E`.
    pub e: Param<Tensor<2>>,
    /// `B: [rank, d_output]`, the transpose of PEFT's `lora_B`.
    pub b: Param<Tensor<2>>,
}

impl SvdForm {
    /// New factors from `(seed, path)`: A and B with deviation 0.02, E zero, so that the update starts at zero. A rank of 0
    /// has none.
    pub fn init(
        path: &str,
        [d_input, d_output]: [usize; 2],
        settings: &LowRankSettings,
        seed: u64,
        device: &Device,
    ) -> Self {
        let rank = settings.rank;
        let draw = |factor: &str, shape: [usize; 2]| {
            let values = seeded_normal(seed, &format!("{path}.{factor}"), shape[0] * shape[1], DEVIATION);
            param(Tensor::from_data(TensorData::new(values, shape), device))
        };
        let factors = (rank > 0).then(|| SvdFactors {
            a: draw("lora_A", [d_input, rank]),
            e: param(Tensor::zeros([1, rank], device)),
            b: draw("lora_B", [rank, d_output]),
        });
        Self {
            factors,
            constants: Constants {
                scale: settings.scale,
                mean_factor: settings.mean_factor,
            },
        }
    }

    /// Triplets held, those at zero included.
    pub fn rank(&self) -> usize {
        self.factors.as_ref().map_or(0, |factors| factors.e.dims()[1])
    }

    /// What a pass without masks multiplies the product of the factors by.
    pub(crate) fn mean_scale(&self) -> f64 {
        self.constants.scale * self.constants.mean_factor
    }

    /// `y = x W + b + s · ((x ⊙ m_A) A diag(E) B) ⊙ m_B`.
    pub(crate) fn forward<const D: usize>(
        &self,
        path: &str,
        input: Tensor<D>,
        weight: LinearWeight,
        bias: Option<Tensor<1>>,
        pass: &Pass,
    ) -> Tensor<D> {
        let Some(factors) = &self.factors else {
            return linear(input, weight, bias);
        };
        let shape = folded_shape(&input);
        let (scale, masks, input_noise) = noise(path, shape, &self.constants, pass, &factors.a.device());
        let branch = LowRankBranch {
            a: factors.weighted_a(),
            b: factors.b.val(),
            scale,
            masks,
            factor_noise: None,
            input_noise,
            group_tokens: pass.group_tokens(),
        };
        lora_linear(input, weight, bias, branch)
    }

    /// The dense update of [`Pass::Mean`]; `weight` gives the shape where there are no triplets.
    pub fn delta(&self, weight: &Tensor<2>) -> Tensor<2> {
        match &self.factors {
            Some(factors) => factors
                .weighted_a()
                .matmul(factors.b.val())
                .mul_scalar(self.mean_scale()),
            None => weight.zeros_like(),
        }
    }
}

impl SvdFactors {
    /// `A diag(E)`, `[d_input, rank]`: with it and B the adapter is plain LoRA.
    pub fn weighted_a(&self) -> Tensor<2> {
        self.a.val() * self.e.val()
    }

    /// `‖P Pᵀ − I‖` of both factors, each `[1]`: how far the triplets are from orthonormal (Frobenius norms, not squared,
    /// as in PEFT).
    pub fn orthogonality(&self) -> [Tensor<1>; 2] {
        let (a, b) = (self.a.val(), self.b.val());
        let distance = |gram: Tensor<2>| {
            let identity = Tensor::eye(gram.dims()[0], &gram.device());
            (gram - identity).square().sum().sqrt()
        };
        [
            distance(a.clone().transpose().matmul(a)),
            distance(b.clone().matmul(b.transpose())),
        ]
    }
}
