//! DoRA: direction and length of every weight column apart.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lora_kernels::{LinearWeight, linear, lora_linear};

use super::{LowRank, folded_shape, param};
use crate::pass::Pass;

/// DoRA (arXiv 2402.09353): `y = x W' + b`, where column j of `W' = V ⊙ (m / ‖V‖)`, `V = W + s · A B`, has the trained
/// length `m_j`.
///
/// The norms `‖V‖` are those of the mean pass and are constants to the gradient (section 4.3 of the paper, as in PEFT).
/// So LoRA Dropout masks the branch alone, and the masked passes average to the mean pass.
#[derive(Module, Debug)]
pub struct WeightDecomposed {
    /// The direction's factors.
    pub low_rank: LowRank,
    /// `[d_output]`: the length of each weight column, PEFT's `lora_magnitude_vector`.
    pub magnitude: Param<Tensor<1>>,
}

impl WeightDecomposed {
    /// Gives the columns of `weight` with the factors' update their own lengths, so that nothing changes yet.
    ///
    /// # Shapes
    ///
    /// - weight: `[d_input, d_output]`
    pub fn init(low_rank: LowRank, weight: Tensor<2>) -> Self {
        let magnitude = column_norms(weight + low_rank.delta()).detach(); // [d_output]
        Self {
            low_rank,
            magnitude: param(magnitude),
        }
    }

    /// `y = (x W + s · ((x ⊙ m_A) A B) ⊙ m_B) ⊙ g + b` with `g = m / ‖V‖`.
    pub(crate) fn forward<const D: usize>(
        &self,
        path: &str,
        input: Tensor<D>,
        weight: LinearWeight,
        bias: Option<Tensor<1>>,
        pass: &Pass,
    ) -> Tensor<D> {
        let mut branch = self.low_rank.branch(path, folded_shape(&input), pass);
        let gain = self.gain(&weight.clone().widened()); // [d_output]
        let mut last = [1; D];
        last[D - 1] = gain.dims()[0];
        let gain: Tensor<D> = gain.reshape(last);
        if let Some(noise) = branch.input_noise.take() {
            // PEFT's input dropout falls on the whole change of the output, x W' − x W, but not on x W itself.
            let dropped = input.clone() * noise.reshape(input.dims());
            let changed = lora_linear(dropped.clone(), weight.clone(), None, branch) * gain
                - linear(dropped, weight.clone(), None);
            return linear(input, weight, bias) + changed;
        }
        let output = lora_linear(input, weight, None, branch) * gain;
        match bias {
            Some(bias) => {
                let bias: Tensor<D> = bias.reshape(last);
                output + bias
            }
            None => output,
        }
    }

    /// The weight of [`Pass::Mean`], `[d_input, d_output]`.
    pub fn merged(&self, weight: Tensor<2>) -> Tensor<2> {
        let gain = self.gain(&weight);
        (weight + self.low_rank.delta()) * gain.unsqueeze::<2>()
    }

    /// `m / ‖W + s · A B‖`, `[d_output]`, the norm without gradient.
    fn gain(&self, weight: &Tensor<2>) -> Tensor<1> {
        self.magnitude.val() / column_norms(weight.clone().detach() + self.low_rank.delta().detach())
    }
}

/// The 2-norm of every column, `[d_output]`.
fn column_norms(weight: Tensor<2>) -> Tensor<1> {
    let d_output = weight.dims()[1];
    weight.square().sum_dim(0).sqrt().reshape([d_output])
}
