//! Silu against its formula in f64, forward and backward.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor};

use super::{gated_silu, silu};
use crate::drawn;

fn device() -> Device {
    Device::default().autodiff()
}

#[test]
fn silu_and_its_gradient_are_the_formula_from_tail_to_tail() {
    let x: Vec<f32> = (-12_000..12_000_i16)
        .map(|step| f32::from(step) * 0.01 + 0.003)
        .collect();
    let input = Tensor::<1>::from_floats(x.as_slice(), &device()).require_grad();
    let output = silu(input.clone());
    let gradient = input.grad(&output.clone().sum().backward()).unwrap();
    let [output, gradient] = [output, gradient].map(|x| x.into_data().try_into_vec::<f32>().unwrap());
    for ((x, y), slope) in x.iter().zip(&output).zip(&gradient) {
        let exact_x = f64::from(*x);
        let sigmoid = 1.0 / (1.0 + (-exact_x).exp());
        let exact = exact_x * sigmoid;
        let error = (f64::from(*y) - exact).abs();
        // From primitives σ is exp of a logarithm, whose rounding grows with it.
        let of_logarithm = if drawn::is_on_flex() {
            0.0
        } else {
            1.2e-7 * exact_x.abs()
        };
        assert!(
            error <= (5e-7 + of_logarithm) * exact.abs() + 4e-18,
            "silu({x}) is {y}, not {exact}"
        );
        let exact = sigmoid * (1.0 + exact_x * (1.0 - sigmoid));
        let error = (f64::from(*slope) - exact).abs();
        // The slope passes through 0 at −1.28, where its terms cancel.
        assert!(
            error <= 1e-6 * exact.abs() + 3e-7,
            "the slope at {x} is {slope}, not {exact}"
        );
        let is_subnormal = y.is_subnormal() || slope.is_subnormal();
        assert!(!is_subnormal || !drawn::is_on_flex(), "at {x}");
    }
}

#[test]
fn nan_stays_nan() {
    let output = silu(Tensor::<1>::from_floats([f32::NAN, 1.0], &device()));
    assert!(output.into_data().try_into_vec::<f32>().unwrap()[0].is_nan());
}

#[test]
fn gated_silu_is_silu_times_the_other_forward_and_backward() {
    for shape in [[1, 1], [3, 7], [5, 1030], [130, 257]] {
        let [gate, up] = [3.0, 2.0].map(|size| drawn::normal(shape, 0.0, size, &device()).require_grad());
        let weights = drawn::normal(shape, 0.0, 1.0, &device());
        // The other layout too: a product of transposed matrices.
        for is_transposed in [false, true] {
            let view = |x: &Tensor<2>| {
                if is_transposed {
                    x.clone().swap_dims(0, 1)
                } else {
                    x.clone()
                }
            };
            let versions = [gated_silu(view(&gate), view(&up)), silu(view(&gate)) * view(&up)];
            let [fused, reference] = versions.map(|output| {
                let gradients = (output.clone() * view(&weights)).sum().backward();
                let [of_gate, of_up] = [&gate, &up].map(|input| input.grad(&gradients).unwrap());
                [output, of_gate, of_up].map(|x| x.into_data().try_into_vec::<f32>().unwrap())
            });
            for (found, expected) in fused.iter().flatten().zip(reference.iter().flatten()) {
                assert!(
                    (found - expected).abs() <= 2e-6 * expected.abs().max(1e-3),
                    "{found}, not {expected}"
                );
            }
        }
    }
}
