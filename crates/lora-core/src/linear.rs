//! The linear layer that every block is made of.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, FloatDType, Int, Tensor};
use lora_kernels::{Fp32Precision, LinearWeight, linear, lora_beside};

use crate::adapter::{Adapter, Delta, folded_shape};
use crate::attaching::Moved;
use crate::bank::Choice;
use crate::bottleneck::Bottleneck;
use crate::pass::Pass;
use crate::trained::BaseTraining;

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
    block: Option<Block>,
    #[module(skip)]
    pub(crate) training: BaseTraining,
    #[module(skip)]
    precision: Fp32Precision,
    /// What an init moved from the base weight into the adapter, `s · A₀ B₀`.
    #[module(skip)]
    pub(crate) moved: Option<Moved>,
    /// What the adapters of a bank have in the place of this linear.
    #[module(skip)]
    pub(crate) choices: Vec<Option<Choice>>,
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

/// The blocks of a transformer layer after whose last linear a [`Bottleneck`] may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Attention, with its output projection.
    Attention,
    /// The feed-forward block.
    FeedForward,
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
            moved: None,
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
    pub fn ending(mut self, block: Block) -> Self {
        self.block = Some(block);
        self
    }

    /// The same linear with another precision of its products, for as long as its weight is frozen. For [`Fp32Precision::Bf16`] the
    /// weight is held in bf16, and nothing else of it is kept.
    #[must_use]
    pub fn in_precision(mut self, precision: Fp32Precision) -> Self {
        let weight = self.wide_weight();
        self.precision = precision;
        self.base.weight = self.as_held(weight);
        self
    }

    /// How its products are computed.
    pub fn precision(&self) -> Fp32Precision {
        match self.training {
            BaseTraining::Frozen | BaseTraining::Bias => self.precision,
            BaseTraining::Pretrained | BaseTraining::Full => Fp32Precision::Ieee,
        }
    }

    /// The weight as a product reads it.
    pub fn weight(&self) -> LinearWeight {
        self.weight_of(&self.base)
    }

    fn weight_of(&self, base: &Linear) -> LinearWeight {
        LinearWeight {
            values: base.weight.val(),
            precision: self.precision(),
        }
    }

    /// The weight in the type that everything else has, whatever it is held in.
    pub(crate) fn wide_weight(&self) -> Tensor<2> {
        self.weight().widened()
    }

    /// A weight that is not trained, in the type that it is held in.
    pub(crate) fn as_held(&self, weight: Tensor<2>) -> Param<Tensor<2>> {
        let weight = match self.precision() {
            Fp32Precision::Bf16 => weight.cast(FloatDType::BF16),
            Fp32Precision::Ieee | Fp32Precision::Bf16x3 => weight,
        };
        Param::from_tensor(weight.detach()).set_require_grad(false)
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
    pub fn block(&self) -> Option<Block> {
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
            Pass::Mean | Pass::Masked(_) => self.forward_with(&self.base, self.adapter.as_ref(), input, pass),
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
            (None, None, Pass::Mean | Pass::Masked(_)) => None,
            (Some(Adapter::LowRank(factors)), None, Pass::Mean | Pass::Masked(_)) => Some(factors),
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
    pub(crate) fn without_adapter<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.forward_with(&self.base, None, input, &Pass::Mean)
    }

    pub(crate) fn forward_with<const D: usize>(
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

    /// Rows of one adapter go through together, and then back to their places. `forward` takes the places of such rows (none
    /// if they are all), the layer and the adapter.
    pub(crate) fn by_choice<const D: usize>(
        &self,
        rows: &[Option<usize>],
        forward: impl Fn(Option<Tensor<1, Int>>, &Linear, Option<&Adapter>) -> Tensor<D>,
    ) -> Tensor<D> {
        // Adapters that leave this linear alone share its base.
        let own = |row: &Option<usize>| row.filter(|number| self.choices[*number].is_some());
        let device = self.base.weight.device();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| own(&rows[*row]));
        let mut parts = Vec::new();
        for group in order.chunk_by(|left, right| own(&rows[*left]) == own(&rows[*right])) {
            let places = (group.len() < rows.len()).then(|| indices(group, &device));
            let choice = own(&rows[group[0]]).and_then(|number| self.choices[number].as_ref());
            parts.push(match choice {
                Some(Choice { base, adapter }) => forward(places, base, adapter.as_ref()),
                None => forward(places, &self.base, None),
            });
        }
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut places = vec![0; order.len()];
        for (place, row) in order.into_iter().enumerate() {
            places[row] = place;
        }
        let output = Tensor::cat(parts, 0);
        assert_eq!(
            rows.len(),
            output.dims()[0],
            "one choice for each row of the batch"
        );
        output.select(0, indices(&places, &device))
    }

    /// The dense update of [`Pass::Mean`]; `None` without an adapter. A bottleneck has none.
    pub fn delta(&self) -> Option<Delta> {
        self.adapter
            .as_ref()
            .map(|adapter| adapter.delta(&self.wide_weight()))
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    Tensor::from_data(rows.as_slice(), device)
}
