//! The turn against its matrix, in every layout of heads, forward and backward.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{Device, Tensor};

use super::rotary;
use crate::drawn;

fn device() -> Device {
    Device::default().autodiff()
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// `[seq, d_head, d_head]`: what turns a row of features.
fn matrices(cos: &Tensor<2>, sin: &Tensor<2>) -> Tensor<3> {
    let [seq, half] = cos.dims();
    let (cos, sin) = (numbers(cos.clone()), numbers(sin.clone()));
    let width = 2 * half;
    let mut values = vec![0.0; seq * width * width];
    for place in 0..seq {
        let matrix = &mut values[place * width * width..][..width * width];
        for pair in 0..half {
            let (cos, sin) = (cos[place * half + pair], sin[place * half + pair]);
            matrix[pair * width + pair] = cos;
            matrix[pair * width + pair + half] = sin;
            matrix[(pair + half) * width + pair] = -sin;
            matrix[(pair + half) * width + pair + half] = cos;
        }
    }
    Tensor::<1>::from_floats(values.as_slice(), &device()).reshape([seq, width, width])
}

#[test]
fn heads_of_every_layout_are_turned_as_by_the_matrix_and_gradients_back() {
    for [batch, n_heads, seq, d_head] in [[1, 1, 1, 2], [2, 3, 5, 6], [3, 9, 17, 64], [2, 2, 40, 30]] {
        let [cos, sin] = [0, 1].map(|_| drawn::normal([seq, d_head / 2], 0.0, 1.0, &device()));
        let matrix = matrices(&cos, &sin).unsqueeze::<4>();
        for is_projected in [true, false] {
            let shape = if is_projected {
                [batch, seq, n_heads, d_head]
            } else {
                [batch, n_heads, seq, d_head]
            };
            let whole = drawn::normal(shape, 0.0, 1.0, &device()).require_grad();
            let heads = || {
                if is_projected {
                    whole.clone().swap_dims(1, 2)
                } else {
                    whole.clone()
                }
            };
            let weights = drawn::normal([batch, n_heads, seq, d_head], 0.0, 1.0, &device());
            let by_matrix = heads()
                .swap_dims(1, 2) // [batch, seq, n_heads, d_head]
                .matmul(matrix.clone().repeat_dim(0, batch))
                .swap_dims(1, 2);
            let [found, expected] = [rotary(heads(), cos.clone(), sin.clone()), by_matrix].map(|turned| {
                let gradients = (turned.clone() * weights.clone()).sum().backward();
                [numbers(turned), numbers(whole.grad(&gradients).unwrap())]
            });
            for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() < 5e-6, "{found}, not {expected}");
            }
        }
    }
}

#[test]
fn heads_that_somebody_holds_are_not_changed() {
    let heads = drawn::normal([1, 2, 3, 4], 0.0, 1.0, &device());
    let before = numbers(heads.clone());
    let [cos, sin] = [0, 1].map(|_| drawn::normal([3, 2], 0.0, 1.0, &device()));
    rotary(heads.clone(), cos, sin);
    assert_eq!(numbers(heads), before);
}
