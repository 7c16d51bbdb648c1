//! Linear layers on Flex: one product with bias and low-rank branch summed in registers, frozen weights read in place.

mod matrices;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::tensor::DType;
use rayon::prelude::*;

use matrices::{matrices, matrix, matrix_in, with_contiguous_side};

use super::{
    GroupRows, LinearOps, composed_added_branch, composed_branch_factors_backward, composed_branched_sum,
    composed_products, of_same_type,
};
use crate::Fp32Precision;
use crate::flex::{
    Bf16Product, Branch, Matrix, Packed, Product, RightSide, Terms, ThinBf16Product, ThinProduct,
    contiguous_mut, new_tensor, numbers, packed_weight, parts, tensor_of, transposed_product,
};

impl LinearOps for Flex {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let dtype = input.dtype();
        if !are_multiplied_here(&input, &weight) {
            let weight = of_same_type::<Self>(weight, &input);
            return Self::linear(input, weight, Some(bias));
        }
        let [input, bias] = [input, bias].map(contiguous_f32);
        let weight = with_contiguous_side(weight);
        let weight = Weight::new(&weight, precision);
        of_type(product(matrix(&input), weight, Some(numbers(&bias)), None), dtype)
    }

    fn fused_linear_backward(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let dtype = grad.dtype();
        if !are_multiplied_here(&grad, &weight) {
            return Self::linear_x_backward(of_same_type::<Self>(weight, &grad), grad);
        }
        let (weight, grad) = (with_contiguous_side(weight), contiguous_f32(grad));
        let weight = Weight::new(&weight, precision).transposed();
        of_type(product(matrix(&grad), weight, None, None), dtype)
    }

    fn fused_down(rows: FloatTensor<Self>, a: FloatTensor<Self>, groups: GroupRows) -> FloatTensor<Self> {
        if !is_multiplied_here(&rows) {
            return composed_products::<Self>(&rows, &a, &groups);
        }
        let [rows, a] = [rows, a].map(contiguous_f32);
        through(matrix(&rows), &matrices(&a, false), &groups)
    }

    fn fused_down_backward(
        grad: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        if !is_multiplied_here(&grad) {
            return composed_products::<Self>(&grad, &Self::float_swap_dims(b, 1, 2), &groups);
        }
        let [grad, b] = [grad, b].map(contiguous_f32);
        through(matrix(&grad), &matrices(&b, true), &groups)
    }

    fn fused_branched_sum(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        down: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let dtype = input.dtype();
        if !are_multiplied_here(&input, &weight) {
            return composed_branched_sum::<Self>(input, weight, Some(bias), down, &b, &groups);
        }
        let [input, bias, down, b] = [input, bias, down, b].map(contiguous_f32);
        let weight = with_contiguous_side(weight);
        let branch = Grouped {
            left: matrix(&down),
            right: &matrices(&b, false),
            groups: &groups,
        };
        let weight = Weight::new(&weight, precision);
        let output = product(matrix(&input), weight, Some(numbers(&bias)), Some(branch));
        of_type(output, dtype)
    }

    fn fused_added_branch(
        base: FloatTensor<Self>,
        down: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        if base.dtype() != DType::F32 {
            return composed_added_branch::<Self>(base, down, &b, &groups);
        }
        let [base, down, b] = [base, down, b].map(|tensor| tensor.to_contiguous());
        let [rows, cols] = base.shape().dims();
        let product = Product {
            left: Matrix::new(&[], [rows, 0], 0),
            right: &Packed::new(Matrix::new(&[], [0, cols], cols)),
            bias: None,
            base: Some(numbers(&base)),
            branch: Some(Branch {
                left: matrix(&down),
                right: &packed(&matrices(&b, false)),
                lengths: groups.lengths(),
            }),
        };
        tensor_of(product.compute(), [rows, cols])
    }

    fn fused_branched_linear_backward(
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        down_grad: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let dtype = grad.dtype();
        if !are_multiplied_here(&grad, &weight) {
            let (weight, a) = (weight.transpose(0, 1), a.transpose(1, 2));
            return composed_branched_sum::<Self>(grad, weight, None, down_grad, &a, &groups);
        }
        let [a, down_grad, grad] = [a, down_grad, grad].map(contiguous_f32);
        let weight = with_contiguous_side(weight);
        let branch = Grouped {
            left: matrix(&down_grad),
            right: &matrices(&a, true),
            groups: &groups,
        };
        let weight = Weight::new(&weight, precision).transposed();
        of_type(product(matrix(&grad), weight, None, Some(branch)), dtype)
    }

    fn fused_branch_factors_backward(
        input: FloatTensor<Self>,
        down: FloatTensor<Self>,
        down_grad: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        if grad.dtype() != DType::F32 {
            return composed_branch_factors_backward::<Self>(&input, down, down_grad, &grad, &groups);
        }
        let [input, down, down_grad, grad] =
            [input, down, down_grad, grad].map(|tensor| tensor.to_contiguous());
        let [input, down, down_grad, grad] = [&input, &down, &down_grad, &grad].map(matrix);
        let ([_, d_input], [_, d_output], [_, rank]) = (input.dims(), grad.dims(), down.dims());

        let mut a_grad = new_tensor([groups.count(), d_input, rank]);
        let mut b_grad = new_tensor([groups.count(), rank, d_output]);
        contiguous_mut(&mut a_grad)
            .par_chunks_mut(d_input * rank)
            .zip(contiguous_mut(&mut b_grad).par_chunks_mut(rank * d_output))
            .zip(groups.ranges().collect::<Vec<_>>())
            .for_each(|((a_grad, b_grad), group)| {
                let [input, down, down_grad, grad] =
                    [input, down, down_grad, grad].map(|matrix| matrix.rows_in(&group));
                let transposed = transposed_product(down_grad, input); // [rank, d_input]
                for (feature, a_grad) in a_grad.chunks_exact_mut(rank).enumerate() {
                    for (component, a_grad) in a_grad.iter_mut().enumerate() {
                        *a_grad = transposed[component * d_input + feature];
                    }
                }
                b_grad.copy_from_slice(&transposed_product(down, grad));
            });
        (a_grad, b_grad)
    }
}

/// Whether the products here are for these types: f32, or bf16 weights under f32 or bf16 values.
fn are_multiplied_here(left: &FloatTensor<Flex>, weight: &FloatTensor<Flex>) -> bool {
    matches!(
        (left.dtype(), weight.dtype()),
        (DType::F32, DType::F32 | DType::BF16) | (DType::BF16, DType::BF16)
    )
}

/// Whether rows of this type meet factors here.
fn is_multiplied_here(rows: &FloatTensor<Flex>) -> bool {
    matches!(rows.dtype(), DType::F32 | DType::BF16)
}

fn contiguous_f32(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    of_type(tensor, DType::F32).to_contiguous()
}

fn of_type(tensor: FloatTensor<Flex>, dtype: DType) -> FloatTensor<Flex> {
    if tensor.dtype() == dtype {
        return tensor;
    }
    Flex::float_cast(tensor, dtype.into())
}

/// The right side of a product, which may have been packed in an earlier call.
#[derive(Clone, Copy)]
struct Weight<'a> {
    tensor: &'a FloatTensor<Flex>,
    side: RightSide<'a>,
    precision: Fp32Precision,
}

impl<'a> Weight<'a> {
    /// A tensor of [`with_contiguous_side`].
    fn new(tensor: &'a FloatTensor<Flex>, precision: Fp32Precision) -> Self {
        let side = match tensor.dtype() {
            DType::BF16 => RightSide::Bf16(matrix_in(tensor.storage(), tensor)),
            _ => RightSide::F32(matrix(tensor)),
        };
        Self {
            tensor,
            side,
            precision,
        }
    }

    fn transposed(self) -> Self {
        let side = match self.side {
            RightSide::F32(matrix) => RightSide::F32(matrix.transposed()),
            RightSide::Bf16(matrix) => RightSide::Bf16(matrix.transposed()),
        };
        Self { side, ..self }
    }
}

/// The low-rank part of a product: a left side, and a right side for each group of rows.
#[derive(Clone, Copy)]
struct Grouped<'a> {
    left: Matrix<'a>,
    right: &'a [Matrix<'a>],
    groups: &'a GroupRows,
}

impl<'a> Grouped<'a> {
    /// Whether all groups have as many rows.
    fn is_even(self) -> bool {
        self.groups.lengths().windows(2).all(|pair| pair[0] == pair[1])
    }

    /// With its right sides packed.
    fn with_packed(branch: Option<Self>, right: Option<&'a [Packed]>) -> Option<Branch<'a>> {
        branch.zip(right).map(|(branch, right)| Branch {
            left: branch.left,
            right,
            lengths: branch.groups.lengths(),
        })
    }
}

/// `left · weight + bias + branch` as a tensor.
fn product(
    left: Matrix<'_>,
    weight: Weight<'_>,
    bias: Option<&[f32]>,
    branch: Option<Grouped<'_>>,
) -> FloatTensor<Flex> {
    let ([rows, _], [_, cols]) = (left.dims(), weight.side.dims());
    if let (RightSide::Bf16(right), Fp32Precision::Bf16 | Fp32Precision::Ieee) =
        (weight.side, weight.precision)
        && (1..=ThinBf16Product::ROWS).contains(&rows)
        && branch.is_none_or(Grouped::is_even)
    {
        let product = ThinBf16Product {
            left,
            right,
            bias,
            branch: branch.map(|branch| (branch.left, branch.right)),
        };
        return tensor_of(product.compute(), [rows, cols]);
    }
    let terms = match (weight.side, weight.precision) {
        (RightSide::F32(right), Fp32Precision::Ieee) => {
            return f32_product(left, weight.tensor, right, bias, branch);
        }
        (_, Fp32Precision::Bf16x3) => Terms::Two,
        (_, Fp32Precision::Bf16 | Fp32Precision::Ieee) => Terms::One,
    };
    let branch_right = branch.map(|branch| packed(branch.right));
    let product = Bf16Product {
        left,
        right: weight.side,
        terms,
        bias,
        branch: Grouped::with_packed(branch, branch_right.as_deref()),
    };
    tensor_of(product.compute(), [rows, cols])
}

/// [`product`] with a right side that is all of the tensor `weight`, or its transpose.
fn f32_product(
    left: Matrix<'_>,
    weight: &FloatTensor<Flex>,
    right: Matrix<'_>,
    bias: Option<&[f32]>,
    branch: Option<Grouped<'_>>,
) -> FloatTensor<Flex> {
    let ([rows, _], [_, cols]) = (left.dims(), right.dims());
    if (1..=ThinProduct::ROWS).contains(&rows) && branch.is_none_or(Grouped::is_even) {
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
        right: &packed_weight(weight, right),
        bias,
        base: None,
        branch: Grouped::with_packed(branch, branch_right.as_deref()),
    };
    tensor_of(product.compute(), [rows, cols])
}

/// The rows of each group through its own narrow matrix: `[rows, rank]`.
fn through(left: Matrix<'_>, right: &[Matrix<'_>], groups: &GroupRows) -> FloatTensor<Flex> {
    let [rows, _] = left.dims();
    let [_, rank] = right[0].dims();
    let mut output = vec![0.0; rows * rank];
    if !output.is_empty() {
        let lengths = groups.lengths().iter().map(|rows| rows * rank);
        parts(&mut output, lengths)
            .into_par_iter()
            .zip(right)
            .zip(groups.ranges().collect::<Vec<_>>())
            .for_each(|((output, right), group)| {
                let product = Product {
                    left: left.rows_in(&group),
                    right: &Packed::new(*right),
                    bias: None,
                    base: None,
                    branch: None,
                };
                product.write(output, rank);
            });
    }
    tensor_of(output, [rows, rank])
}

fn packed(matrices: &[Matrix<'_>]) -> Vec<Packed> {
    matrices.iter().map(|matrix| Packed::new(*matrix)).collect()
}
