//! Disentangled self-attention: content with content, content with position, position with content (DeBERTa, arXiv
//! 2006.03654, equation 4).

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Int, Tensor};
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraLinear, Pass};
use lora_kernels::HIDDEN;

use super::DebertaV2Config;
use super::config::ScoreTerms;
use crate::blocks::linears_of;
use crate::error::LoadError;
use crate::weights::Scope;

/// `softmax((Qc Kcᵀ + Qc Kr[δ(i,j)]ᵀ + Kc Qr[δ(j,i)]ᵀ) / √(d_head · terms)) Vc`, then the output projection.
///
/// δ is the row of [`super::positions`]; Kr and Qr are projections of the table of relative positions, by the content's
/// own projections where the family shares them.
#[derive(Module, Debug)]
pub struct DisentangledAttention {
    query: LoraLinear,
    key: LoraLinear,
    value: LoraLinear,
    position_key: Option<LoraLinear>,
    position_query: Option<LoraLinear>,
    output: LoraLinear,
    #[module(skip)]
    terms: ScoreTerms,
    #[module(skip)]
    n_heads: usize,
}

linears_of!(DisentangledAttention: query, key, value, position_key, position_query, output);

/// Relative positions of one pass.
#[derive(Clone, Debug)]
pub struct Relative<'a> {
    /// The table, `[1, 2·span, d_model]`.
    pub table: Tensor<3>,
    /// Row of the table for the query at i and the key at j: `[seq, seq]`.
    pub rows: Tensor<2, Int>,
    /// How adapters act on the table: by the masks of each group.
    pub pass: Pass<'a>,
}

impl DisentangledAttention {
    /// The block whose path is that of the scope (`attention`).
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &DebertaV2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.hidden_size;
        let linear = |name: &str| at.at(name).linear(d_model, d_model);
        let terms = config.terms();
        let own = |needed: bool, name: &str| {
            (needed && config.relative_attention && !config.share_att_key)
                .then(|| linear(name))
                .transpose()
        };
        Ok(Self {
            query: linear("self.query_proj")?,
            key: linear("self.key_proj")?,
            value: linear("self.value_proj")?,
            position_key: own(terms.content_to_position, "self.pos_key_proj")?,
            position_query: own(terms.position_to_content, "self.pos_query_proj")?,
            output: linear("output.dense")?.ending(BottleneckBlock::Attention),
            terms,
            n_heads: config.num_attention_heads,
        })
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, seq, d_model]`
    /// - hidden: `[batch, 1, seq, seq]`, true where the query or the key is padding
    pub fn forward(
        &self,
        input: Tensor<3>,
        hidden: Tensor<4, Bool>,
        relative: Option<&Relative<'_>>,
        pass: &Pass,
    ) -> Tensor<3> {
        let [batch, seq, d_model] = input.dims();
        let terms =
            1 + usize::from(self.terms.content_to_position) + usize::from(self.terms.position_to_content);
        let scale = 1.0 / ((d_model / self.n_heads * terms) as f64).sqrt();
        let query = self
            .heads(self.query.forward(input.clone(), pass))
            .mul_scalar(scale); // [batch, n_heads, seq, d_head]
        let key = self.heads(self.key.forward(input.clone(), pass));
        let value = self.heads(self.value.forward(input, pass));

        let mut scores = query.clone().matmul(key.clone().transpose()); // [batch, n_heads, seq, seq]
        if let Some(relative) = relative {
            let shape = [batch, self.n_heads, seq, seq];
            let rows = relative.rows.clone().unsqueeze::<4>();
            if self.terms.content_to_position {
                let projection = self.position_key.as_ref().unwrap_or(&self.key);
                let position = self.positions(projection, relative, batch);
                let by_row = query.matmul(position.transpose()); // [batch, n_heads, seq, 2·span]
                scores = scores + by_row.gather(3, rows.clone().expand(shape));
            }
            if self.terms.position_to_content {
                let projection = self.position_query.as_ref().unwrap_or(&self.query);
                let position = self.positions(projection, relative, batch);
                let by_row = key.matmul(position.mul_scalar(scale).transpose()); // [batch, n_heads, seq, 2·span]
                // Rows are keys here, so the pairs are turned round twice.
                let by_key = by_row.gather(3, rows.transpose().expand(shape)); // [.., key, query]
                scores = scores + by_key.transpose();
            }
        }
        let keys = [batch, self.n_heads, seq];
        if let Some(dropped) = pass.dropped_keys(self.key.path(), keys, &scores.device()) {
            scores = scores + dropped;
        }
        let weights = softmax(
            scores.mask_fill(hidden.expand([batch, self.n_heads, seq, seq]), HIDDEN),
            3,
        );
        let context = weights.matmul(value).swap_dims(1, 2); // [batch, seq, n_heads, d_head]
        self.output.forward(context.reshape([batch, seq, d_model]), pass)
    }

    /// The projected table for every row of the batch: `[1 or batch, n_heads, 2·span, d_head]`.
    fn positions(&self, projection: &LoraLinear, relative: &Relative<'_>, batch: usize) -> Tensor<4> {
        let groups = match relative.pass {
            Pass::Stochastic(_) if projection.adapter.is_none() => 1, // no masks act here
            pass => pass.groups(),
        };
        let table = relative.table.clone().repeat_dim(0, groups);
        let projected = self.heads(projection.forward(table, &relative.pass));
        if groups == 1 {
            return projected;
        }
        // The sharing of rows among groups that masks have: row i belongs to group ⌊i·groups/batch⌋.
        let group_of_row: Vec<i32> = (0..batch).map(|row| (row * groups / batch) as i32).collect();
        let group_of_row = Tensor::from_data(group_of_row.as_slice(), &projected.device());
        projected.select(0, group_of_row)
    }

    fn heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [rows, places, d_model] = x.dims();
        x.reshape([rows, places, self.n_heads, d_model / self.n_heads])
            .swap_dims(1, 2)
    }
}
