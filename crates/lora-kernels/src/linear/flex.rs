//! Linear layers on Flex: one product with bias and low-rank branch summed in registers, frozen weights read in place.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use super::{
    GroupRows, LinearOps, composed_added_branch, composed_branch_factors_backward, composed_branched_linear,
};
use crate::flex::{
    Branch, Matrix, Packed, Product, ThinProduct, contiguous_mut, new_tensor, numbers, packed_weight, parts,
    tensor_of, transposed_product, zeros,
};

impl LinearOps for Flex {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return Self::linear(input, weight, Some(bias));
        }
        let [input, bias] = [input, bias].map(|tensor| tensor.to_contiguous());
        let weight = with_contiguous_side(weight);
        let weight = Weight::new(&weight);
        product(matrix(&input), weight, Some(numbers(&bias)), None)
    }

    fn fused_linear_backward(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        if grad.dtype() != DType::F32 {
            return Self::linear_x_backward(weight, grad);
        }
        let (weight, grad) = (with_contiguous_side(weight), grad.to_contiguous());
        product(matrix(&grad), Weight::new(&weight).transposed(), None, None)
    }

    fn fused_branched_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_branched_linear::<Self>(&input, weight, Some(bias), &a, &b, &groups);
        }
        let [input, bias, a, b] = [input, bias, a, b].map(|tensor| tensor.to_contiguous());
        let weight = with_contiguous_side(weight);
        let down = through(matrix(&input), &matrices(&a, false), &groups);
        let rank = a.shape()[2];
        let rows = input.shape()[0];
        let branch = Grouped {
            left: Matrix::new(&down, [rows, rank], rank),
            right: &matrices(&b, false),
            groups: &groups,
        };
        product(
            matrix(&input),
            Weight::new(&weight),
            Some(numbers(&bias)),
            Some(branch),
        )
    }

    fn fused_added_branch(
        base: FloatTensor<Self>,
        input: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        if input.dtype() != DType::F32 {
            return composed_added_branch::<Self>(base, &input, &a, &b, &groups);
        }
        let [base, input, a, b] = [base, input, a, b].map(|tensor| tensor.to_contiguous());
        let ([rows, cols], [_, _, rank]) = (base.shape().dims(), a.shape().dims());
        let down = through(matrix(&input), &matrices(&a, false), &groups);
        let product = Product {
            left: Matrix::new(&[], [rows, 0], 0),
            right: &Packed::new(Matrix::new(&[], [0, cols], cols)),
            bias: None,
            base: Some(numbers(&base)),
            branch: Some(Branch {
                left: Matrix::new(&down, [rows, rank], rank),
                right: &packed(&matrices(&b, false)),
                lengths: groups.lengths(),
            }),
        };
        let mut output = zeros(rows * cols);
        product.write(&mut output, cols);
        tensor_of(output, [rows, cols])
    }

    fn fused_branched_linear_backward(
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        if grad.dtype() != DType::F32 {
            let [a, b] = [a, b].map(|factor| factor.transpose(1, 2));
            return composed_branched_linear::<Self>(&grad, weight.transpose(0, 1), None, &b, &a, &groups);
        }
        let [a, b, grad] = [a, b, grad].map(|tensor| tensor.to_contiguous());
        let weight = with_contiguous_side(weight);
        let down = through(matrix(&grad), &matrices(&b, true), &groups);
        let rank = a.shape()[2];
        let rows = grad.shape()[0];
        let branch = Grouped {
            left: Matrix::new(&down, [rows, rank], rank),
            right: &matrices(&a, true),
            groups: &groups,
        };
        let weight = Weight::new(&weight).transposed();
        product(matrix(&grad), weight, None, Some(branch))
    }

    fn fused_branch_factors_backward(
        input: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if grad.dtype() != DType::F32 {
            return composed_branch_factors_backward::<Self>(&input, &a, &b, &grad, &groups);
        }
        let [input, a, b, grad] = [input, a, b, grad].map(|tensor| tensor.to_contiguous());
        let [input_rows, grad_rows] = [matrix(&input), matrix(&grad)];
        let [group_count, d_input, rank] = a.shape().dims();
        let [rows, d_output] = grad_rows.dims();
        let through_b = through(grad_rows, &matrices(&b, true), &groups);
        let through_a = through(input_rows, &matrices(&a, false), &groups);
        let through_b = Matrix::new(&through_b, [rows, rank], rank);
        let through_a = Matrix::new(&through_a, [rows, rank], rank);

        let mut a_grad = new_tensor([group_count, d_input, rank]);
        let mut b_grad = new_tensor([group_count, rank, d_output]);
        contiguous_mut(&mut a_grad)
            .par_chunks_mut(d_input * rank)
            .zip(contiguous_mut(&mut b_grad).par_chunks_mut(rank * d_output))
            .zip(groups.ranges().collect::<Vec<_>>())
            .for_each(|((a_grad, b_grad), group)| {
                let [x, grad, x_a, grad_b] =
                    [input_rows, grad_rows, through_a, through_b].map(|matrix| matrix.rows_in(&group));
                let transposed = transposed_product(grad_b, x); // [rank, d_input]
                for (feature, a_grad) in a_grad.chunks_exact_mut(rank).enumerate() {
                    for (component, a_grad) in a_grad.iter_mut().enumerate() {
                        *a_grad = transposed[component * d_input + feature];
                    }
                }
                b_grad.copy_from_slice(&transposed_product(x_a, grad));
            });
        (a_grad, b_grad)
    }
}

/// The right side of a product, which may have been packed in an earlier call.
#[derive(Clone, Copy)]
struct Weight<'a> {
    tensor: &'a FloatTensor<Flex>,
    matrix: Matrix<'a>,
}

impl<'a> Weight<'a> {
    /// A tensor of [`with_contiguous_side`].
    fn new(tensor: &'a FloatTensor<Flex>) -> Self {
        let matrix = matrix(tensor);
        Self { tensor, matrix }
    }

    fn transposed(self) -> Self {
        let matrix = self.matrix.transposed();
        Self { matrix, ..self }
    }
}

/// The low-rank part of a product: a left side, and a right side for each group of rows.
#[derive(Clone, Copy)]
struct Grouped<'a> {
    left: Matrix<'a>,
    right: &'a [Matrix<'a>],
    groups: &'a GroupRows,
}

/// `left · weight + bias + branch` as a tensor.
fn product(
    left: Matrix<'_>,
    weight: Weight<'_>,
    bias: Option<&[f32]>,
    branch: Option<Grouped<'_>>,
) -> FloatTensor<Flex> {
    let right = weight.matrix;
    let [rows, _] = left.dims();
    let [_, cols] = right.dims();
    let fits = |branch: Grouped<'_>| {
        let alike = |other: &Matrix| other.is_transposed() == right.is_transposed();
        let equal = branch.groups.lengths().windows(2).all(|pair| pair[0] == pair[1]);
        equal && branch.right.iter().all(alike)
    };
    if (1..=ThinProduct::ROWS).contains(&rows) && branch.is_none_or(fits) {
        let product = ThinProduct {
            left,
            right,
            bias,
            branch: branch.map(|branch| (branch.left, branch.right)),
        };
        return tensor_of(product.compute(), [rows, cols]);
    }
    let branch_right = branch.map(|branch| packed(branch.right));
    let product = Product {
        left,
        right: &packed_weight(weight.tensor, right),
        bias,
        base: None,
        branch: branch.zip(branch_right.as_deref()).map(|(branch, right)| Branch {
            left: branch.left,
            right,
            lengths: branch.groups.lengths(),
        }),
    };
    let mut output = zeros(rows * cols);
    product.write(&mut output, cols);
    tensor_of(output, [rows, cols])
}

/// The rows of each group through its own narrow matrix: `[rows, rank]`.
fn through(left: Matrix<'_>, right: &[Matrix<'_>], groups: &GroupRows) -> Vec<f32> {
    let [rows, _] = left.dims();
    let [_, rank] = right[0].dims();
    let mut output = vec![0.0; rows * rank];
    if rows * rank == 0 {
        return output;
    }
    let lengths = groups.lengths().iter().map(|rows| rows * rank);
    parts(&mut output, lengths)
        .into_par_iter()
        .zip(packed(right))
        .zip(groups.ranges().collect::<Vec<_>>())
        .for_each(|((output, right), group)| {
            let product = Product {
                left: left.rows_in(&group),
                right: &right,
                bias: None,
                base: None,
                branch: None,
            };
            product.write(output, rank);
        });
    output
}

/// The tensor as it is if its rows or its columns are contiguous, as those of a tied decoder's table are; else a copy.
fn with_contiguous_side(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    if tensor.is_contiguous() || has_contiguous_columns(&tensor) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

fn has_contiguous_columns(tensor: &FloatTensor<Flex>) -> bool {
    let [rows, _] = tensor.shape().dims();
    tensor.layout().strides() == [1, rows as isize]
}

/// A `[rows, cols]` tensor of [`with_contiguous_side`] as a matrix.
fn matrix(tensor: &FloatTensor<Flex>) -> Matrix<'_> {
    let [rows, cols] = tensor.shape().dims();
    if !tensor.is_contiguous() {
        let columns = &tensor.storage()[tensor.layout().start_offset()..];
        return Matrix::new(columns, [cols, rows], rows).transposed();
    }
    Matrix::new(numbers(tensor), [rows, cols], cols)
}

/// The matrices of a `[groups, rows, cols]` tensor.
fn matrices(tensor: &FloatTensor<Flex>, transposed: bool) -> Vec<Matrix<'_>> {
    let [groups, rows, cols] = tensor.shape().dims();
    let all = numbers(tensor);
    (0..groups)
        .map(|group| {
            let matrix = Matrix::new(&all[group * rows * cols..][..rows * cols], [rows, cols], cols);
            if transposed { matrix.transposed() } else { matrix }
        })
        .collect()
}

fn packed(matrices: &[Matrix<'_>]) -> Vec<Packed> {
    matrices.iter().map(|matrix| Packed::new(*matrix)).collect()
}
