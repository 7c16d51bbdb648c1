//! Cross-entropy against its formula in f64, and from tail to tail.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Int, Tensor};

use super::cross_entropy;
use crate::drawn;

fn device() -> Device {
    Device::default().autodiff()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn ints(targets: &[usize]) -> Tensor<1, Int> {
    let targets: Vec<i32> = targets.iter().map(|target| *target as i32).collect();
    Tensor::from_data(targets.as_slice(), &device())
}

#[test]
fn loss_and_gradient_are_those_of_the_formula() {
    for [batch, classes] in [[1, 2], [3, 7], [16, 33], [5, 5001]] {
        let logits = drawn::normal([batch, classes], 1.0, 6.0, &device()).require_grad();
        let targets: Vec<usize> = (0..batch).map(|row| row * 7919 % classes).collect();
        let loss = cross_entropy(logits.clone(), ints(&targets));
        // A weight of the loss, as accumulated batches have one.
        let gradient = numbers(logits.grad(&loss.clone().mul_scalar(0.75).backward()).unwrap());
        let mut expected = 0.0;
        for (row, logits) in numbers(logits).chunks(classes).enumerate() {
            let target = targets[row];
            let exponentials: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
            let sum: f64 = exponentials.iter().sum();
            expected += (sum.ln() - f64::from(logits[target])) / batch as f64;
            for (class, exponential) in exponentials.iter().enumerate() {
                let held = f64::from(u8::from(class == target));
                let slope = 0.75 * (exponential / sum - held) / batch as f64;
                let found = f64::from(gradient[row * classes + class]);
                assert!(
                    (found - slope).abs() < 1e-6 * slope.abs() + 1e-8,
                    "{found}, not {slope}"
                );
            }
        }
        let found = f64::from(numbers(loss)[0]);
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{found}, not {expected}"
        );
    }
}

#[test]
fn far_classes_have_no_subnormal_gradient_and_the_loss_of_one_is_its_distance() {
    for distance in [50.0, 88.0, 100.0, 1e4] {
        let logits = Tensor::<2>::from_floats([[0.0, -distance, 3.0]], &device()).require_grad();
        let loss = cross_entropy(logits.clone(), ints(&[1]));
        // e⁻³ beside 1: ln(1 + e⁻³) = 0.048587.
        let expected = distance + 3.0 + 0.048_587;
        let found = numbers(loss.clone())[0];
        assert!(
            (found - expected).abs() < 1e-6 * expected,
            "{found}, not {expected}"
        );
        let gradient = numbers(logits.grad(&loss.backward()).unwrap());
        assert!(gradient.iter().all(|slope| !slope.is_subnormal()));
        // 1/(1 + e³) = 0.0474259, and 1 less for the target.
        for (found, expected) in gradient.iter().zip([0.047_425_87, -1.0, 0.952_574_1]) {
            assert!((found - expected).abs() < 1e-6, "{gradient:?}");
        }
    }
}

#[test]
fn nan_is_not_hidden() {
    let logits = Tensor::<2>::from_floats([[0.0, f32::NAN]], &device());
    assert!(numbers(cross_entropy(logits, ints(&[0])))[0].is_nan());
}
