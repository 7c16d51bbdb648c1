//! LoRA Dropout for any Burn module, also one written without [`LoraLinear`](crate::LoraLinear).
//!
//! Burn lets a parameter be reparameterized in place: [`LoraDropoutOn`] gives every matrix of a module two factors and
//! masks, and the module's own forward pass then sees `W + s · diag(m_A) A diag(m_R) B diag(m_B)`. Masks are part of the module's
//! state here, because its forward pass takes no [`Pass`](crate::Pass); [`masked`] and [`unmasked`] give the module with
//! other masks, so a pass is still a function of seed and draw.
//!
//! ```
//! use burn::module::{Module, ParamGroup};
//! use burn::nn::LinearConfig;
//! use burn::tensor::{Device, Distribution, Tensor};
//! use lora_core::any_module::{LoraDropoutOn, masked, unmasked};
//! use lora_core::random::Draw;
//! use lora_core::{LoraDropout, MaskSampler, Rescale};
//!
//! let device = Device::default();
//! let dropout = LoraDropout::new(0.5, Rescale::Plain);
//! let linear = LinearConfig::new(6, 4).init(&device);
//! let adapted = linear.apply_reparameterization(LoraDropoutOn {
//!     rank: 2,
//!     alpha: 4.0,
//!     dropout: Some(dropout),
//!     seed: 7,
//!     group: ParamGroup::all(),
//! });
//!
//! let sampler = MaskSampler { seed: 7, dropout: Some(dropout), input_dropout: 0.0 };
//! let step = Draw::Step { step: 0, sample: 0 };
//! let in_training = masked(adapted, &sampler, step);
//! let x = Tensor::<2>::random([3, 6], Distribution::Default, &device);
//! assert_eq!(in_training.forward(x).dims(), [3, 4]);
//! let at_the_end = unmasked(in_training, Some(dropout)).materialize(); // a plain module, the expected update merged
//! # let _ = at_the_end;
//! ```

use burn::module::{Module, ModuleMapper, Param, ParamGroup, Reparameterization, Reparameterizer};
use burn::tensor::{Tensor, TensorData};

use crate::adapter::initial_factors;
use crate::config::{Init, LowRankSettings};
use crate::dropout::LoraDropout;
use crate::random::{Draw, NoiseKind};
use crate::sampler::MaskSampler;
use crate::tensors::HostTensor;

/// Freezes a module and gives its matrices trained factors: to be used with
/// [`Module::apply_reparameterization`].
#[derive(Clone, Debug)]
pub struct LoraDropoutOn {
    /// Rank `r`, at least 1.
    pub rank: usize,
    /// Numerator `α` of the scaling `α / r`.
    pub alpha: f64,
    /// LoRA Dropout; `None` is Burn's own LoRA.
    pub dropout: Option<LoraDropout>,
    /// Seed of the first factors, which depend on the path of the parameter too.
    pub seed: u64,
    /// Which parameters get factors; all are frozen.
    pub group: ParamGroup,
}

/// The update of one matrix.
#[derive(Module, Debug)]
pub struct MaskedUpdate {
    /// `A: [d_input, rank]`.
    pub a: Param<Tensor<2>>,
    /// `B: [rank, d_output]`.
    pub b: Param<Tensor<2>>,
    /// `m_A: [d_input]`, not trained.
    keep_input: Param<Tensor<1>>,
    /// `m_B: [d_output]`, not trained.
    keep_output: Param<Tensor<1>>,
    /// `m_R: [rank]`, not trained.
    keep_rank: Param<Tensor<1>>,
    scale: f64,
}

impl Reparameterization for MaskedUpdate {
    const NAME: &'static str = "lora_dropout";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let [d_input, rank] = self.a.dims();
        let [_, d_output] = self.b.dims();
        let a = self.a.val() * self.keep_input.val().reshape([d_input, 1]);
        let a = a * self.keep_rank.val().reshape([1, rank]);
        let b = self.b.val() * self.keep_output.val().reshape([1, d_output]);
        let update = a.matmul(b).mul_scalar(self.scale); // [d_input, d_output]
        let shape = base.shape();
        base + update.reshape(shape)
    }
}

impl Reparameterizer for LoraDropoutOn {
    type Reparam = MaskedUpdate;

    /// # Panics
    ///
    /// Panics if the rank is 0.
    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<MaskedUpdate>) {
        if D != 2 || !self.group.matches(&param.id, Some(path)) {
            return (param.set_require_grad(false), None);
        }
        let base = param.base();
        let device = base.device();
        let [d_input, d_output] = [base.dims()[0], base.dims()[1]];
        let settings = LowRankSettings {
            rank: self.rank,
            scale: self.alpha / self.rank as f64,
            mean_factor: 1.0,
        };
        let dims = [d_input, d_output];
        let first = initial_factors(path, dims, &settings, Init::KaimingUniform, self.seed, || {
            unreachable!("this initialization does not read the weight")
        });
        let first = first.expect("this initialization fits every shape");
        let matrix = |tensor: HostTensor| Param::from_tensor(tensor.on::<2>(&device));
        let mask = |side: NoiseKind, length: usize| {
            let kept = mean_entry(self.dropout, side);
            let data = TensorData::new(vec![kept; length], [length]);
            Param::from_tensor(Tensor::<1>::from_data(data, &device)).set_require_grad(false)
        };
        let update = MaskedUpdate {
            a: matrix(first.a),
            b: matrix(first.b),
            keep_input: mask(NoiseKind::Input, d_input),
            keep_output: mask(NoiseKind::Output, d_output),
            keep_rank: mask(NoiseKind::Rank, self.rank),
            scale: settings.scale,
        };
        (param.set_require_grad(false), Some(update))
    }
}

/// The module with the masks of a draw: one mask for all rows of a batch, as in the paper.
pub fn masked<M: Module>(module: M, sampler: &MaskSampler, draw: Draw) -> M {
    let values = |path: &str, side: NoiseKind, length: usize| match masked_side(sampler.dropout, side) {
        Some(dropout) => sampler.entries(&dropout, path, side, draw, length),
        None => vec![1.0; length],
    };
    module.map(&mut SetMasks {
        path: Vec::new(),
        values,
    })
}

/// The module with the expected update: what [`Pass::Mean`](crate::Pass::Mean) is for a model of this crate.
pub fn unmasked<M: Module>(module: M, dropout: Option<LoraDropout>) -> M {
    module.map(&mut SetMasks {
        path: Vec::new(),
        values: |_: &str, side: NoiseKind, length: usize| vec![mean_entry(dropout, side); length],
    })
}

/// The mean of a mask entry; the product of the masks' means is the mean factor.
fn mean_entry(dropout: Option<LoraDropout>, side: NoiseKind) -> f32 {
    masked_side(dropout, side).map_or(1.0, |dropout| dropout.mean_entry() as f32)
}

/// The settings, if they mask this side.
fn masked_side(dropout: Option<LoraDropout>, side: NoiseKind) -> Option<LoraDropout> {
    dropout.filter(|dropout| match side {
        NoiseKind::Input => dropout.axes.mask_input(),
        NoiseKind::Output => dropout.axes.mask_output(),
        NoiseKind::Rank => dropout.axes.mask_rank(),
        NoiseKind::Noise | NoiseKind::SharedNoise | NoiseKind::Keys | NoiseKind::Cut => false,
    })
}

/// Replaces the masks below a module.
struct SetMasks<F> {
    path: Vec<String>,
    /// Entries by path of the matrix, side and length.
    values: F,
}

impl<F: FnMut(&str, NoiseKind, usize) -> Vec<f32>> ModuleMapper for SetMasks<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let [matrix @ .., kind, mask] = &self.path[..] else {
            return param;
        };
        let side = match (kind.as_str(), mask.as_str()) {
            (MaskedUpdate::NAME, "keep_input") => NoiseKind::Input,
            (MaskedUpdate::NAME, "keep_output") => NoiseKind::Output,
            (MaskedUpdate::NAME, "keep_rank") => NoiseKind::Rank,
            _ => return param,
        };
        // Masks are drawn for modules, as PEFT names them: `encoder.query`, not `encoder.query.weight`.
        let module = matrix.strip_suffix(&["weight".to_owned()]).unwrap_or(matrix);
        let shape = param.lazy_shape();
        let values = (self.values)(&module.join("."), side, shape.num_elements());
        param.map(|old| {
            Tensor::from_data(TensorData::new(values, shape), &old.device()).set_require_grad(false)
        })
    }
}
