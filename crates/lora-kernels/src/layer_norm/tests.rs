//! Layer normalization against Burn's primitives and a closed form.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor};

use super::{layer_norm, layer_norm_primitive};
use crate::drawn;

fn device() -> Device {
    Device::default()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

#[test]
fn output_and_gradient_equal_those_of_the_primitive_version() {
    for shape in [[1, 1, 3], [2, 7, 16], [3, 5, 33], [4, 64, 384]] {
        let device = device().autodiff();
        let normal = |shape: [usize; 3]| drawn::normal(shape, 0.5, 2.0, &device);
        let width = shape[2];
        let [gamma, beta] = [0, 1].map(|_| normal([1, 1, width]).reshape([width]));
        let x = normal(shape).require_grad();
        let weights = normal(shape);
        let [fused, primitive] = [layer_norm, layer_norm_primitive].map(|f| {
            let y = f(x.clone(), gamma.clone(), beta.clone(), 1e-12);
            let gradients = (y.clone() * weights.clone()).sum().backward();
            (numbers(y), numbers(x.grad(&gradients).unwrap()))
        });
        for (fused, primitive) in fused.0.iter().zip(&primitive.0) {
            assert!((fused - primitive).abs() < 1e-5 * primitive.abs().max(1.0));
        }
        let largest = primitive
            .1
            .iter()
            .fold(1.0_f32, |largest, x| largest.max(x.abs()));
        for (fused, primitive) in fused.1.iter().zip(&primitive.1) {
            assert!(
                (fused - primitive).abs() < 2e-5 * largest,
                "{fused} and {primitive} in {shape:?}"
            );
        }
    }
}

#[test]
fn a_large_mean_costs_no_precision() {
    // 4096 ± 1: mean 4096, variance 1, so the output is ±1.
    let x = Tensor::<2>::from_floats([[4095.0, 4097.0, 4095.0, 4097.0]], &device());
    let y = layer_norm(
        x,
        Tensor::ones([4], &device()),
        Tensor::zeros([4], &device()),
        0.0,
    );
    assert_eq!(numbers(y), [-1.0, 1.0, -1.0, 1.0]);
}

#[test]
fn trained_gamma_and_beta_get_their_gradients() {
    let device = device().autodiff();
    let gamma = Tensor::<1>::ones([2], &device).require_grad();
    let beta = Tensor::<1>::zeros([2], &device).require_grad();
    let x = Tensor::<2>::from_floats([[-1.0, 1.0], [3.0, 5.0]], &device);
    let gradients = layer_norm(x, gamma.clone(), beta.clone(), 0.0).sum().backward();
    // The normalized rows are (-1, 1) twice.
    assert_eq!(numbers(gamma.grad(&gradients).unwrap()), [-2.0, 2.0]);
    assert_eq!(numbers(beta.grad(&gradients).unwrap()), [2.0, 2.0]);
}

#[test]
fn the_input_of_layer_norm_is_not_changed() {
    let x = Tensor::<2>::from_floats([[1.0, 2.0]], &device());
    let _ = layer_norm(
        x.clone(),
        Tensor::ones([2], &device()),
        Tensor::zeros([2], &device()),
        0.0,
    );
    assert_eq!(numbers(x), [1.0, 2.0]);
}
