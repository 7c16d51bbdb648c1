//! Values that are too small to matter, as zeros.

#[cfg(feature = "flex")]
mod flex;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

/// The values, with 0 in the place of each that is nearer to 0 than `smallest`; NaN stays NaN.
///
/// What decays step by step, such as an optimizer's moments, would else go through the subnormal numbers (below 1.2e-38) and stay
/// there: 0.9 times the smallest of them is rounded up to itself. Many processors take a hundred times longer for each of those.
///
/// # Shapes
///
/// - input, output: any, the same
pub fn vanishing<const D: usize>(input: Tensor<D>, smallest: f32) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::fused_vanishing(input.into_dispatch(), smallest))
}

/// [`vanishing`] as a backend operation; the body here serves every backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait VanishingOps: Backend {
    /// See [`vanishing`].
    fn fused_vanishing(input: FloatTensor<Self>, smallest: f32) -> FloatTensor<Self> {
        composed_vanishing::<Self>(input, smallest)
    }
}

/// The same from primitives: the number times the whole part of `|x| / smallest`, at most 1.
fn composed_vanishing<B: Backend>(input: FloatTensor<B>, smallest: f32) -> FloatTensor<B> {
    let multiple = B::float_div_scalar(B::float_abs(input.clone()), smallest.into());
    let kept = B::float_clamp_max(B::float_floor(multiple), 1.0.into());
    B::float_mul(input, kept)
}

impl<B: VanishingOps, C: CheckpointStrategy> VanishingOps for Autodiff<B, C> {}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::vanishing;

    fn device() -> Device {
        Device::default()
    }

    #[test]
    fn what_is_small_is_zero_and_the_rest_keeps_its_bits() {
        let smallest = 2.0_f32.powi(-100);
        let numbers = [
            1.0,
            -3.5e-31,
            smallest,
            -smallest,
            0.99 * smallest,
            1e-40,
            f32::INFINITY,
            -2e30,
        ];
        let expected = [1.0, 0.0, smallest, -smallest, 0.0, 0.0, f32::INFINITY, -2e30];
        let output = vanishing(Tensor::<1>::from_floats(numbers, &device()), smallest);
        assert_eq!(
            output.into_data().try_to_vec::<f32>().expect("f32 data"),
            expected
        );
        let output = vanishing(Tensor::<1>::from_floats([f32::NAN], &device()), smallest);
        assert!(output.into_scalar::<f32>().is_nan());
    }
}
