//! How adapters act in one forward pass.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use crate::hidden_key::HiddenKeyNoise;
use crate::noise::PassNoise;
use crate::packing::Packing;
use crate::taps::Taps;

/// How adapters act in this forward pass. It is an argument of every forward, so a pass with masks is as easy at
/// test time as in training, and the same pass can be run twice.
#[derive(Clone, Copy, Debug)]
pub enum Pass<'a> {
    /// Without noise, with the expected update: deterministic.
    Mean,
    /// With this noise: masks of LoRA Dropout, input dropout, `HiddenKey`, noise of factors.
    Stochastic(&'a PassNoise),
    /// Without noise, each row of the batch with the adapter of this number in an [`AdapterBank`](crate::AdapterBank), or
    /// with none.
    Chosen(&'a [Option<usize>]),
    /// As [`Pass::Mean`], noting what goes into the trained maps, so that the gradients of single rows can be had.
    Tapped(&'a Taps),
}

impl Pass<'_> {
    /// Number of groups that rows of the batch are shared out to: 1 for a pass in which all rows are treated alike.
    pub fn groups(&self) -> usize {
        match self {
            Pass::Mean | Pass::Tapped(_) => 1,
            Pass::Stochastic(noise) => noise.groups(),
            Pass::Chosen(rows) => rows.len(),
        }
    }

    /// Whether the pass can be made over the real tokens of a batch alone, as a [`Packing`] says: not where noise is
    /// drawn for padding too, nor where tensors are taken apart by rows.
    pub fn takes_packing(&self) -> bool {
        match self {
            Pass::Mean => true,
            Pass::Stochastic(noise) => noise.hidden_key().is_none(),
            Pass::Chosen(_) | Pass::Tapped(_) => false,
        }
    }

    /// The noise of this pass for the real tokens of a batch alone; `None` in a pass without noise.
    ///
    /// # Panics
    ///
    /// As [`PassNoise::packed`].
    pub fn packed_noise(&self, packing: &Packing) -> Option<PassNoise> {
        self.noise().map(|noise| noise.packed(packing))
    }

    /// What `HiddenKey` draws in this pass.
    pub fn hidden_key(&self) -> Option<HiddenKeyNoise> {
        self.noise()?.hidden_key()
    }

    /// [`HiddenKeyNoise::dropped_keys`]; `None` in a pass that drops no keys.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_heads, 1, seq]`
    pub fn dropped_keys(&self, path: &str, shape: [usize; 3], device: &Device) -> Option<Tensor<4>> {
        self.hidden_key()?.dropped_keys(path, shape, device)
    }

    /// [`HiddenKeyNoise::cut`]; the input itself in a pass that cuts nothing.
    ///
    /// # Shapes
    ///
    /// - input, output: `[batch, tokens, d_model]`
    #[must_use]
    pub fn cut_hidden(&self, path: &str, hidden: Tensor<3>) -> Tensor<3> {
        match self.hidden_key() {
            Some(noise) => noise.cut(path, hidden),
            None => hidden,
        }
    }

    /// How many tokens of a packed batch each group has.
    pub(crate) fn group_tokens(&self) -> Option<Arc<[usize]>> {
        self.noise()?.group_tokens()
    }

    /// `[groups, d_input, rank]`: what is added to the factor A of the adapter at a path.
    pub(crate) fn factor_noise(&self, path: &str) -> Option<Tensor<3>> {
        self.noise()?.factor_noise(path)
    }

    fn noise(&self) -> Option<&PassNoise> {
        match self {
            Pass::Stochastic(noise) => Some(noise),
            Pass::Mean | Pass::Chosen(_) | Pass::Tapped(_) => None,
        }
    }
}
