//! The mean pass that notes what goes into the trained maps, so that gradients of single rows can be computed.

use burn::tensor::Tensor;
use lora_kernels::linear;

use super::{BaseTraining, LoraLinear};
use crate::adapter::{Adapter, folded_shape};
use crate::pass::Pass;
use crate::taps::{TappedMap, Taps};

impl LoraLinear {
    /// The mean pass with taps.
    pub(super) fn forward_tapped<const D: usize>(&self, input: Tensor<D>, taps: &Taps) -> Tensor<D> {
        let [_, d_output] = self.dims();
        let mut shape = input.dims();
        shape[D - 1] = d_output;
        let folded = folded_shape(&input);
        let x: Tensor<3> = input.reshape(folded);
        let mut output = match &self.adapter {
            Some(Adapter::LowRank(factors)) => {
                let down = linear(x.clone(), factors.a.val(), None); // [batch, tokens, rank]
                let down = taps.tap(self.path(), TappedMap::A, &x, down);
                let scaled = down.mul_scalar(factors.mean_scale());
                let update = linear(scaled.clone(), factors.b.val(), None);
                let update = taps.tap(self.path(), TappedMap::B, &scaled, update);
                let bias = factors.bias_delta().map(|bias| bias.reshape([1, 1, d_output]));
                let base = self.without_adapter(x.clone()) + update;
                match bias {
                    Some(bias) => base + bias,
                    None => base,
                }
            }
            None | Some(Adapter::WeightDecomposed(_) | Adapter::Svd(_)) => {
                self.forward_with(&self.base, self.adapter.as_ref(), x.clone(), &Pass::Mean)
            }
        };
        if self.training != BaseTraining::Frozen {
            output = taps.tap(self.path(), TappedMap::Base, &x, output);
        }
        output.reshape(shape)
    }
}
