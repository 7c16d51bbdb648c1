//! The linear layer that every block is made of.
//!
//! | file | holds |
//! |---|---|
//! | `attach` | a new adapter on a linear, taken off again or merged |
//! | `absorbed` | the part of the base weight that an initialization puts into the adapter |
//! | `training` | which part of the pretrained layer is trained, and every trained parameter by name |
//! | `choices` | the adapters of a bank, row by row |
//! | `tapped` | the mean pass that notes inputs and output gradients |

mod absorbed;
mod attach;
mod choices;
mod precision;
mod tapped;
mod training;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use lora_kernels::{Fp32Precision, linear, lora_beside};

pub(crate) use absorbed::Absorbed;
pub(crate) use choices::BankChoice;
pub use training::BaseTraining;

use crate::adapter::{Adapter, Delta, folded_shape};
use crate::bottleneck::{Bottleneck, BottleneckBlock};
use crate::pass::Pass;

/// A linear layer that may carry an adapter. It knows its Hugging Face path, by which targets, masks and files
/// refer to it.
#[derive(Module, Debug)]
pub struct LoraLinear {
    /// The pretrained layer, weight `[d_input, d_output]`.
    pub base: Linear,
    /// What is trained beside it.
    pub adapter: Option<Adapter>,
    /// What is trained after it.
    pub bottleneck: Option<Bottleneck>,
    #[module(skip)]
    path: String,
    #[module(skip)]
    kind: LinearKind,
    #[module(skip)]
    block: Option<BottleneckBlock>,
    #[module(skip)]
    training: BaseTraining,
    #[module(skip)]
    precision: Fp32Precision,
    #[module(skip)]
    absorbed: Option<Absorbed>,
    /// One for each adapter of a bank; `None` where the adapter leaves this linear as it is.
    #[module(skip)]
    choices: Vec<Option<BankChoice>>,
}

/// What a linear is in the files of Hugging Face, which decides how its weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearKind {
    /// A linear layer, stored as `[d_output, d_input]`.
    Linear,
    /// GPT-2's, stored as `[d_input, d_output]`.
    Conv1d,
    /// A table of embeddings, stored as `[d_input, d_output]`: a linear on one-hot vectors, so `d_input` is the number of
    /// its rows and `d_output` the features of an embedding. See [`LoraEmbedding`](crate::LoraEmbedding).
    Table,
}

impl LoraLinear {
    /// A linear without adapter.
    ///
    /// # Shapes
    ///
    /// - weight: `[d_input, d_output]`, the transpose of PyTorch's
    /// - bias: `[d_output]`
    pub fn new(path: impl Into<String>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let base = Linear {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
        };
        Self {
            base,
            adapter: None,
            bottleneck: None,
            path: path.into(),
            kind: LinearKind::Linear,
            block: None,
            training: BaseTraining::Frozen,
            precision: Fp32Precision::Ieee,
            absorbed: None,
            choices: Vec::new(),
        }
    }

    /// The same linear as another kind.
    #[must_use]
    pub fn of_kind(mut self, kind: LinearKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same linear as the last one of a block, before residual and norm.
    #[must_use]
    pub fn ending(mut self, block: BottleneckBlock) -> Self {
        self.block = Some(block);
        self
    }

    /// Its Hugging Face path, such as `bert.encoder.layer.0.attention.self.query`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What it is in files.
    pub fn kind(&self) -> LinearKind {
        self.kind
    }

    /// The block whose output is this linear's.
    pub fn block(&self) -> Option<BottleneckBlock> {
        self.block
    }

    /// `[d_input, d_output]`.
    pub fn dims(&self) -> [usize; 2] {
        self.base.weight.dims()
    }

    /// `y = x W + b`, changed by the adapter as its form says; for LoRA `+ s · ((x ⊙ m_A) A B) ⊙ m_B`
    /// ([`lora_kernels::lora_linear`]). A bottleneck then reads `y`.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, ..., d_input]`
    /// - output: `[batch, ..., d_output]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not agree, if the pass holds masks, but none for this linear, or if it chooses an adapter that
    /// is not in the bank.
    pub fn forward<const D: usize>(&self, input: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let output = match pass {
            Pass::Chosen(rows) => self.by_choice(rows, |places, base, adapter| {
                let part = match places {
                    Some(places) => input.clone().select(0, places),
                    None => input.clone(),
                };
                self.forward_with(base, adapter, part, &Pass::Mean)
            }),
            Pass::Mean | Pass::Stochastic(_) => {
                self.forward_with(&self.base, self.adapter.as_ref(), input, pass)
            }
            Pass::Tapped(taps) => self.forward_tapped(input, taps),
        };
        match &self.bottleneck {
            Some(bottleneck) => bottleneck.forward(output),
            None => output,
        }
    }

    /// What passes over one input share of [`LoraLinear::forward`], all of which a pass computes whose `shared` is empty: `x W + b`,
    /// beside which each pass has its own low-rank branch. Outputs have the bits of [`LoraLinear::forward`].
    ///
    /// # Shapes
    ///
    /// - shared: as the output
    ///
    /// # Panics
    ///
    /// As [`LoraLinear::forward`].
    pub fn forward_sharing<const D: usize>(
        &self,
        input: Tensor<D>,
        pass: &Pass,
        shared: &mut Option<Tensor<D>>,
    ) -> Tensor<D> {
        let branch = match (&self.adapter, &self.bottleneck, pass) {
            (None, None, Pass::Mean | Pass::Stochastic(_)) => None,
            (Some(Adapter::LowRank(factors)), None, Pass::Mean | Pass::Stochastic(_)) => Some(factors),
            _ => return self.forward(input, pass),
        };
        let base = shared.get_or_insert_with(|| {
            let bias = self.base.bias.as_ref().map(Param::val);
            let bias = branch.map_or(bias.clone(), |factors| factors.with_own_bias(bias));
            linear(input.clone(), self.weight(), bias)
        });
        match branch {
            None => base.clone(),
            Some(factors) => {
                let branch = factors.branch(&self.path, folded_shape(&input), pass);
                lora_beside(base.clone(), input, branch)
            }
        }
    }

    /// The pretrained layer alone.
    fn without_adapter<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.forward_with(&self.base, None, input, &Pass::Mean)
    }

    fn forward_with<const D: usize>(
        &self,
        base: &Linear,
        adapter: Option<&Adapter>,
        input: Tensor<D>,
        pass: &Pass,
    ) -> Tensor<D> {
        let weight = self.weight_of(base);
        let bias = base.bias.as_ref().map(Param::val);
        match adapter {
            None => linear(input, weight, bias),
            Some(adapter) => adapter.forward(&self.path, input, weight, bias, pass),
        }
    }

    /// The dense update of [`Pass::Mean`]; `None` without an adapter. A bottleneck has none.
    pub fn delta(&self) -> Option<Delta> {
        self.adapter
            .as_ref()
            .map(|adapter| adapter.delta(&self.wide_weight()))
    }
}
