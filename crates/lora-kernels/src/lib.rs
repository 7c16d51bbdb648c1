#![doc = include_str!("../README.md")]
#![cfg_attr(
    feature = "ndarray",
    expect(
        deprecated,
        reason = "Burn gives up ndarray for Flex; until then it is a second opinion on numbers"
    )
)]
#![cfg_attr(
    feature = "flex",
    expect(
        clippy::inline_always,
        reason = "only inlined code is compiled for the instruction set found at run time"
    )
)]

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
pub use threads::{is_flex, on_worker_thread};
pub use vanishing::vanishing;
