//! What the fused bodies for the Flex backend (pure Rust on the CPU, f32) share.
//!
//! The instruction set is chosen at run time by `pulp`, threads come from `rayon`, and both work on slices; the only unsafe code is
//! in the units of [`bf16`], in [`prefetch`] and in [`chunks`]. Every operation keeps its version in Burn primitives, which serves other
//! number types and other backends.

/// A closure that is inlined wherever it is called: only inlined code is compiled for the instruction set found at run time.
macro_rules! inlined {
    ($($closure:tt)+) => {{
        #[inline(always)]
        $($closure)+
    }};
}

pub(crate) use inlined;

mod bf16;
mod block;
mod chunks;
mod kept;
mod matrix;
mod outer;
mod packed;
mod prefetch;
mod product;
mod storage;
mod tile;

mod vector;
mod work;

pub(crate) use bf16::{Bf16Product, RightSide, Terms, ThinBf16Product, unit_name as bf16_unit};
pub(crate) use kept::{KeptWeights, packed_weight};
pub(crate) use matrix::Matrix;
pub(crate) use outer::{ThinProduct, transposed_product};
pub(crate) use packed::{Packed, panel_width};
pub(crate) use product::{Branch, Product};
pub(crate) use storage::{changed, contiguous_mut, mapped, new_tensor, numbers, paired, parts, tensor_of};
pub(crate) use tile::transposed_words;
pub(crate) use vector::{
    CHUNK, SMALLEST_WEIGHT, exp, for_rows, has_no_subnormal, largest, new_rows, sum_of, vanishing,
};
pub use work::multiplications;
