//! Activation functions by their names in `config.json`.

use burn::tensor::Tensor;
use burn::tensor::activation::{gelu_approximate, relu};
use lora_kernels::{gelu, silu};
use serde::Deserialize;
use thiserror::Error;

/// An activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Activation {
    /// `x Φ(x)`.
    Gelu,
    /// `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`: an approximation of it that GPT-2 was trained with.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// `x σ(x)`.
    Silu,
    /// `tanh(x)`.
    Tanh,
}

/// A name that is no activation known here.
#[derive(Debug, Error)]
#[error(
    "the activation `{found}` is not supported; supported: gelu, gelu_new, gelu_pytorch_tanh, relu, silu, swish, tanh"
)]
pub struct UnknownActivation {
    /// The name.
    pub found: String,
}

impl TryFrom<String> for Activation {
    type Error = UnknownActivation;

    fn try_from(name: String) -> Result<Self, UnknownActivation> {
        match name.as_str() {
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "silu" | "swish" => Ok(Self::Silu),
            "tanh" => Ok(Self::Tanh),
            _ => Err(UnknownActivation { found: name }),
        }
    }
}

impl Activation {
    /// # Shapes
    ///
    /// - input, output: any, the same
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Gelu => gelu(input),
            Self::GeluTanh => gelu_approximate(input),
            Self::Relu => relu(input),
            Self::Silu => silu(input),
            Self::Tanh => input.tanh(),
        }
    }
}
