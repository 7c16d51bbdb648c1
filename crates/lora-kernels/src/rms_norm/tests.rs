//! Root mean square normalization against its formula in Burn's own operations, and a closed form.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor};

use super::rms_norm;
use crate::drawn;

fn device() -> Device {
    Device::default()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// The formula, differentiated by autodiff.
fn formula(input: Tensor<3>, gamma: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let mean = input.clone().square().mean_dim(2);
    input / mean.add_scalar(epsilon).sqrt() * gamma.unsqueeze()
}

#[test]
fn output_and_gradient_are_those_of_the_formula() {
    for shape in [[1, 1, 3], [2, 7, 16], [3, 5, 33], [4, 64, 576]] {
        let device = device().autodiff();
        let normal = |shape: [usize; 3]| drawn::normal(shape, 0.5, 2.0, &device);
        let width = shape[2];
        let gamma = normal([1, 1, width]).reshape([width]);
        let x = normal(shape).require_grad();
        let weights = normal(shape);
        let [fused, reference] = [rms_norm::<3>, formula].map(|f| {
            let y = f(x.clone(), gamma.clone(), 1e-5);
            let gradients = (y.clone() * weights.clone()).sum().backward();
            (numbers(y), numbers(x.grad(&gradients).unwrap()))
        });
        for (fused, reference) in fused.0.iter().zip(&reference.0) {
            assert!((fused - reference).abs() < 2e-6 * reference.abs().max(1.0));
        }
        let largest = reference
            .1
            .iter()
            .fold(1.0_f32, |largest, x| largest.max(x.abs()));
        for (fused, reference) in fused.1.iter().zip(&reference.1) {
            assert!(
                (fused - reference).abs() < 2e-6 * largest,
                "{fused} and {reference} in {shape:?}"
            );
        }
    }
}

#[test]
fn a_trained_gamma_gets_its_gradient() {
    let device = device().autodiff();
    let gamma = Tensor::<1>::ones([2], &device).require_grad();
    // Root mean square 5, then 10.
    let x = Tensor::<2>::from_floats([[1.0, 7.0], [-2.0, 14.0]], &device);
    let y = rms_norm(x, gamma.clone(), 0.0);
    let gradient = numbers(gamma.grad(&y.sum().backward()).unwrap());
    for (found, expected) in gradient.iter().zip([0.0, 2.8]) {
        assert!((found - expected).abs() < 1e-6, "{gradient:?}");
    }
}

#[test]
fn the_input_is_not_changed() {
    let x = Tensor::<2>::from_floats([[1.0, 7.0]], &device());
    let y = rms_norm(x.clone(), Tensor::ones([2], &device()), 0.0);
    for (found, expected) in numbers(y).iter().zip([0.2, 1.4]) {
        assert!((found - expected).abs() < 1e-6);
    }
    assert_eq!(numbers(x), [1.0, 7.0]);
}
