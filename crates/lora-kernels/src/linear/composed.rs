//! Linear layers with a branch from primitives, for backends without kernels of ours and for types that those do not multiply.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::groups::{GroupRows, joined};

/// `x_g F_g` from primitives: the rows of each group through its factor.
pub(super) fn composed_products<B: Backend>(
    rows: &FloatTensor<B>,
    factors: &FloatTensor<B>,
    groups: &GroupRows,
) -> FloatTensor<B> {
    let width = factors.shape()[2];
    let products = groups.blocks().map(|block| {
        let product = B::float_matmul(block.rows_of::<B>(rows), block.factors_of::<B>(factors));
        B::float_reshape(product, Shape::new([block.len(), width]))
    });
    joined::<B>(products.collect())
}

/// `x W + bias + down_g B_g` from primitives.
pub(super) fn composed_branched_sum<B: Backend>(
    input: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    down: FloatTensor<B>,
    b: &FloatTensor<B>,
    groups: &GroupRows,
) -> FloatTensor<B> {
    let weight = of_same_type::<B>(weight, &input);
    composed_added_branch::<B>(B::linear(input, weight, bias), down, b, groups)
}

/// `base + down_g B_g` from primitives.
pub(super) fn composed_added_branch<B: Backend>(
    base: FloatTensor<B>,
    down: FloatTensor<B>,
    b: &FloatTensor<B>,
    groups: &GroupRows,
) -> FloatTensor<B> {
    let down = of_same_type::<B>(down, b);
    let update = composed_products::<B>(&down, b, groups);
    B::float_add(base, update)
}

/// One side in the type of the other, since primitives do not multiply two types.
pub(super) fn of_same_type<B: Backend>(side: FloatTensor<B>, other: &FloatTensor<B>) -> FloatTensor<B> {
    if side.dtype() == other.dtype() {
        return side;
    }
    B::float_cast(side, other.dtype().into())
}

/// `[rows, d] + [d]`.
pub(super) fn with_bias<B: Backend>(output: FloatTensor<B>, bias: FloatTensor<B>) -> FloatTensor<B> {
    let shape = Shape::new([1, bias.shape()[0]]);
    B::float_add(output, B::float_reshape(bias, shape))
}

pub(super) fn zeros_like<B: Backend>(tensor: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(tensor.shape(), &tensor.device(), tensor.dtype().into())
}

/// Both factors' gradients from primitives.
pub(super) fn composed_branch_factors_backward<B: Backend>(
    input: &FloatTensor<B>,
    down: FloatTensor<B>,
    down_grad: FloatTensor<B>,
    grad: &FloatTensor<B>,
    groups: &GroupRows,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let [down, down_grad] = [down, down_grad].map(|narrow| of_same_type::<B>(narrow, grad));
    let transposed_product = |left: &FloatTensor<B>, right: &FloatTensor<B>| {
        let products = groups.blocks().map(|block| {
            let [left, right] = [left, right].map(|rows| block.rows_of::<B>(rows));
            B::float_matmul(B::float_swap_dims(left, 1, 2), right)
        });
        joined::<B>(products.collect())
    };
    (
        transposed_product(input, &down_grad),
        transposed_product(&down, grad),
    )
}
