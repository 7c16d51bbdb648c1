//! Products in bf16 against products of rounded values, for drawn sizes, layouts and groups.

use burn::tensor::FloatDType;

use super::*;
use crate::linear::{GroupRows, branched_linear};
use crate::{Fp32Precision, LinearWeight};

/// Each number as the nearest bf16 number.
fn rounded(numbers: Tensor<2>) -> Tensor<2> {
    numbers.cast(FloatDType::BF16).cast(FloatDType::F32)
}

/// The rows of each group through its own matrix.
fn grouped(rows: Tensor<2>, factors: Tensor<3>) -> Tensor<2> {
    let ([count, width], [groups, _, out]) = (rows.dims(), factors.dims());
    let rows = rows.reshape([groups, count / groups, width]);
    rows.matmul(factors).reshape([count, out])
}

proptest! {
    #![proptest_config(config())]

    /// Products of rounded values are exact in f32, so only sums are rounded; two values of 8 bits have 16, less one for each side
    /// and one for the product that is left out.
    #[test]
    fn bf16_linears_are_products_of_rounded_numbers_forward_and_backward(
        layout in layout(), is_transposed: bool, group_rows in 1_usize..40, groups in 1_usize..4, rank in 1_usize..20,
        d_input in 1_usize..600, d_output in 1_usize..200, size in size(), has_two_terms: bool,
    ) {
        if !drawn::is_on_flex() {
            return Ok(());
        }
        let count = group_rows * groups;
        let whole = whole(layout, [count, d_input], size);
        let x = layout.view(&whole);
        let weight = if is_transposed {
            normal([d_output, d_input], 1.0).transpose()
        } else {
            normal([d_input, d_output], 1.0)
        };
        let (precision, part) = if has_two_terms { (Fp32Precision::Bf16x3, 2e-5) } else { (Fp32Precision::Bf16, 2e-6) };
        let values = if has_two_terms { weight.clone() } else { weight.clone().cast(FloatDType::BF16) };
        let round = |numbers: Tensor<2>| if has_two_terms { numbers } else { rounded(numbers) };
        let (a, b) = (normal([groups, d_input, rank], 1.0), normal([groups, rank, d_output], 1.0));
        let bias = normal([d_output], size);
        let grad = normal([count, d_output], 1.0);

        let found = branched_linear(
            x.clone(),
            LinearWeight { values, precision },
            Some(bias.clone()),
            a.clone(),
            b.clone(),
            GroupRows::equal(count, groups),
        );
        let expected = module::linear(round(x.clone()), round(weight.clone()), Some(bias))
            + grouped(grouped(x, a.clone()), b.clone());
        close(&numbers(found.clone()), &numbers(expected), part, size * root(d_input * rank), "output")?;

        let gradients = (found * grad.clone()).sum().backward();
        let found = whole.grad(&gradients).unwrap();
        let expected = round(grad.clone()).matmul(round(weight).transpose())
            + grouped(grouped(grad, b.swap_dims(1, 2)), a.swap_dims(1, 2));
        // Where the matrix is a part of a larger one, the rest has a gradient of 0.
        let expected = match layout {
            Layout::Rows => expected,
            Layout::Transposed => expected.transpose(),
            Layout::Sliced => {
                let [rows, width] = whole.dims();
                let zeros = Tensor::<2>::zeros([rows, width], &device());
                zeros.slice_assign([2..rows - 1, 1..width - 4], expected)
            }
        };
        close(&numbers(found), &numbers(expected), part, root(d_output * rank), "gradient")?;
    }
}
