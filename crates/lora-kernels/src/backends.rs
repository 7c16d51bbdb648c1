//! Operations on the backends that have no fused body, and under autodiff.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// Gives operations their bodies in primitives.
macro_rules! in_primitives {
    ($($operations:path),* $(,)?) => {$(
        #[cfg(feature = "ndarray")]
        impl $operations for burn::backend::NdArray {}

        #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda", feature = "rocm"))]
        impl $operations for burn::backend::Cube {}
    )*};
}

in_primitives!(
    crate::attention::AttentionOps,
    crate::cross_entropy::CrossEntropyOps,
    crate::gelu::GeluOps,
    crate::layer_norm::LayerNormOps,
    crate::linear::LinearOps,
    crate::rms_norm::RmsNormOps,
    crate::rotary::RotaryOps,
    crate::silu::gated::GatedSiluOps,
    crate::silu::SiluOps,
    crate::vanishing::VanishingOps,
);

/// The gradients of `N` inputs, from what the forward pass kept and the gradient of the output.
#[derive(Debug)]
struct InputGradients<S, G, const N: usize>(fn(S, G) -> [G; N]);

impl<B: Backend, S, const N: usize> Backward<B, N> for InputGradients<S, FloatTensor<B>, N>
where
    S: Clone + Send + Debug + 'static,
{
    type State = S;

    fn backward(self, ops: Ops<S, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        for (node, grad) in ops.parents.into_iter().zip((self.0)(ops.state, grad)) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

/// `forward(state)` as one operation of the graph on the inputs that have these nodes. If one of them is tracked, the state is kept
/// for `backward`; else `forward` has it alone, and may write in its place.
pub(crate) fn tracked<B: Backend, C: CheckpointStrategy, S, const N: usize>(
    inputs: [NodeGuard; N],
    state: S,
    forward: impl FnOnce(S) -> FloatTensor<B>,
    backward: fn(S, FloatTensor<B>) -> [FloatTensor<B>; N],
) -> FloatTensor<Autodiff<B, C>>
where
    S: Clone + Send + Debug + 'static,
{
    let prepared = InputGradients::<S, FloatTensor<B>, N>(backward).prepare::<C>(inputs);
    match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let output = forward(state.clone());
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(forward(state)),
    }
}

/// An operation on each number by itself under autodiff: its backward pass needs the input alone.
macro_rules! differentiable_elementwise {
    ($operations:ident, $forward:ident, $backward:ident) => {
        impl<B: $operations, C: CheckpointStrategy> $operations for Autodiff<B, C> {
            fn $forward(input: FloatTensor<Self>) -> FloatTensor<Self> {
                let node = input.node();
                $crate::backends::tracked::<B, C, _, 1>(
                    [node],
                    input.into_primitive(),
                    B::$forward,
                    |input, grad| [B::$backward(input, grad)],
                )
            }
        }
    };
}

pub(crate) use differentiable_elementwise;
