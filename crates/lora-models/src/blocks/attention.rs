//! Multi-head self-attention of the encoders.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::LoraLinear;
use lora_core::bottleneck::BottleneckBlock;
use lora_kernels::{attention, packed_attention};

use super::{EncoderContext, Projections, Visibility, linears_of};

/// Query, key and value projections, attention over all positions, output projection.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// `[d_model, d_model]`.
    pub query: LoraLinear,
    /// `[d_model, d_model]`.
    pub key: LoraLinear,
    /// `[d_model, d_model]`.
    pub value: LoraLinear,
    /// `[d_model, d_model]`.
    pub output: LoraLinear,
    #[module(skip)]
    n_heads: usize,
}

linears_of!(SelfAttention: query, key, value, output);

impl SelfAttention {
    /// The block of these projections.
    ///
    /// # Panics
    ///
    /// Panics if `d_model` is not a multiple of `n_heads`.
    pub fn new([query, key, value, output]: [LoraLinear; 4], n_heads: usize) -> Self {
        let [_, d_model] = query.dims();
        assert!(
            d_model.is_multiple_of(n_heads),
            "{n_heads} heads do not divide {d_model} features"
        );
        Self {
            query,
            key,
            value,
            output: output.ending(BottleneckBlock::Attention),
            n_heads,
        }
    }

    /// The tokens `read` attend to all of `input`; `shared` is what passes over these tokens share.
    ///
    /// # Shapes
    ///
    /// - read, output: `[batch, tokens, d_model]`, or `[1, tokens, d_model]` packed
    /// - input: `[batch, seq, d_model]`, or `[1, tokens, d_model]` packed
    pub fn forward(
        &self,
        [read, input]: [Tensor<3>; 2],
        seen: &EncoderContext<'_>,
        shared: Option<&mut Projections>,
    ) -> Tensor<3> {
        let EncoderContext {
            read: of_read,
            all,
            visibility,
        } = seen;
        let shape = read.dims();
        let [query, key, value] = match shared {
            None => [
                self.query.forward(read, of_read),
                self.key.forward(input.clone(), all),
                self.value.forward(input, all),
            ],
            Some(shared) => {
                let [query, key, value] = shared;
                [
                    self.query.forward_sharing(read, of_read, query),
                    self.key.forward_sharing(input.clone(), all, key),
                    self.value.forward_sharing(input, all, value),
                ]
            }
        };
        let context = match visibility {
            Visibility::Bias(bias) => {
                let [query, key, value] = [query, key, value].map(|x| self.heads(x));
                let keys = [shape[0], self.n_heads, key.dims()[2]];
                let bias = match all.dropped_keys(self.key.path(), keys, &key.device()) {
                    Some(dropped) => bias.clone() + dropped, // [batch, n_heads, 1, seq]
                    None => bias.clone(),
                };
                attention(query, key, value, Some(bias)) // [batch, n_heads, tokens, d_head]
            }
            Visibility::Rows(lengths) => {
                let [query, key, value] = [query, key, value].map(|x| {
                    let [batch, tokens, d_model] = x.dims();
                    self.heads(x.reshape([1, batch * tokens, d_model]))
                });
                packed_attention(query, key, value, *lengths) // [1, n_heads, tokens, d_head]
            }
        };
        self.output
            .forward(context.swap_dims(1, 2).reshape(shape), of_read)
    }

    /// `[batch, seq, d_model]` as `[batch, n_heads, seq, d_head]`.
    fn heads(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, seq, d_model] = x.dims();
        x.reshape([batch, seq, self.n_heads, d_model / self.n_heads])
            .swap_dims(1, 2)
    }
}
