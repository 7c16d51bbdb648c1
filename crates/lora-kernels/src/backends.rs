//! Operations on the backends that have no fused body, and under autodiff.

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

/// An operation on each number by itself under autodiff: its backward pass needs the input alone.
macro_rules! differentiable_elementwise {
    ($operations:ident, $forward:ident, $backward:ident) => {
        impl<B: $operations, C: CheckpointStrategy> $operations for Autodiff<B, C> {
            fn $forward(input: FloatTensor<Self>) -> FloatTensor<Self> {
                #[derive(Debug)]
                struct Operation;

                impl<B: $operations> Backward<B, 1> for Operation {
                    type State = FloatTensor<B>;

                    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                        let input = ops.state;
                        unary::<B, _>(ops.parents, ops.node, grads, |grad| {
                            B::$backward(input, grad)
                        });
                    }
                }

                let node = input.node();
                match Operation.prepare::<C>([node]).compute_bound().stateful() {
                    OpsKind::Tracked(prep) => {
                        let input = input.into_primitive();
                        prep.finish(input.clone(), B::$forward(input))
                    }
                    OpsKind::UnTracked(prep) => prep.finish(B::$forward(input.into_primitive())),
                }
            }
        }
    };
}

pub(crate) use differentiable_elementwise;
