//! Everything random about one forward pass, as a value.

use std::collections::HashMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::KeepMasks;
use rand_distr::{Bernoulli, Distribution};

use crate::hidden_key::HiddenKeyNoise;
use crate::packing::Packing;
use crate::random::{Draw, NoiseKind, generator};

/// Everything random about one pass: LoRA Dropout's keep-masks of each adapter, the key of PEFT's input dropout, what is added to
/// factors A (a variational posterior), and what `HiddenKey` drops.
///
/// One type serves training and ensembles: `groups` is 1 for one mask a pass (the paper), the batch size for one
/// mask an example, the number of members for an ensemble in one pass over repeated rows.
///
/// A clone shares the tensors, so noise for each batch of a data set costs nothing: see [`PassNoise::for_rows`].
#[derive(Clone, Debug, Default)]
pub struct PassNoise {
    keep: Option<Arc<HashMap<String, KeepMasks>>>,
    input: Option<InputDropout>,
    rows: Option<Vec<usize>>,
    packing: Option<Packing>,
    factor_noise: Option<Arc<HashMap<String, Tensor<3>>>>,
    hidden_key: Option<HiddenKeyNoise>,
}

/// PEFT's `lora_dropout`, as a value: which values it draws is fixed by seed and draws.
#[derive(Clone, Debug)]
pub(crate) struct InputDropout {
    pub seed: u64,
    pub probability: f64,
    pub draws: Vec<Draw>,
    /// Which of an adapter's streams is drawn from.
    pub side: NoiseKind,
}

impl PassNoise {
    /// Number of groups that rows of the batch are shared out to.
    pub fn groups(&self) -> usize {
        let masks = self.keep.as_ref().and_then(|keep| keep.values().next());
        let draws = self.input.as_ref().map(|input| input.draws.len());
        let noise = self.factor_noise.as_ref().and_then(|noise| noise.values().next());
        let of_noise = noise.map(|noise| noise.dims()[0]);
        masks.map(KeepMasks::groups).or(draws).or(of_noise).unwrap_or(1)
    }

    /// Masks given by hand, for each adapter by its path.
    pub fn from_masks(keep: HashMap<String, KeepMasks>) -> Self {
        Self {
            keep: Some(Arc::new(keep)),
            ..Self::default()
        }
    }

    /// What `HiddenKey` draws.
    pub fn hidden_key(&self) -> Option<HiddenKeyNoise> {
        self.hidden_key
    }

    /// `[groups, d_input, rank]`: what is added to the factor A of the adapter at a path.
    pub(crate) fn factor_noise(&self, path: &str) -> Option<Tensor<3>> {
        self.factor_noise.as_ref()?.get(path).cloned()
    }

    pub(crate) fn new(keep: Option<HashMap<String, KeepMasks>>, input: Option<InputDropout>) -> Self {
        Self {
            keep: keep.map(Arc::new),
            input,
            ..Self::default()
        }
    }

    /// The same noise, which also adds something to factors A: `[groups, d_input, rank]` for an adapter by its path, with as many
    /// groups as there are masks. Gradients go through it. Only LoRA's and `DoRA`'s factors of linears take it.
    #[must_use]
    pub fn with_factor_noise(mut self, noise: HashMap<String, Tensor<3>>) -> Self {
        self.factor_noise = Some(Arc::new(noise));
        self
    }

    /// The same noise, which also drops keys and cuts hidden representations. That noise acts on the model, not on its adapters, and is
    /// drawn for every row, whatever the groups. Models whose blocks take it say so by
    /// [`Model::takes_hidden_key`](crate::Model::takes_hidden_key).
    #[must_use]
    pub fn with_hidden_key(mut self, noise: HiddenKeyNoise) -> Self {
        self.hidden_key = Some(noise);
        self
    }

    /// The same noise for a batch of these rows of a data set. Input dropout's noise on a row then depends on that row
    /// and the place in it (the token), not on the batch: neither on the other rows, nor their order, nor the padding.
    /// Without it the noise depends on the place in the batch, which is all that training needs.
    #[must_use]
    pub fn for_rows(&self, rows: &[usize]) -> Self {
        Self {
            rows: Some(rows.to_vec()),
            ..self.clone()
        }
    }

    /// The same masks and noise for the real tokens of a batch, as `packing` says: `[1, tokens, ...]`.
    ///
    /// # Panics
    ///
    /// Panics if there is `HiddenKey`'s noise, which is drawn for padding too.
    #[must_use]
    pub fn packed(&self, packing: &Packing) -> Self {
        assert!(
            self.hidden_key.is_none(),
            "HiddenKey's noise is drawn for every place"
        );
        Self {
            packing: Some(packing.clone()),
            ..self.clone()
        }
    }

    /// How many tokens of a packed batch each group has; `None` where groups are blocks of rows.
    pub(crate) fn group_tokens(&self) -> Option<Arc<[usize]>> {
        let packing = self.packing.as_ref()?;
        Some(packing.tokens_of_groups(self.groups()))
    }

    /// The group of each row of a tensor with so many rows on its first axis, or of each token of a packed batch.
    pub(crate) fn groups_of(&self, batch: usize, groups: usize) -> Vec<i32> {
        match &self.packing {
            None => (0..batch).map(|row| (row * groups / batch) as i32).collect(),
            Some(packing) => {
                let tokens = packing.tokens_of_groups(groups);
                let of_group = |(group, tokens): (usize, &usize)| std::iter::repeat_n(group as i32, *tokens);
                tokens.iter().enumerate().flat_map(of_group).collect()
            }
        }
    }

    /// The same draws for a tensor that all rows of a group read, given once for each group, such as a table of relative
    /// positions. The masks are those of the rows; input dropout's noise is drawn anew, and depends on the draw alone.
    #[must_use]
    pub fn for_groups(&self) -> Self {
        let input = self.input.clone().map(|input| InputDropout {
            side: NoiseKind::SharedNoise,
            ..input
        });
        Self {
            keep: self.keep.clone(),
            input,
            rows: None,
            packing: None,
            factor_noise: self.factor_noise.clone(),
            hidden_key: None,
        }
    }

    /// The masks of the adapter at a path; `None` if this pass drops nothing there.
    ///
    /// # Panics
    ///
    /// Panics if the noise holds masks, but none for this path: it was drawn for another model.
    pub fn keep_masks(&self, path: &str) -> Option<&KeepMasks> {
        let keep = self.keep.as_ref()?;
        Some(
            keep.get(path)
                .unwrap_or_else(|| panic!("the noise holds no masks for the adapter at `{path}`")),
        )
    }

    /// The factors of PEFT's input dropout, 0 or 1/(1−p), one for each number of the branch's input.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, tokens, d_input]`, or `[1, tokens, d_input]` of a packed batch
    ///
    /// # Panics
    ///
    /// Panics if the noise is for rows of another number than the batch has.
    pub(crate) fn input_noise(&self, path: &str, shape: [usize; 3], device: &Device) -> Option<Tensor<3>> {
        let InputDropout {
            seed,
            probability,
            draws,
            side,
        } = self.input.as_ref()?;
        let [_, _, d_input] = shape;
        // Of a packed batch the noise of padding is drawn too, and left out: the rest is what it is without packing.
        let [batch, tokens] = match &self.packing {
            None => [shape[0], shape[1]],
            Some(packing) => [packing.batch(), packing.seq()],
        };
        let keep =
            Bernoulli::new(1.0 - probability).expect("the probability was checked with the configuration");
        let kept = (1.0 / (1.0 - probability)) as f32;
        let groups = draws.len();
        let mut values = Vec::with_capacity(shape.iter().product());
        let mut of_row = Vec::with_capacity(tokens * d_input);
        for (group, draw) in draws.iter().enumerate() {
            // The same sharing of rows as for the masks: row i belongs to group ⌊i·groups/batch⌋.
            let block = (group * batch).div_ceil(groups)..((group + 1) * batch).div_ceil(groups);
            let mut generator = generator(*seed, path, *side, *draw);
            for row in block {
                if let Some(rows) = &self.rows {
                    assert_eq!(rows.len(), batch, "one data set row for each row of the batch");
                    // A stream of its own, read from its start: token by token, so padding changes nothing before it.
                    generator.set_stream(rows[row] as u64);
                    generator.set_word_pos(0);
                }
                let kept_or_not = keep.sample_iter(&mut generator).take(tokens * d_input);
                of_row.clear();
                of_row.extend(kept_or_not.map(|keep| if keep { kept } else { 0.0 }));
                match &self.packing {
                    None => values.extend_from_slice(&of_row),
                    Some(packing) => {
                        for place in packing.places_of_row(row) {
                            values.extend_from_slice(&of_row[place * d_input..][..d_input]);
                        }
                    }
                }
            }
        }
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }
}
