//! The linear layer with a low-rank branch and LoRA Dropout's two masks.

use burn::tensor::{Tensor, assert_shape};

use crate::linear::{branched_linear, linear};

/// The trainable branch beside a frozen linear layer.
#[derive(Clone, Debug)]
pub struct LowRankBranch {
    /// `A: [d_input, rank]`, the transpose of PEFT's `lora_A`.
    pub a: Tensor<2>,
    /// `B: [rank, d_output]`, the transpose of PEFT's `lora_B`.
    pub b: Tensor<2>,
    /// The factor `s` of the branch.
    pub scale: f64,
    /// LoRA Dropout's masks; `None` stands for masks of ones.
    pub masks: Option<KeepMasks>,
    /// `[batch, rows, d_input]`: multiplies the branch's input element by element (PEFT's input dropout), rows
    /// being the product of the axes between the first and the last.
    pub input_noise: Option<Tensor<3>>,
}

/// LoRA Dropout's keep-masks: entries 0, or 1 (plain) or 1/(1−p) (rescaled).
///
/// Rows of the batch are shared out to groups in contiguous blocks: row i belongs to group `⌊i·groups/batch⌋`.
#[derive(Clone, Debug)]
pub struct KeepMasks {
    /// `m_A: [groups, d_input]`, on the columns of PEFT's `lora_A`.
    pub input: Tensor<2>,
    /// `m_B: [groups, d_output]`, on the rows of PEFT's `lora_B`.
    pub output: Tensor<2>,
}

/// `y = x W + bias + s · ((x ⊙ m_A) A B) ⊙ m_B` (LoRA Dropout, arXiv 2404.09610; without masks: LoRA).
///
/// The masks are folded into the factors, `Â = diag(m_A) A` and `B̂ = B diag(m_B)`: the factors have rank·d numbers,
/// the activations batch·seq·d, so a masked pass costs what a plain one does.
///
/// # Shapes
///
/// - input: `[batch, ..., d_input]`
/// - weight: `[d_input, d_output]`; bias: `[d_output]`
/// - output: `[batch, ..., d_output]`
///
/// # Panics
///
/// Panics if the shapes do not agree, or if there are more groups than rows in the batch.
pub fn lora_linear<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    branch: LowRankBranch,
) -> Tensor<D> {
    let [d_input, d_output] = weight.dims();
    let rank = branch.a.dims()[1];
    assert_shape!(branch.a, [d_input, rank]);
    assert_shape!(branch.b, [rank, d_output]);

    let shape = input.dims();
    let batch = shape[0];
    let rows: usize = shape[1..D - 1].iter().product();
    let b = branch.b.mul_scalar(branch.scale);
    let (a, b) = match branch.masks {
        None => (branch.a.unsqueeze::<3>(), b.unsqueeze::<3>()),
        Some(masks) => {
            let masks = masks.fitted_to(batch);
            let [groups, _] = masks.input.dims();
            assert_shape!(masks.input, [groups, d_input]);
            assert_shape!(masks.output, [groups, d_output]);
            (
                branch.a.unsqueeze::<3>() * masks.input.reshape([groups, d_input, 1]), // [groups, d_input, rank]
                b.unsqueeze::<3>() * masks.output.reshape([groups, 1, d_output]), // [groups, rank, d_output]
            )
        }
    };
    let mut output_shape = shape;
    output_shape[D - 1] = d_output;
    let Some(noise) = branch.input_noise else {
        let input = input.reshape([batch * rows, d_input]);
        return branched_linear(input, weight, bias, a, b).reshape(output_shape);
    };
    // The branch reads other numbers than the frozen layer.
    let [groups, ..] = a.dims();
    let branch_input = input.clone().reshape([batch, rows, d_input]) * noise;
    let update = branch_input
        .reshape([groups, batch / groups * rows, d_input])
        .matmul(a) // [groups, batch/groups·rows, rank]
        .matmul(b); // [groups, batch/groups·rows, d_output]
    linear(input, weight, bias) + update.reshape(output_shape)
}

impl KeepMasks {
    /// Masks whose groups divide the batch: as they are, or one row for each example where they do not divide it.
    fn fitted_to(self, batch: usize) -> Self {
        let [groups, _] = self.input.dims();
        assert!(
            groups <= batch,
            "{groups} mask groups for a batch of {batch} rows"
        );
        if batch.is_multiple_of(groups) {
            return self;
        }
        let group_of_row: Vec<i32> = (0..batch).map(|row| (row * groups / batch) as i32).collect();
        let group_of_row = Tensor::from_data(group_of_row.as_slice(), &self.input.device());
        Self {
            input: self.input.select(0, group_of_row.clone()),
            output: self.output.select(0, group_of_row),
        }
    }
}
