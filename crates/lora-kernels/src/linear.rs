//! The linear layer, frozen or trained, with or without a low-rank branch.

mod composed;
#[cfg(feature = "flex")]
mod flex;
mod groups;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{Tensor, assert_shape};

use composed::{
    composed_added_branch, composed_branch_factors_backward, composed_branched_sum, composed_products,
    of_same_type, with_bias, zeros_like,
};
pub(crate) use groups::GroupRows;

use crate::backends::tracked;
use crate::{Fp32Precision, LinearWeight};

/// `y = x W + bias`.
///
/// Weight and bias get gradients only if they ask for them; a frozen layer costs one product in the backward pass. Its precision is
/// that of the weight, forward and backward, if nothing of it is trained.
///
/// # Shapes
///
/// - input: `[..., d_input]`
/// - weight: `[d_input, d_output]`; bias: `[d_output]`
/// - output: `[..., d_output]`
///
/// # Panics
///
/// Panics if the shapes do not agree.
pub fn linear<const D: usize>(
    input: Tensor<D>,
    weight: impl Into<LinearWeight>,
    bias: Option<Tensor<1>>,
) -> Tensor<D> {
    let weight = weight.into();
    let [d_input, d_output] = weight.dims();
    let mut shape = input.dims();
    assert_eq!(
        shape[D - 1],
        d_input,
        "the input has {} features, not {d_input}",
        shape[D - 1]
    );
    shape[D - 1] = d_output;
    let rows = shape[..D - 1].iter().product::<usize>();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([d_output], &input.device()));
    let output = Dispatch::fused_linear(
        input.reshape([rows, d_input]).into_dispatch(),
        weight.values.into_dispatch(),
        bias.into_dispatch(),
        weight.precision,
    );
    Tensor::<2>::from_dispatch(output).reshape(shape)
}

/// `y = x W + bias + (x A_g) B_g` for contiguous groups g of rows.
///
/// # Shapes
///
/// - input: `[rows, d_input]`
/// - weight: `[d_input, d_output]`; bias: `[d_output]`
/// - a: `[groups, d_input, rank]`; b: `[groups, rank, d_output]`
/// - output: `[rows, d_output]`
///
/// # Panics
///
/// Panics if the shapes do not agree or the groups do not hold all rows.
pub(crate) fn branched_linear(
    input: Tensor<2>,
    weight: impl Into<LinearWeight>,
    bias: Option<Tensor<1>>,
    a: Tensor<3>,
    b: Tensor<3>,
    groups: GroupRows,
) -> Tensor<2> {
    let LinearWeight { values, precision } = weight.into();
    let [rows, d_input] = input.dims();
    let [_, d_output] = values.dims();
    let [_, _, rank] = a.dims();
    groups.assert_hold(rows);
    assert_shape!(values, [d_input, d_output]);
    assert_shape!(a, [groups.count(), d_input, rank]);
    assert_shape!(b, [groups.count(), rank, d_output]);
    let bias = bias.unwrap_or_else(|| Tensor::zeros([d_output], &input.device()));
    Tensor::from_dispatch(Dispatch::fused_branched_linear(
        input.into_dispatch(),
        values.into_dispatch(),
        bias.into_dispatch(),
        a.into_dispatch(),
        b.into_dispatch(),
        groups,
        precision,
    ))
}

/// `base + (x A_g) B_g` for contiguous groups g of rows: with `x W + bias` for the base the bits of [`branched_linear`] where all
/// of its matrices are f32 and have contiguous rows.
///
/// # Shapes
///
/// - base, output: `[rows, d_output]`; others as in [`branched_linear`]
pub(crate) fn added_branch(
    base: Tensor<2>,
    input: Tensor<2>,
    a: Tensor<3>,
    b: Tensor<3>,
    groups: GroupRows,
) -> Tensor<2> {
    let ([rows, d_input], [_, d_output]) = (input.dims(), base.dims());
    let [_, _, rank] = a.dims();
    groups.assert_hold(rows);
    assert_shape!(base, [rows, d_output]);
    assert_shape!(a, [groups.count(), d_input, rank]);
    assert_shape!(b, [groups.count(), rank, d_output]);
    let down = Dispatch::fused_down(input.into_dispatch(), a.into_dispatch(), groups.clone());
    Tensor::from_dispatch(Dispatch::fused_added_branch(
        base.into_dispatch(),
        down,
        b.into_dispatch(),
        groups,
    ))
}

/// Linear layers as backend operations; the bodies here serve every backend. Shapes as in [`linear`], [`branched_linear`].
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm")),
    Autodiff
)]
pub(crate) trait LinearOps: Backend {
    /// `x W + bias`.
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let _ = precision;
        let weight = of_same_type::<Self>(weight, &input);
        Self::linear(input, weight, Some(bias))
    }

    /// `g Wᵀ`.
    fn fused_linear_backward(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let _ = precision;
        Self::linear_x_backward(of_same_type::<Self>(weight, &grad), grad)
    }

    /// `x W + bias + (x A_g) B_g`.
    fn fused_branched_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let down = Self::fused_down(input.clone(), a, groups.clone());
        Self::fused_branched_sum(input, weight, bias, down, b, groups, precision)
    }

    /// `x_g A_g`, `[rows, rank]`. It may be of another type than the rows.
    fn fused_down(rows: FloatTensor<Self>, a: FloatTensor<Self>, groups: GroupRows) -> FloatTensor<Self> {
        composed_products::<Self>(&rows, &a, &groups)
    }

    /// `g B_gᵀ`, `[rows, rank]`: the gradient of what [`LinearOps::fused_down`] makes.
    fn fused_down_backward(
        grad: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        composed_products::<Self>(&grad, &Self::float_swap_dims(b, 1, 2), &groups)
    }

    /// `x W + bias + down_g B_g`.
    fn fused_branched_sum(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        down: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let _ = precision;
        composed_branched_sum::<Self>(input, weight, Some(bias), down, &b, &groups)
    }

    /// `base + down_g B_g`.
    fn fused_added_branch(
        base: FloatTensor<Self>,
        down: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
    ) -> FloatTensor<Self> {
        composed_added_branch::<Self>(base, down, &b, &groups)
    }

    /// The gradient of the input, `g Wᵀ + d_g A_gᵀ`, where d is that of [`LinearOps::fused_down`].
    fn fused_branched_linear_backward(
        weight: FloatTensor<Self>,
        a: FloatTensor<Self>,
        down_grad: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        let _ = precision;
        let [weight, a] = [(weight, 0, 1), (a, 1, 2)]
            .map(|(tensor, first, second)| Self::float_swap_dims(tensor, first, second));
        composed_branched_sum::<Self>(grad, weight, None, down_grad, &a, &groups)
    }

    /// The gradients of both factors: `x_gᵀ d_g` and `down_gᵀ g_g`.
    fn fused_branch_factors_backward(
        input: FloatTensor<Self>,
        down: FloatTensor<Self>,
        down_grad: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        groups: GroupRows,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_branch_factors_backward::<Self>(&input, down, down_grad, &grad, &groups)
    }
}

impl<B: LinearOps, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn fused_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        if weight.is_tracked() {
            return <Self as ModuleOps<Self>>::linear(input, weight, Some(bias));
        }
        if bias.is_tracked() {
            let output = Self::fused_linear(input, weight, zeros_like::<Self>(&bias), precision);
            return with_bias::<Self>(output, bias);
        }
        let node = input.node();
        let weight = weight.into_primitive();
        let (input, bias) = (input.into_primitive(), bias.into_primitive());
        tracked::<B, C, _, 1>(
            [node],
            (weight, precision),
            |(weight, precision)| B::fused_linear(input, weight, bias, precision),
            |(weight, precision), grad| [B::fused_linear_backward(weight, grad, precision)],
        )
    }

    fn fused_branched_linear(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        groups: GroupRows,
        precision: Fp32Precision,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct BranchedLinear;

        impl<B: LinearOps> Backward<B, 3> for BranchedLinear {
            /// Input, weight, A, B, what A makes of the input; groups, and how the weight is multiplied.
            type State = ([FloatTensor<B>; 5], GroupRows, Fp32Precision);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let ([input, weight, a, b, down], groups, precision) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let [input_node, a_node, b_node] = ops.parents;
                let down_grad = B::fused_down_backward(grad.clone(), b, groups.clone());
                if a_node.is_some() || b_node.is_some() {
                    let (a_grad, b_grad) = B::fused_branch_factors_backward(
                        input,
                        down,
                        down_grad.clone(),
                        grad.clone(),
                        groups.clone(),
                    );
                    if let Some(node) = a_node {
                        grads.register::<B>(node.id, a_grad);
                    }
                    if let Some(node) = b_node {
                        grads.register::<B>(node.id, b_grad);
                    }
                }
                if let Some(node) = input_node {
                    let grad =
                        B::fused_branched_linear_backward(weight, a, down_grad, grad, groups, precision);
                    grads.register::<B>(node.id, grad);
                }
            }
        }

        if weight.is_tracked() {
            let down = composed_products::<Self>(&input, &a, &groups);
            return composed_branched_sum::<Self>(input, weight, Some(bias), down, &b, &groups);
        }
        if bias.is_tracked() {
            let zeros = zeros_like::<Self>(&bias);
            let output = Self::fused_branched_linear(input, weight, zeros, a, b, groups, precision);
            return with_bias::<Self>(output, bias);
        }
        let nodes = [input.node(), a.node(), b.node()];
        let [input, weight, a, b] = [input, weight, a, b].map(FloatTensor::<Self>::into_primitive);
        let down = B::fused_down(input.clone(), a.clone(), groups.clone());
        let output = B::fused_branched_sum(
            input.clone(),
            weight.clone(),
            bias.into_primitive(),
            down.clone(),
            b.clone(),
            groups.clone(),
            precision,
        );
        match BranchedLinear.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(([input, weight, a, b, down], groups, precision), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

#[cfg(test)]
mod tests;
