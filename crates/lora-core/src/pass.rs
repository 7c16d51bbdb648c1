//! How adapters act in one forward pass.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::KeepMasks;
use rand_distr::{Bernoulli, Distribution};

use crate::sampler::{Draw, Side, generator};

/// How adapters act in this forward pass. It is an argument of every forward, so a pass with masks is as easy at
/// test time as in training, and the same pass can be run twice.
#[derive(Clone, Copy, Debug)]
pub enum Pass<'a> {
    /// Without masks, with the expected update: deterministic.
    Mean,
    /// With these masks.
    Masked(&'a MaskSet),
}

/// Everything random about one pass: LoRA Dropout's keep-masks of each adapter, and the key of PEFT's input dropout.
///
/// One type serves training and ensembles: `groups` is 1 for one mask a pass (the paper), the batch size for one
/// mask an example, the number of members for an ensemble in one pass over repeated rows.
#[derive(Clone, Debug, Default)]
pub struct MaskSet {
    keep: Option<HashMap<String, KeepMasks>>,
    input: Option<InputDropout>,
}

/// PEFT's `lora_dropout`, as a value: which numbers it draws is fixed by seed and draws.
#[derive(Clone, Debug)]
pub(crate) struct InputDropout {
    pub seed: u64,
    pub probability: f64,
    pub draws: Vec<Draw>,
}

impl Pass<'_> {
    /// Number of groups that rows of the batch are shared out to: 1 for a pass without masks.
    pub fn groups(&self) -> usize {
        match self {
            Pass::Mean => 1,
            Pass::Masked(set) => set.groups(),
        }
    }
}

impl MaskSet {
    /// Number of groups that rows of the batch are shared out to.
    pub fn groups(&self) -> usize {
        let masks = self.keep.as_ref().and_then(|keep| keep.values().next());
        let draws = self.input.as_ref().map(|input| input.draws.len());
        masks.map(|masks| masks.input.dims()[0]).or(draws).unwrap_or(1)
    }

    /// Masks given by hand, for each adapter by its path.
    pub fn from_masks(keep: HashMap<String, KeepMasks>) -> Self {
        Self {
            keep: Some(keep),
            input: None,
        }
    }

    pub(crate) fn new(keep: Option<HashMap<String, KeepMasks>>, input: Option<InputDropout>) -> Self {
        Self { keep, input }
    }

    /// The masks of the adapter at a path; `None` if this pass drops nothing there.
    ///
    /// # Panics
    ///
    /// Panics if the set holds masks, but none for this path: it was drawn for another model.
    pub fn keep_masks(&self, path: &str) -> Option<&KeepMasks> {
        let keep = self.keep.as_ref()?;
        Some(
            keep.get(path)
                .unwrap_or_else(|| panic!("the mask set holds no masks for the adapter at `{path}`")),
        )
    }

    /// The factors of PEFT's input dropout, 0 or 1/(1−p), one for each number of the branch's input.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, rows, d_input]`
    pub(crate) fn input_noise(&self, path: &str, shape: [usize; 3], device: &Device) -> Option<Tensor<3>> {
        let InputDropout {
            seed,
            probability,
            draws,
        } = self.input.as_ref()?;
        let [batch, rows, d_input] = shape;
        let keep =
            Bernoulli::new(1.0 - probability).expect("the probability was checked with the configuration");
        let kept = (1.0 / (1.0 - probability)) as f32;
        let groups = draws.len();
        let mut values = Vec::with_capacity(batch * rows * d_input);
        for (group, draw) in draws.iter().enumerate() {
            // The same sharing of rows as for the masks: row i belongs to group ⌊i·groups/batch⌋.
            let block = (group * batch).div_ceil(groups)..((group + 1) * batch).div_ceil(groups);
            let mut generator = generator(*seed, path, Side::Noise, *draw);
            let count = block.len() * rows * d_input;
            values.extend(
                keep.sample_iter(&mut generator)
                    .take(count)
                    .map(|keep| if keep { kept } else { 0.0 }),
            );
        }
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }
}
