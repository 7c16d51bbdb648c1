//! The convolution that some DeBERTa-v2 checkpoints have beside their first layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;

use super::DebertaV2Config;
use crate::blocks::{Activation, LayerNorm};
use crate::error::LoadError;
use crate::weights::Scope;

/// `norm(layer output + activation(conv(layer input)))`, zero where padded.
#[derive(Module, Debug)]
pub struct Convolution {
    /// `[d_model, d_model / groups, width]`.
    weight: Param<Tensor<3>>,
    bias: Param<Tensor<1>>,
    norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    groups: usize,
}

impl Convolution {
    /// The block whose path is that of the scope (`encoder.conv`).
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn load(config: &DebertaV2Config, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, groups) = (config.hidden_size, config.conv_groups.max(1));
        let conv = at.at("conv");
        Ok(Self {
            weight: conv.parameter("weight", [d_model, d_model / groups, config.conv_kernel_size])?,
            bias: conv.parameter("bias", [d_model])?,
            norm: at.at("LayerNorm").layer_norm(d_model, config.layer_norm_eps)?,
            activation: config.conv_act,
            groups,
        })
    }

    /// # Shapes
    ///
    /// - input, residual, output: `[batch, seq, d_model]`
    /// - real: `[batch, seq, 1]`, 1 for a real token, 0 for padding
    pub fn forward(&self, input: Tensor<3>, residual: Tensor<3>, real: Tensor<3>) -> Tensor<3> {
        let [_, _, width] = self.weight.dims();
        let options = ConvOptions::new([1], [(width - 1) / 2], [1], self.groups);
        let convolved = conv1d(
            input.swap_dims(1, 2), // [batch, d_model, seq]
            self.weight.val(),
            Some(self.bias.val()),
            options,
        );
        let convolved = convolved.swap_dims(1, 2) * real.clone(); // [batch, seq, d_model]
        self.norm.forward(residual + self.activation.forward(convolved)) * real
    }
}
