//! Tables of embeddings, which may carry an adapter too.

use burn::module::Module;
use burn::tensor::module::embedding;
use burn::tensor::{FloatDType, Int, Tensor};
use lora_kernels::Fp32Precision;

use crate::adapter::{Adapter, LowRank};
use crate::linear::{LinearKind, LoraLinear};
use crate::pass::Pass;

/// A table of embeddings: a linear on one-hot vectors, so everything documented for linears holds for it. Only its forward differs:
/// it takes rows instead of multiplying, and so does the adapter, whose A has a row for every token.
///
/// LoRA Dropout: `m_A` drops tokens (a column of PEFT's `lora_embedding_A` is one token), `m_B` drops features (rows of
/// `lora_embedding_B`). Input dropout does not apply, as in PEFT.
#[derive(Module, Debug)]
pub struct LoraEmbedding {
    /// Weight `[count, d_output]`, no bias.
    pub table: LoraLinear,
}

impl LoraEmbedding {
    /// A table without adapter.
    ///
    /// # Shapes
    ///
    /// - weight: `[count, d_output]`
    pub fn new(path: impl Into<String>, weight: Tensor<2>) -> Self {
        Self {
            table: LoraLinear::new(path, weight, None).of_kind(LinearKind::Table),
        }
    }

    /// The same table held for another precision, as [`LoraLinear::in_precision`]. Rows that are looked up are f32 in any case.
    #[must_use]
    pub fn in_precision(self, precision: Fp32Precision) -> Self {
        Self {
            table: self.table.in_precision(precision),
        }
    }

    /// The pretrained table as it is held, `[count, d_output]`.
    pub fn weight(&self) -> Tensor<2> {
        self.table.base.weight.val()
    }

    /// `W[id] + s · ((m_A[id] · A[id]) B) ⊙ m_B`.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, seq]`
    /// - output: `[batch, seq, d_output]`
    ///
    /// # Panics
    ///
    /// As [`LoraLinear::forward`]; also if an adapter is none of the low-rank form, which no table is given.
    pub fn forward(&self, ids: Tensor<2, Int>, pass: &Pass) -> Tensor<3> {
        let look_up = |weight: Tensor<2>, adapter: Option<&Adapter>, ids: Tensor<2, Int>, pass: &Pass| {
            let rows = embedding(weight, ids.clone());
            let rows = match self.table.precision() {
                Fp32Precision::Bf16 => rows.cast(FloatDType::F32),
                Fp32Precision::Ieee | Fp32Precision::Bf16x3 => rows,
            };
            match adapter {
                None => rows,
                Some(Adapter::LowRank(low_rank)) => rows + update(low_rank, self.table.path(), ids, pass),
                Some(other) => panic!("a table of embeddings cannot carry {}", other.kind()),
            }
        };
        match pass {
            Pass::Chosen(rows) => self.table.by_choice(rows, |places, base, adapter| {
                let part = match places {
                    Some(places) => ids.clone().select(0, places),
                    None => ids.clone(),
                };
                look_up(base.weight.val(), adapter, part, &Pass::Mean)
            }),
            Pass::Mean | Pass::Stochastic(_) | Pass::Tapped(_) => {
                look_up(self.weight(), self.table.adapter.as_ref(), ids, pass)
            }
        }
    }

    /// As [`LoraEmbedding::forward`] for ids that all rows of a batch share, such as places: looked up once where that is the
    /// same.
    ///
    /// # Shapes
    ///
    /// - ids: `[1, seq]`
    /// - output: `[batch, seq, d_output]`, or `[1, seq, d_output]` where rows do not differ
    pub fn forward_shared(&self, ids: Tensor<2, Int>, batch: usize, pass: &Pass) -> Tensor<3> {
        let differ = match pass {
            Pass::Mean | Pass::Tapped(_) => false,
            Pass::Stochastic(_) => self.table.adapter.is_some(),
            Pass::Chosen(_) => true,
        };
        let [_, seq] = ids.dims();
        self.forward(if differ { ids.expand([batch, seq]) } else { ids }, pass)
    }
}

/// `s · ((m_A[id] · A[id] ⊙ m_R) B) ⊙ m_B`, `[batch, seq, d_output]`.
fn update(low_rank: &LowRank, path: &str, ids: Tensor<2, Int>, pass: &Pass) -> Tensor<3> {
    let [batch, seq] = ids.dims();
    let masked = match pass {
        Pass::Stochastic(noise) => noise.keep_masks(path).map(|masks| (noise, masks)),
        Pass::Mean | Pass::Chosen(_) | Pass::Tapped(_) => None,
    };
    let rows = embedding(low_rank.a.val(), ids.clone()); // [batch, seq, rank]
    let product = |rows: Tensor<3>| {
        let [batch, seq, rank] = rows.dims();
        let b = low_rank.b.val();
        let d_output = b.dims()[1];
        rows.reshape([batch * seq, rank])
            .matmul(b)
            .reshape([batch, seq, d_output])
    };
    let Some((noise, masks)) = masked else {
        return product(rows).mul_scalar(low_rank.mean_scale());
    };
    // As for linears. Each token of a packed batch is a row of its own.
    let group_of_row = noise.groups_of(batch, masks.groups());
    let shape = [batch, seq, rows.dims()[2]];
    let batch = group_of_row.len();
    let seq = shape[0] * shape[1] / batch;
    let ids = ids.reshape([batch, seq]);
    let rows = rows.reshape([batch, seq, shape[2]]);
    let group_of_row = Tensor::<1, Int>::from_data(group_of_row.as_slice(), &ids.device());
    let of_rows = |mask: &Tensor<2>| {
        let [_, length] = mask.dims();
        let mask = mask.clone().select(0, group_of_row.clone());
        mask.reshape([batch, 1, length])
    };
    let mut rows = rows;
    if let Some(input) = &masks.input {
        let [groups, count] = input.dims();
        let places = group_of_row.clone().mul_scalar(count as i32).reshape([batch, 1]);
        let places = (ids + places).reshape([batch * seq]); // in all masks, end to end
        let keep_tokens = input.clone().reshape([groups * count]).select(0, places);
        rows = rows * keep_tokens.reshape([batch, seq, 1]);
    }
    if let Some(rank) = &masks.rank {
        rows = rows * of_rows(rank);
    }
    let update = product(rows).mul_scalar(low_rank.scale());
    let update = match &masks.output {
        Some(output) => update * of_rows(output),
        None => update,
    };
    let [_, _, d_output] = update.dims();
    update.reshape([shape[0], shape[1], d_output])
}
