//! Self-attention of the decoders: every token sees itself and those before it.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::{LoraLinear, Packing, Pass};
use lora_kernels::{HIDDEN, attention};

use super::key_value_cache::LayerCache;
use super::{RmsNorm, Rotation, linears_of};

/// Query, key and value projections, grouped-query attention (Ainslie et al. 2023) over the tokens up to each one, output
/// projection. With as many key/value heads as heads it is multi-head attention.
#[derive(Module, Debug)]
pub struct CausalSelfAttention {
    /// Query, key, value: `[d_model, n_heads · d_head]`, then twice `[d_model, n_key_value_heads · d_head]`; or one linear
    /// for all three, side by side (GPT-2).
    pub projections: Vec<LoraLinear>,
    /// `[n_heads · d_head, d_model]`.
    pub output: LoraLinear,
    /// A norm over `d_head` of every query head (Qwen3).
    pub query_norm: Option<RmsNorm>,
    /// A norm over `d_head` of every key head (Qwen3).
    pub key_norm: Option<RmsNorm>,
    /// How features are shared out to heads.
    #[module(skip)]
    pub heads: Heads,
}

linears_of!(CausalSelfAttention: projections, output);

/// How features are shared out to heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// `n_heads`, of the query.
    pub query: usize,
    /// Heads of key and value; a divisor of `n_heads`. Query head h reads key head `⌊h / (query / key_value)⌋`.
    pub key_value: usize,
    /// `d_head`.
    pub d_head: usize,
}

/// What a layer must know of the positions of this pass.
#[derive(Clone, Debug)]
pub struct CausalContext {
    /// Turns queries and keys; none for models with another kind of positions.
    pub rotation: Option<Rotation>,
    /// What hides tokens, from [`causal_bias`]; none where every key is seen.
    pub bias: Option<Tensor<4>>,
    /// Where the tokens stand, of an input that is packed.
    pub packing: Option<Packing>,
}

impl CausalSelfAttention {
    /// # Shapes
    ///
    /// - input, output: `[batch, seq, d_model]`, or `[1, tokens, d_model]` packed
    ///
    /// With a cache, the keys are those of the tokens in it and of the input.
    ///
    /// # Panics
    ///
    /// Panics if there are neither three projections nor one.
    pub fn forward(
        &self,
        input: Tensor<3>,
        causal: &CausalContext,
        cache: Option<&mut LayerCache>,
        pass: &Pass,
    ) -> Tensor<3> {
        let Heads {
            query: n_heads,
            key_value,
            d_head,
        } = self.heads;
        // Scores are computed with padding, projections without.
        let packing = causal.packing.as_ref();
        let [query, key, value] = self.project(input, pass).map(|x| match packing {
            None => x,
            Some(packing) => packing.padded(x),
        });
        let [batch, seq, _] = query.dims();
        let split = |x: Tensor<3>, heads| x.reshape([batch, seq, heads, d_head]).swap_dims(1, 2);
        let mut query = split(query, n_heads); // [batch, n_heads, seq, d_head]
        let mut key = split(key, key_value); // [batch, n_key_value_heads, seq, d_head]
        let value = split(value, key_value);
        if let (Some(query_norm), Some(key_norm)) = (&self.query_norm, &self.key_norm) {
            query = query_norm.forward(query);
            key = key_norm.forward(key);
        }
        if let Some(rotation) = &causal.rotation {
            query = rotation.apply(query);
            key = rotation.apply(key);
        }
        let [key, value] = match cache {
            Some(cache) => cache.extend(key, value),
            None => [key, value],
        };
        let keys = [batch, key_value, key.dims()[2]];
        let dropped = pass.dropped_keys(self.projections[0].path(), keys, &key.device());
        // Of the heads of a group all are without a key that is dropped: `[batch, n_key_value_heads, 1, keys]`.
        let bias = match (causal.bias.clone(), dropped) {
            (Some(bias), Some(dropped)) => Some(bias + dropped),
            (bias, dropped) => bias.or(dropped),
        };
        let context = attention(query, key, value, bias) // [batch, n_heads, seq, d_head]
            .swap_dims(1, 2)
            .reshape([batch, seq, n_heads * d_head]);
        let context = match packing {
            None => context,
            Some(packing) => packing.packed(context),
        };
        self.output.forward(context, pass)
    }

    /// Query, key and value, each `[batch, seq, its heads · d_head]`.
    fn project(&self, input: Tensor<3>, pass: &Pass) -> [Tensor<3>; 3] {
        match &self.projections[..] {
            [query, key, value] => [query, key, value].map(|linear| linear.forward(input.clone(), pass)),
            [fused] => {
                let all = fused.forward(input, pass); // [batch, seq, 3 · d_model]
                let width = all.dims()[2] / 3;
                [0, 1, 2].map(|part| all.clone().narrow(2, part * width, width))
            }
            other => panic!("{} projections; attention has three, or one for all", other.len()),
        }
    }
}

/// Which keys each query may see.
#[derive(Clone, Copy, Debug)]
pub struct CausalSpan {
    /// Tokens before those of this pass, held by a cache.
    pub before: usize,
    /// Tokens of this pass.
    pub seq: usize,
    /// A token sees only the last so many, itself included (Mistral); none sees all before it.
    pub window: Option<usize>,
}

/// The bias that hides later tokens, tokens out of the window, and padding; none if nothing is hidden.
///
/// # Shapes
///
/// - padding: `[batch, 1, 1, before + seq]`, from [`lora_kernels::padding_bias`]
/// - output: `[batch or 1, 1, seq, before + seq]`
pub fn causal_bias(span: CausalSpan, padding: Option<Tensor<4>>, device: &Device) -> Option<Tensor<4>> {
    let CausalSpan { before, seq, window } = span;
    let keys = before + seq;
    if seq == 1 && window.is_none_or(|window| keys <= window) {
        return padding;
    }
    let hidden = |query: usize, key: usize| key > query || window.is_some_and(|window| key + window <= query);
    let values = (0..seq).flat_map(|row| {
        let query = before + row;
        (0..keys).map(move |key| if hidden(query, key) { HIDDEN as f32 } else { 0.0 })
    });
    let data = TensorData::new(values.collect::<Vec<_>>(), [1, 1, seq, keys]);
    let causal = Tensor::from_data(data, device);
    Some(match padding {
        Some(padding) => causal + padding,
        None => causal,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// For each query, the keys it sees.
    fn seen(past: usize, seq: usize, window: Option<usize>) -> Vec<Vec<usize>> {
        let span = CausalSpan {
            before: past,
            seq,
            window,
        };
        let bias = causal_bias(span, None, &Device::default());
        let values = bias.map_or(vec![0.0; past + seq], |bias| {
            bias.into_data().try_to_vec::<f32>().unwrap()
        });
        values
            .chunks(past + seq)
            .map(|row| (0..row.len()).filter(|key| row[*key] == 0.0).collect())
            .collect()
    }

    #[test]
    fn a_token_sees_itself_and_those_before() {
        assert_eq!(seen(0, 3, None), [vec![0], vec![0, 1], vec![0, 1, 2]]);
        assert_eq!(seen(2, 2, None), [vec![0, 1, 2], vec![0, 1, 2, 3]]);
        assert_eq!(seen(4, 1, None), [vec![0, 1, 2, 3, 4]]);
    }

    #[test]
    fn a_window_counts_the_token_itself() {
        assert_eq!(seen(0, 4, Some(2)), [vec![0], vec![0, 1], vec![1, 2], vec![2, 3]]);
        assert_eq!(seen(4, 1, Some(2)), [vec![3, 4]]);
        assert_eq!(seen(1, 1, Some(2)), [vec![0, 1]]);
    }
}
