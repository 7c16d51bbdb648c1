//! The noise of `HiddenKey` (Wang et al. 2024, arXiv 2403.00812): keys that attention does not see, and elements that are cut out of the outputs
//! of feed-forward blocks.

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::HIDDEN;
use rand_distr::{Bernoulli, Distribution};

use crate::random::{Draw, NoiseKind, generator};

/// What `HiddenKey` draws in one pass, as a value: seed, draw and path of a block fix every number.
///
/// - `DropKey` (Li et al. 2023, arXiv 2208.02646), by columns: each key is dropped for all queries of its example and head, by what is
///   added to the scores before the softmax.
/// - `HiddenCut` (Chen et al. 2021, arXiv 2106.00149), by elements: values of a feed-forward block's output become 0 before the
///   residual is added, which is the place in its authors' code (SALT-NLP/HiddenCut, `BertOutput`). Those that are kept are divided by
///   1 − p, so that the mean pass carries what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HiddenKeyNoise {
    /// The seed.
    pub seed: u64,
    /// What it is drawn for.
    pub draw: Draw,
    /// Probability that a key is dropped; 0 drops none.
    pub key_probability: f64,
    /// Probability that a number is cut; 0 cuts none.
    pub cut_probability: f64,
}

/// What is added to the score of a dropped key: far below every real score, and above that of padding. Where all keys of a row are
/// dropped, the softmax so runs over them as if none were, and never over padding.
const DROPPED: f32 = (HIDDEN / 2.0) as f32;

impl HiddenKeyNoise {
    /// What attention adds to its scores, so that keys are dropped; `None` if the probability is 0. `path` is that of a linear of
    /// the block.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, 1, seq]`
    pub fn dropped_keys(&self, path: &str, shape: [usize; 3], device: &Device) -> Option<Tensor<4>> {
        let [batch, n_heads, seq] = shape;
        let count = shape.iter().product();
        let values = self.draws(self.key_probability, path, NoiseKind::Keys, count, 0.0, DROPPED)?;
        Some(Tensor::from_data(
            TensorData::new(values, [batch, n_heads, 1, seq]),
            device,
        ))
    }

    /// The output of a feed-forward block with elements cut out. `path` is that of a linear of the block.
    ///
    /// # Shapes
    ///
    /// - input, output: `[batch, tokens, d_model]`
    #[must_use]
    pub fn cut(&self, path: &str, hidden: Tensor<3>) -> Tensor<3> {
        let shape = hidden.dims();
        let kept = (1.0 / (1.0 - self.cut_probability)) as f32;
        let count = shape.iter().product();
        match self.draws(self.cut_probability, path, NoiseKind::Cut, count, kept, 0.0) {
            None => hidden,
            Some(factors) => {
                let device = hidden.device();
                hidden * Tensor::from_data(TensorData::new(factors, shape), &device)
            }
        }
    }

    /// So many values, each dropped with the probability; none where nothing is dropped.
    fn draws(
        &self,
        probability: f64,
        path: &str,
        side: NoiseKind,
        count: usize,
        kept: f32,
        dropped: f32,
    ) -> Option<Vec<f32>> {
        if probability == 0.0 {
            return None;
        }
        let is_dropped = Bernoulli::new(probability).expect("the probability was checked with the settings");
        let mut generator = generator(self.seed, path, side, self.draw);
        let values = is_dropped.sample_iter(&mut generator).take(count);
        Some(
            values
                .map(|is_dropped| if is_dropped { dropped } else { kept })
                .collect(),
        )
    }
}
