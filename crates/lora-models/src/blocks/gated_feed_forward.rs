//! The gated feed-forward block of the LLaMA family.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};
use lora_kernels::gated_silu;

use super::{Activation, linears_of};

/// `(activation(x W_g) ⊙ x W_u) W_d` (Shazeer 2020; with silu: `SwiGLU`).
#[derive(Module, Debug)]
pub struct GatedFeedForward {
    /// `[d_model, d_ff]`.
    pub gate: LoraLinear,
    /// `[d_model, d_ff]`.
    pub up: LoraLinear,
    /// `[d_ff, d_model]`.
    pub down: LoraLinear,
    /// Activation of the gate.
    #[module(skip)]
    pub activation: Activation,
}

linears_of!(GatedFeedForward: gate, up, down);

impl GatedFeedForward {
    /// # Shapes
    ///
    /// - input, output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let gate = self.gate.forward(input.clone(), pass); // [batch, seq, d_ff]
        let up = self.up.forward(input, pass); // [batch, seq, d_ff]
        let inner = match self.activation {
            Activation::Silu => gated_silu(gate, up),
            other => other.forward(gate) * up,
        };
        pass.cut_hidden(self.down.path(), self.down.forward(inner, pass))
    }
}
