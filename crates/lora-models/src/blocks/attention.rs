//! Multi-head self-attention of the encoders.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{Block, LoraLinear, Pass};
use lora_kernels::attention;

use super::Projections;

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
            output: output.ending(Block::Attention),
            n_heads,
        }
    }

    /// The tokens `read` attend to all of `input`; `shared` is what passes over these tokens share.
    ///
    /// # Shapes
    ///
    /// - read, output: `[batch, tokens, d_model]`
    /// - input: `[batch, seq, d_model]`
    /// - bias: broadcastable to `[batch, n_heads, tokens, seq]`
    pub fn forward(
        &self,
        [read, input]: [Tensor<3>; 2],
        bias: Tensor<4>,
        pass: &Pass,
        shared: Option<&mut Projections>,
    ) -> Tensor<3> {
        let [batch, tokens, d_model] = read.dims();
        let heads = |x: Tensor<3>| {
            let [_, seq, _] = x.dims();
            x.reshape([batch, seq, self.n_heads, d_model / self.n_heads])
                .swap_dims(1, 2)
        };
        let [query, key, value] = match shared {
            None => [
                self.query.forward(read, pass),
                self.key.forward(input.clone(), pass),
                self.value.forward(input, pass),
            ],
            Some(shared) => {
                let [query, key, value] = shared;
                [
                    self.query.forward_sharing(read, pass, query),
                    self.key.forward_sharing(input.clone(), pass, key),
                    self.value.forward_sharing(input, pass, value),
                ]
            }
        };
        let query = heads(query); // [batch, n_heads, tokens, d_head]
        let [key, value] = [key, value].map(heads); // [batch, n_heads, seq, d_head]
        let keys = [batch, self.n_heads, key.dims()[2]];
        let bias = match pass.dropped_keys(self.key.path(), keys, &key.device()) {
            Some(dropped) => bias + dropped, // [batch, n_heads, 1, seq]
            None => bias,
        };
        let context = attention(query, key, value, Some(bias)); // [batch, n_heads, tokens, d_head]
        self.output
            .forward(context.swap_dims(1, 2).reshape([batch, tokens, d_model]), pass)
    }

    /// Calls `visit` with the four projections.
    pub fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        [&self.query, &self.key, &self.value, &self.output]
            .into_iter()
            .for_each(visit);
    }

    /// Calls `visit` with the four projections, to change them.
    pub fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        [&mut self.query, &mut self.key, &mut self.value, &mut self.output]
            .into_iter()
            .for_each(visit);
    }
}
