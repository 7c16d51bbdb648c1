//! The Gaussian error linear unit.

use burn::tensor::{Tensor, activation};

/// `x · Φ(x)`, Φ the distribution function of the standard normal (Hendrycks & Gimpel 2016), exact by erf.
///
/// # Shapes
///
/// - input, output: any shape
pub fn gelu<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    activation::gelu(input)
}
