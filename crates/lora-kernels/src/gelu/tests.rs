//! Gelu against exact values, against the primitive version, and against its own finite difference.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor};

use super::{gelu, gelu_primitive};
use crate::drawn;

fn device() -> Device {
    Device::default()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// x and x Φ(x), computed by mpmath 1.3 with 50 digits: `x * mp.ncdf(x)`.
const EXACT: [(f32, f64); 9] = [
    (-8.0, -4.976_768_6e-15),
    (-5.0, -1.433_257_859_2e-6),
    (-3.0, -0.004_049_694_09),
    (-1.0, -0.158_655_253_93),
    (-0.5, -0.154_268_769_36),
    (0.0, 0.0),
    (0.5, 0.345_731_230_64),
    (1.0, 0.841_344_746_07),
    (3.0, 2.995_950_305_9),
];

/// The fused version is exact in relative terms where it counts; the primitive one adds 1 and erf, which cancel for negative x.
fn tolerance(x: f32, exact: f64) -> f64 {
    if !drawn::is_on_flex() {
        1e-6 * exact.abs() + 1e-7 * f64::from(x.abs())
    } else if x >= -5.0 {
        1e-6 * exact.abs()
    } else {
        1e-6
    }
}

#[test]
fn gelu_equals_exact_values() {
    let x: Vec<f32> = EXACT.iter().map(|(x, _)| *x).collect();
    let y = numbers(gelu(Tensor::<1>::from_floats(x.as_slice(), &device())));
    for ((x, exact), y) in EXACT.iter().zip(y) {
        let tolerance = tolerance(*x, *exact);
        assert!(
            (f64::from(y) - exact).abs() <= tolerance,
            "gelu({x}) = {y}, exact {exact}"
        );
    }
}

#[test]
fn gelu_equals_the_primitive_version_on_every_layout() {
    // 3·5·577 values: more than a chunk and no multiple of one.
    let count = 3 * 5 * 577;
    let x: Vec<f32> = (0..count)
        .map(|i| (i as f32 / count as f32 - 0.5) * 24.0)
        .collect();
    let x = Tensor::<1>::from_floats(x.as_slice(), &device()).reshape([3, 5, 577]);
    for view in [x.clone(), x.clone().swap_dims(0, 2), x.narrow(1, 1, 3)] {
        let (fused, primitive) = (numbers(gelu(view.clone())), numbers(gelu_primitive(view)));
        for (a, b) in fused.iter().zip(&primitive) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} and {b}");
        }
    }
}

#[test]
fn the_input_of_gelu_is_not_changed() {
    let x = Tensor::<1>::from_floats([1.0, -2.0], &device());
    let _ = gelu(x.clone());
    assert_eq!(numbers(x), [1.0, -2.0]);
}

#[test]
fn the_gradient_of_gelu_equals_that_of_the_primitive_version() {
    let values: Vec<f32> = (0..9000).map(|i| (i as f32 - 4500.0) / 500.0).collect();
    let gradient = |f: fn(Tensor<1>) -> Tensor<1>| {
        let x = Tensor::<1>::from_floats(values.as_slice(), &device().autodiff()).require_grad();
        let weights: Vec<f32> = values.iter().map(|x| 1.0 + 0.1 * x).collect();
        let loss = (f(x.clone()) * Tensor::from_floats(weights.as_slice(), &device().autodiff())).sum();
        numbers(x.grad(&loss.backward()).unwrap())
    };
    for (fused, primitive) in gradient(gelu).iter().zip(gradient(gelu_primitive)) {
        assert!((fused - primitive).abs() <= 2e-6, "{fused} and {primitive}");
    }
}

#[test]
fn the_gradient_of_gelu_equals_exact_values() {
    // Φ(x) + x φ(x), by mpmath 1.3 with 50 digits.
    let exact = [
        (-2.0_f32, -0.085_231_801_f64),
        (-1.0, -0.083_315_471),
        (0.0, 0.5),
        (1.0, 1.083_315_471),
        (2.0, 1.085_231_801),
    ];
    let x: Vec<f32> = exact.iter().map(|(x, _)| *x).collect();
    let x = Tensor::<1>::from_floats(x.as_slice(), &device().autodiff()).require_grad();
    let found = numbers(x.grad(&gelu(x.clone()).sum().backward()).unwrap());
    for ((x, exact), found) in exact.iter().zip(found) {
        assert!(
            (f64::from(found) - exact).abs() <= 2e-7,
            "gelu'({x}) = {found}, exact {exact}"
        );
    }
}

#[test]
fn infinities_and_nan_come_out_as_in_the_formula() {
    let x = Tensor::<1>::from_floats([f32::INFINITY, f32::NAN, 1e30, -1e30], &device());
    let y = numbers(gelu(x));
    assert!(y[0] == f32::INFINITY && y[1].is_nan() && y[2] == 1e30);
    assert!(y[3].abs() < 1e-3, "{}", y[3]);
}
