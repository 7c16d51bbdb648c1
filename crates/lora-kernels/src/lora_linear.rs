//! The linear layer with a low-rank branch and LoRA Dropout's two masks.

use std::sync::Arc;

use burn::tensor::{Tensor, assert_shape};

use crate::LinearWeight;
use crate::linear::{GroupRows, added_branch, branched_linear, linear};

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
    /// `[groups, d_input, rank]`: added to A before anything else, for each group of rows (a variational A).
    pub factor_noise: Option<Tensor<3>>,
    /// `[batch, rows, d_input]`: multiplies the branch's input element by element (PEFT's input dropout), rows
    /// being the product of the axes between the first and the last.
    pub input_noise: Option<Tensor<3>>,
    /// How many tokens of the input each group has, where rows of different lengths stand end to end; `None` where groups
    /// are blocks of rows of the batch, as [`KeepMasks`] says.
    pub group_tokens: Option<Arc<[usize]>>,
}

/// LoRA Dropout's keep-masks: entries 0, or 1 (plain) or 1/(1−p) (rescaled). An axis without a mask is kept whole.
///
/// Rows of the batch are shared out to groups in contiguous blocks: row i belongs to group `⌊i·groups/batch⌋`.
#[derive(Clone, Debug, Default)]
pub struct KeepMasks {
    /// `m_A: [groups, d_input]`, on the columns of PEFT's `lora_A`.
    pub input: Option<Tensor<2>>,
    /// `m_B: [groups, d_output]`, on the rows of PEFT's `lora_B`.
    pub output: Option<Tensor<2>>,
    /// `m_R: [groups, rank]`, on the rows of PEFT's `lora_A` and the columns of `lora_B` that belong to them.
    pub rank: Option<Tensor<2>>,
}

/// `y = x W + bias + s · ((x ⊙ m_A) A ⊙ m_R B) ⊙ m_B` (LoRA Dropout, arXiv 2404.09610, which has no `m_R`; without masks: LoRA).
///
/// The masks are folded into the factors, `Â = diag(m_A) A diag(m_R)` and `B̂ = B diag(m_B)`: the factors have rank·d values,
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
    weight: impl Into<LinearWeight>,
    bias: Option<Tensor<1>>,
    branch: LowRankBranch,
) -> Tensor<D> {
    let weight = weight.into();
    let [d_input, d_output] = weight.dims();
    let shape = input.dims();
    let folded = branch.folded([d_input, d_output], &shape[..D - 1]);
    if folded.noise.is_some() {
        return linear(input.clone(), weight, bias) + folded.noisy_update(input);
    }
    let Folded { a, b, groups, .. } = folded;
    let output = branched_linear(as_rows(input), weight, bias, a, b, groups);
    output.reshape(with_width(shape, d_output))
}

/// [`lora_linear`] where `base = x W + bias` is known, as it is to passes over one input that differ in their branches alone.
/// On Flex, and from primitives, it has the same bits.
///
/// # Shapes
///
/// - base, output: `[batch, ..., d_output]`
/// - input: `[batch, ..., d_input]`
///
/// # Panics
///
/// As [`lora_linear`].
pub fn lora_beside<const D: usize>(base: Tensor<D>, input: Tensor<D>, branch: LowRankBranch) -> Tensor<D> {
    let shape = base.dims();
    let dims = [input.dims()[D - 1], shape[D - 1]];
    let folded = branch.folded(dims, &shape[..D - 1]);
    if folded.noise.is_some() {
        return base + folded.noisy_update(input);
    }
    let Folded { a, b, groups, .. } = folded;
    added_branch(as_rows(base), as_rows(input), a, b, groups).reshape(shape)
}

/// A branch with masks and scale in its factors.
struct Folded {
    /// `[groups, d_input, rank]`.
    a: Tensor<3>,
    /// `[groups, rank, d_output]`.
    b: Tensor<3>,
    /// The rows of each group, of the input as a matrix.
    groups: GroupRows,
    /// `[batch, rows, d_input]`.
    noise: Option<Tensor<3>>,
}

impl Folded {
    /// The branch's part where it reads other values than the frozen layer.
    fn noisy_update<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        let shape = input.dims();
        let [_, _, d_output] = self.b.dims();
        let input = match self.noise {
            None => as_rows(input),
            Some(noise) => as_rows(input) * as_rows(noise),
        };
        let zeros = Tensor::zeros([input.dims()[0], d_output], &input.device());
        added_branch(zeros, input, self.a, self.b, self.groups).reshape(with_width(shape, d_output))
    }
}

/// `[batch, ..., d]` as `[rows, d]`.
fn as_rows<const D: usize>(tensor: Tensor<D>) -> Tensor<2> {
    let shape = tensor.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    tensor.reshape([rows, shape[D - 1]])
}

fn with_width<const D: usize>(mut shape: [usize; D], width: usize) -> [usize; D] {
    shape[D - 1] = width;
    shape
}

impl LowRankBranch {
    /// For an input with these axes before the last one.
    fn folded(self, [d_input, d_output]: [usize; 2], axes: &[usize]) -> Folded {
        let rank = self.a.dims()[1];
        assert_shape!(self.a, [d_input, rank]);
        assert_shape!(self.b, [rank, d_output]);
        let rows: usize = axes.iter().product();
        let masks = self.masks.unwrap_or_default();
        let b = self.b.mul_scalar(self.scale).unsqueeze::<3>();
        let (masks, factor_noise) = if self.group_tokens.is_some() {
            (masks, self.factor_noise)
        } else {
            let factor_noise = self.factor_noise.map(|noise| of_rows(noise, axes[0]));
            (masks.fitted_to(axes[0]), factor_noise)
        };
        let a = match factor_noise {
            None => self.a.unsqueeze::<3>(),
            Some(noise) => self.a.unsqueeze::<3>() + noise,
        };
        let (a, b) = masks.folded_into(a, b);
        // Without masks there is one group, whatever the pass has.
        let groups = a.dims()[0];
        let unequal = self.group_tokens.filter(|tokens| tokens.len() == groups);
        Folded {
            groups: unequal.map_or_else(|| GroupRows::equal(rows, groups), |tokens| GroupRows::of(&tokens)),
            a,
            b,
            noise: self.input_noise,
        }
    }
}

impl KeepMasks {
    /// Number of groups that rows of the batch are shared out to; 1 without masks.
    pub fn groups(&self) -> usize {
        let masks = [&self.input, &self.output, &self.rank];
        let mask = masks.into_iter().flatten().next();
        mask.map_or(1, |mask| mask.dims()[0])
    }

    /// Masks whose groups divide the batch: as they are, or one row for each example where they do not divide it.
    fn fitted_to(self, batch: usize) -> Self {
        let fitted = |mask: Tensor<2>| of_rows(mask, batch);
        Self {
            input: self.input.map(fitted),
            output: self.output.map(fitted),
            rank: self.rank.map(fitted),
        }
    }

    /// `Â: [groups, d_input, rank]` and `B̂: [groups, rank, d_output]`.
    fn folded_into(self, mut a: Tensor<3>, mut b: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        let ([of_a, d_input, rank], [_, _, d_output]) = (a.dims(), b.dims());
        // The factor may have groups of its own, as many as the masks.
        let groups = self.groups().max(of_a);
        if let Some(mask) = self.input {
            assert_shape!(mask, [groups, d_input]);
            a = a * mask.reshape([groups, d_input, 1]);
        }
        if let Some(mask) = self.rank {
            assert_shape!(mask, [groups, rank]);
            a = a * mask.reshape([groups, 1, rank]);
        }
        if let Some(mask) = self.output {
            assert_shape!(mask, [groups, d_output]);
            b = b * mask.reshape([groups, 1, d_output]);
        }
        (in_each_group(a, groups), in_each_group(b, groups))
    }
}

/// Something for each group, as it is if the groups divide the batch, else for each row.
fn of_rows<const D: usize>(groups: Tensor<D>, batch: usize) -> Tensor<D> {
    let count = groups.dims()[0];
    assert!(count <= batch, "{count} mask groups for a batch of {batch} rows");
    if batch.is_multiple_of(count) {
        return groups;
    }
    let group_of_row: Vec<i32> = (0..batch).map(|row| (row * count / batch) as i32).collect();
    let group_of_row = Tensor::from_data(group_of_row.as_slice(), &groups.device());
    groups.select(0, group_of_row)
}

/// A factor without mask is the same in all groups.
fn in_each_group(factor: Tensor<3>, groups: usize) -> Tensor<3> {
    if factor.dims()[0] == groups {
        factor
    } else {
        factor.repeat_dim(0, groups)
    }
}
