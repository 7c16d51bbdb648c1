//! Products in bf16 with sums in f32, on matrix units and dot products of the processor where it has them.
//!
//! Around the innermost loops everything is the same on every machine: the layout of both sides ([`tiles`]), blocks, edges, bias and
//! low-rank branch ([`product`]; of few rows [`thin`]). What multiplies two rows of tiles is a [`unit`]: one of three, chosen once by
//! what the processor says and by products with known answers. Only their files have unsafe code in this folder.

mod buffer;
mod number;
mod product;
#[cfg(test)]
mod tests;
mod thin;
mod tiles;
mod unit;

pub(crate) use product::Bf16Product;
pub(crate) use thin::ThinBf16Product;
pub(crate) use tiles::{RightSide, Terms};

/// The name of this machine's unit.
pub(crate) fn unit_name() -> &'static str {
    unit::Unit::of_this_machine().name()
}
