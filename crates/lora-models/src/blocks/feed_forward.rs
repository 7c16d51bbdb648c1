//! The feed-forward block of the encoders.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraLinear, Pass};

use super::Activation;

/// `activation(x W₁ + b₁) W₂ + b₂`.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[d_model, d_ff]`.
    pub up: LoraLinear,
    /// `[d_ff, d_model]`.
    pub down: LoraLinear,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    /// The block of these linears.
    pub fn new(up: LoraLinear, down: LoraLinear, activation: Activation) -> Self {
        let down = down.ending(BottleneckBlock::FeedForward);
        Self { up, down, activation }
    }

    /// # Shapes
    ///
    /// - input, output: `[batch, seq, d_model]`
    pub fn forward(&self, input: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let hidden = self.activation.forward(self.up.forward(input, pass)); // [batch, seq, d_ff]
        pass.cut_hidden(self.down.path(), self.down.forward(hidden, pass))
    }

    /// Calls `visit` with both linears.
    pub fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.up);
        visit(&self.down);
    }

    /// Calls `visit` with both linears, to change them.
    pub fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.up);
        visit(&mut self.down);
    }
}
