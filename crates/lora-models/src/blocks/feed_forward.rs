//! The feed-forward block of the encoders.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::bottleneck::BottleneckBlock;
use lora_core::{LoraLinear, Pass};

use super::{Activation, linears_of};

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

linears_of!(FeedForward: up, down);

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
}
