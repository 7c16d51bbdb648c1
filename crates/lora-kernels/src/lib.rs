//! The tensor operations that transformer blocks and adapters are made of.
//!
//! Each file holds one operation: its formula, its shapes, and a version composed of Burn primitives that runs
//! on every backend and is differentiable. Models and adapters call these functions and nothing below
//! them. An operation that matters for time is a Burn backend extension: its body in primitives serves every backend, and
//! a fused one replaces it on the Flex backend, forward and backward.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use lora_kernels::gelu;
//!
//! let x = Tensor::<1>::from_floats([-1.0, 0.0, 2.0], &Device::default());
//! let y = gelu(x).into_data().to_vec::<f32>().expect("f32 data");
//! assert!((y[2] - 1.954_499_7).abs() < 1e-6); // 2·Φ(2)
//! ```
//!
//! Axis names used everywhere: batch, seq, `d_model`, `n_heads`, `d_head`, `d_ff`, `d_input`, `d_output`, rank,
//! groups, classes.

mod attention;
mod backends;
mod cross_entropy;
#[cfg(test)]
mod drawn;
#[cfg(feature = "flex")]
mod flex;
mod fp32_precision;
mod gelu;
mod in_f32;
mod layer_norm;
mod linear;
mod lora_linear;
mod packed_weights;
#[cfg(test)]
mod properties;
mod rms_norm;
mod rotary;
mod silu;
mod threads;
mod vanishing;

pub use attention::{HIDDEN, attention, packed_attention, packs_rows, padding_bias, scaled_attention};
pub use cross_entropy::cross_entropy;
#[cfg(feature = "flex")]
pub use flex::multiplications;
pub use fp32_precision::{Fp32Precision, LinearWeight, UnknownFp32Precision};
pub use gelu::{gelu, gelu_primitive};
pub use layer_norm::{layer_norm, layer_norm_primitive};
pub use linear::linear;
pub use lora_linear::{KeepMasks, LowRankBranch, lora_beside, lora_linear};
pub use packed_weights::PackedWeights;
pub use rms_norm::rms_norm;
pub use rotary::rotary;
pub use silu::{gated_silu, silu};
pub use threads::on_worker_thread;
pub use vanishing::vanishing;
