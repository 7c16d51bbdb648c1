//! Linear layers against their composition of primitives, forward and backward, at sizes that fit no block.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use burn::tensor::{DType, FloatDType};
use burn::tensor::{Device, Tensor, module};

use super::{GroupRows, added_branch, branched_linear, linear};
use crate::drawn;
use crate::{Fp32Precision, LinearWeight};

fn device() -> Device {
    Device::default()
}

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    drawn::normal(shape, 0.0, 1.0, &device().autodiff())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Largest difference, relative to the largest number of the reference.
fn difference<const D: usize>(found: Tensor<D>, reference: Tensor<D>) -> f32 {
    let (found, reference) = (numbers(found), numbers(reference));
    let largest = reference
        .iter()
        .fold(1e-30_f32, |largest, x| largest.max(x.abs()));
    let differences = found.iter().zip(&reference).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

/// Rows, features in, features out, groups, rank: odd sizes, single rows, and sums longer than one block of depth.
const SHAPES: [[usize; 5]; 6] = [
    [1, 7, 5, 1, 1],
    [6, 33, 65, 3, 2],
    [28, 48, 31, 7, 5],
    [130, 1030, 97, 2, 8],
    [264, 384, 384, 1, 8],
    [512, 96, 200, 16, 17],
];

#[test]
fn linear_equals_burns_linear_forward_and_backward() {
    for [rows, d_input, d_output, ..] in SHAPES {
        let weight = normal([d_input, d_output]);
        let bias = normal([d_output]);
        let grad = normal([1, rows, d_output]);
        let x = normal([1, rows, d_input]).require_grad();
        for bias in [None, Some(bias)] {
            let fused = linear(x.clone(), weight.clone(), bias.clone());
            let reference = module::linear(x.clone(), weight.clone(), bias);
            assert!(difference(fused.clone(), reference.clone()) < 2e-6);
            let gradient = |y: Tensor<3>| x.grad(&(y * grad.clone()).sum().backward()).unwrap();
            assert!(difference(gradient(fused), gradient(reference)) < 2e-6);
        }
    }
}

/// Few rows are multiplied in another way than many; with weights of both layouts.
#[test]
fn rows_alone_have_the_bits_that_they_have_in_a_batch() {
    if !drawn::is_on_flex() {
        return;
    }
    for [rows, d_input, d_output, groups, rank] in SHAPES {
        let x = normal([rows, d_input]);
        let bias = Some(normal([d_output]));
        let (a, b) = (normal([groups, d_input, rank]), normal([groups, rank, d_output]));
        for weight in [
            normal([d_input, d_output]),
            normal([d_output, d_input]).transpose(),
        ] {
            for precision in [Fp32Precision::Ieee, Fp32Precision::Bf16x3, Fp32Precision::Bf16] {
                let weight = in_precision(weight.clone(), precision);
                let plain = linear(x.clone(), weight.clone(), bias.clone());
                let all = GroupRows::equal(rows, groups);
                let branched =
                    branched_linear(x.clone(), weight.clone(), bias.clone(), a.clone(), b.clone(), all);
                let group_rows = rows / groups;
                for group in 0..groups {
                    let first = group * group_rows;
                    let count = group_rows.min(5);
                    let x = x.clone().narrow(0, first, count);
                    let [a, b] = [&a, &b].map(|factor| factor.clone().narrow(0, group, 1));
                    let alone = linear(x.clone(), weight.clone(), bias.clone());
                    assert_eq!(numbers(alone), numbers(plain.clone().narrow(0, first, count)));
                    let groups = GroupRows::equal(count, 1);
                    let alone = branched_linear(x, weight.clone(), bias.clone(), a, b, groups);
                    assert_eq!(numbers(alone), numbers(branched.clone().narrow(0, first, count)));
                }
            }
        }
    }
}

/// Rounding to bf16 is 2⁻⁹ of a number at most on both sides; of two values, 2⁻¹⁷ and what is left out.
const BF16_PRECISIONS: [(Fp32Precision, f32); 2] =
    [(Fp32Precision::Bf16, 1e-2), (Fp32Precision::Bf16x3, 3e-5)];

fn in_precision(values: Tensor<2>, precision: Fp32Precision) -> LinearWeight {
    let values = match precision {
        Fp32Precision::Bf16 => values.cast(FloatDType::BF16),
        Fp32Precision::Ieee | Fp32Precision::Bf16x3 => values,
    };
    LinearWeight { values, precision }
}

/// With weights of both layouts; a bf16 weight is rounded once, and the same for the reference.
#[test]
fn every_precision_is_near_burns_linear_forward_and_backward() {
    if !drawn::is_on_flex() {
        return;
    }
    for [rows, d_input, d_output, groups, rank] in SHAPES {
        for (precision, part) in BF16_PRECISIONS {
            for weight in [
                normal([d_input, d_output]),
                normal([d_output, d_input]).transpose(),
            ] {
                let weight = in_precision(weight, precision);
                let bias = Some(normal([d_output]));
                let grad = normal([rows, d_output]);
                let x = normal([rows, d_input]).require_grad();
                let gradient = |y: Tensor<2>| x.grad(&(y * grad.clone()).sum().backward()).unwrap();
                let (a, b) = (normal([groups, d_input, rank]), normal([groups, rank, d_output]));
                let groups = GroupRows::equal(rows, groups);
                let versions = |weight: LinearWeight| {
                    let branched = branched_linear(
                        x.clone(),
                        weight.clone(),
                        bias.clone(),
                        a.clone(),
                        b.clone(),
                        groups.clone(),
                    );
                    [linear(x.clone(), weight, bias.clone()), branched]
                };
                let reference = versions(weight.clone().widened().into());
                for (found, reference) in versions(weight).into_iter().zip(reference) {
                    assert!(difference(found.clone(), reference.clone()) < part, "{precision}");
                    assert!(
                        difference(gradient(found), gradient(reference)) < part,
                        "{precision}"
                    );
                }
            }
        }
    }
}

#[test]
fn in_every_precision_a_row_has_the_bits_that_it_has_alone() {
    if !drawn::is_on_flex() {
        return;
    }
    for [rows, d_input, d_output, ..] in SHAPES {
        for (precision, _) in BF16_PRECISIONS {
            let x = normal([rows, d_input]);
            let weight = in_precision(normal([d_input, d_output]), precision);
            let all = numbers(linear(x.clone(), weight.clone(), None));
            for row in [0, rows / 2, rows - 1] {
                let alone = linear(x.clone().narrow(0, row, 1), weight.clone(), None);
                assert_eq!(numbers(alone), all[row * d_output..][..d_output], "{precision}");
            }
        }
    }
}

/// `--dtype bf16`: sums are f32, and only inputs and outputs are rounded.
#[test]
fn a_model_in_bf16_is_multiplied_with_sums_in_f32() {
    if !drawn::is_on_flex() {
        return;
    }
    let [rows, d_input, d_output] = [19, 700, 45];
    let [x, weight] =
        [normal([rows, d_input]), normal([d_input, d_output])].map(|tensor| tensor.cast(FloatDType::BF16));
    let expected = module::linear(
        x.clone().cast(FloatDType::F32),
        weight.clone().cast(FloatDType::F32),
        None,
    );
    let bias = normal([d_output]).cast(FloatDType::BF16) * 0.0;
    let found = linear(x, weight, Some(bias));
    assert_eq!(found.dtype(), DType::BF16);
    assert!(difference(found.cast(FloatDType::F32), expected) < 1.0 / 256.0);
}

#[test]
fn a_trained_weight_and_bias_get_their_gradients() {
    let weight = normal([9, 4]).require_grad();
    let bias = normal([4]).require_grad();
    let x = normal([5, 9]);
    let gradients = linear(x.clone(), weight.clone(), Some(bias.clone()))
        .sum()
        .backward();
    // d(sum)/dW = the sum of the inputs in each row, d(sum)/d(bias) = the number of rows.
    let sums = x.sum_dim(0).reshape([9, 1]).expand([9, 4]);
    assert!(difference(weight.grad(&gradients).unwrap(), sums.inner()) < 1e-6);
    assert_eq!(numbers(bias.grad(&gradients).unwrap()), [5.0; 4]);
}

#[test]
fn the_branched_linear_equals_its_formula_forward_and_backward() {
    for [rows, d_input, d_output, groups, rank] in SHAPES {
        if rows % groups != 0 {
            continue;
        }
        let weight = normal([d_input, d_output]);
        let bias = normal([d_output]);
        let grad = normal([rows, d_output]);
        let x = normal([rows, d_input]).require_grad();
        let a = normal([groups, d_input, rank]).require_grad();
        let b = normal([groups, rank, d_output]).require_grad();
        let fused = branched_linear(
            x.clone(),
            weight.clone(),
            Some(bias.clone()),
            a.clone(),
            b.clone(),
            GroupRows::equal(rows, groups),
        );
        let update = x
            .clone()
            .reshape([groups, rows / groups, d_input])
            .matmul(a.clone())
            .matmul(b.clone());
        let reference = module::linear(x.clone(), weight, Some(bias)) + update.reshape([rows, d_output]);
        assert!(difference(fused.clone(), reference.clone()) < 3e-6);
        let [fused, reference] = [fused, reference].map(|y| {
            let gradients = (y * grad.clone()).sum().backward();
            (
                x.grad(&gradients).unwrap(),
                a.grad(&gradients).unwrap(),
                b.grad(&gradients).unwrap(),
            )
        });
        assert!(difference(fused.0, reference.0) < 3e-6);
        assert!(difference(fused.1, reference.1) < 3e-6);
        assert!(difference(fused.2, reference.2) < 3e-6);
    }
}

/// Groups of 5, 1, 13 and 9 rows, also where they meet within a block of rows; each as it is alone.
#[test]
fn groups_of_unequal_size_have_the_outputs_and_the_gradients_that_they_have_alone() {
    let lengths = [5, 1, 13, 9];
    let (d_input, d_output, rank) = (40, 71, 3);
    let (weight, bias) = (normal([d_input, d_output]), Some(normal([d_output])));
    let grad = normal([28, d_output]);
    let x = normal([28, d_input]).require_grad();
    let a = normal([4, d_input, rank]).require_grad();
    let b = normal([4, rank, d_output]).require_grad();
    let groups = GroupRows::of(&lengths.into());
    let together = branched_linear(
        x.clone(),
        weight.clone(),
        bias.clone(),
        a.clone(),
        b.clone(),
        groups.clone(),
    );
    let base = linear(x.clone(), weight.clone(), bias.clone());
    let added = added_branch(
        base.inner(),
        x.clone().inner(),
        a.clone().inner(),
        b.clone().inner(),
        groups,
    );
    assert_eq!(numbers(added), numbers(together.clone()));
    let (mut first, mut alone) = (0, Vec::new());
    for (group, length) in lengths.into_iter().enumerate() {
        let x = x.clone().narrow(0, first, length);
        let [a, b] = [&a, &b].map(|factor| factor.clone().narrow(0, group, 1));
        let one = GroupRows::equal(length, 1);
        alone.push(branched_linear(x, weight.clone(), bias.clone(), a, b, one));
        first += length;
    }
    let alone = Tensor::cat(alone, 0);
    if drawn::is_on_flex() {
        assert_eq!(numbers(together.clone()), numbers(alone.clone()));
    }
    assert!(difference(together.clone(), alone.clone()) < 3e-6);
    let [together, alone] = [together, alone].map(|y| {
        let gradients = (y * grad.clone()).sum().backward();
        (
            x.grad(&gradients).unwrap(),
            a.grad(&gradients).unwrap(),
            b.grad(&gradients).unwrap(),
        )
    });
    assert!(difference(together.0, alone.0) < 3e-6);
    assert!(difference(together.1, alone.1) < 3e-6);
    assert!(difference(together.2, alone.2) < 3e-6);
}

/// Also from primitives: members of an ensemble have the same bits however they are computed.
#[test]
fn a_branch_added_to_its_base_has_the_bits_and_the_gradients_of_both_in_one() {
    for [rows, d_input, d_output, groups, rank] in SHAPES {
        if rows % groups != 0 {
            continue;
        }
        let (weight, bias) = (normal([d_input, d_output]), Some(normal([d_output])));
        let grad = normal([rows, d_output]);
        let x = normal([rows, d_input]).require_grad();
        let a = normal([groups, d_input, rank]).require_grad();
        let b = normal([groups, rank, d_output]).require_grad();
        let all = GroupRows::equal(rows, groups);
        let both = branched_linear(
            x.clone(),
            weight.clone(),
            bias.clone(),
            a.clone(),
            b.clone(),
            all.clone(),
        );
        let base = linear(x.clone(), weight, bias);
        let added = added_branch(
            base.clone().inner(),
            x.clone().inner(),
            a.clone().inner(),
            b.clone().inner(),
            all.clone(),
        );
        assert_eq!(numbers(added), numbers(both.clone()));
        let added = added_branch(base, x.clone(), a.clone(), b.clone(), all);
        let [both, added] = [both, added].map(|y| {
            let gradients = (y * grad.clone()).sum().backward();
            (
                x.grad(&gradients).unwrap(),
                a.grad(&gradients).unwrap(),
                b.grad(&gradients).unwrap(),
            )
        });
        assert!(difference(added.0, both.0) < 3e-6);
        assert!(difference(added.1, both.1) < 3e-6);
        assert!(difference(added.2, both.2) < 3e-6);
    }
}

#[test]
fn a_trained_bias_beside_a_branch_gets_its_gradient() {
    let bias = normal([4]).require_grad();
    let y = branched_linear(
        normal([6, 3]),
        normal([3, 4]),
        Some(bias.clone()),
        normal([2, 3, 1]),
        normal([2, 1, 4]),
        GroupRows::equal(6, 2),
    );
    assert_eq!(numbers(bias.grad(&y.sum().backward()).unwrap()), [6.0; 4]);
}

#[test]
fn a_view_of_other_layout_gives_the_same_product() {
    let weight = normal([8, 6]);
    let x: Tensor<2> = normal([8, 10]);
    let view = x.clone().swap_dims(0, 1);
    let copy = Tensor::<2>::from_data(view.clone().into_data(), &device().autodiff());
    let (fused, reference) = (linear(view, weight.clone(), None), linear(copy, weight, None));
    assert_eq!(numbers(fused), numbers(reference));
}

/// A tied decoder's weight is the transposed table of embeddings.
#[test]
fn a_transposed_weight_is_multiplied_as_its_copy_is() {
    for [rows, d_input, d_output, ..] in SHAPES {
        let table: Tensor<2> = normal([d_output, d_input]);
        let weight = table.swap_dims(0, 1);
        let copy = Tensor::<2>::from_data(weight.clone().into_data(), &device().autodiff());
        let bias = Some(normal([d_output]));
        let grad = normal([rows, d_output]);
        let x = normal([rows, d_input]).require_grad();
        let found = linear(x.clone(), weight, bias.clone());
        let reference = module::linear(x.clone(), copy, bias);
        assert!(difference(found.clone(), reference.clone()) < 2e-6);
        let gradient = |y: Tensor<2>| x.grad(&(y * grad.clone()).sum().backward()).unwrap();
        assert!(difference(gradient(found), gradient(reference)) < 2e-6);
    }
}
