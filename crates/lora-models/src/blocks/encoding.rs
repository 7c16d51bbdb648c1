//! What is wanted of a backbone's layers, and what several passes over one input share.

use burn::tensor::Tensor;
use lora_core::{LoraLinear, Packing};

/// What a backbone is asked for beside its output.
pub struct Encoding<'a> {
    /// Which hidden states of the last layer are read.
    pub reading: Reading,
    /// Sees the hidden states of every layer that is computed, the embeddings' first.
    pub observe: &'a mut dyn FnMut(&Tensor<3>),
    /// What passes over the same input have in common.
    pub below: Option<&'a mut SharedWork>,
    /// The real tokens of the input, where nothing is computed for the others; only for backbones that
    /// [take it](crate::backbone::Backbone::takes_packing).
    pub packing: Option<&'a Packing>,
}

/// Which hidden states of the last layer are read. No token of a layer needs another of the same layer but through the
/// keys and values, so the rest need not be computed: one layer's feed-forward block and two of its projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Those of every place, padding included.
    EveryPlace,
    /// Those of every real token; what stands in the place of padding has no meaning.
    EveryToken,
    /// That of the first token of each sequence.
    FirstToken,
}

/// The hidden states before a layer, which the first pass that comes by leaves for the others.
#[derive(Debug)]
pub struct SharedStates {
    /// The number of the layer.
    pub layer: usize,
    /// `[batch, seq, d_model]`, or `[1, tokens, d_model]` of a packed batch.
    pub hidden: Option<Tensor<3>>,
}

/// What passes over one input find of each other's work, and of earlier ones.
#[derive(Debug, Default)]
pub struct SharedWork {
    /// Before the lowest layer that is trained: what passes before and after training steps have in common.
    pub trained: Option<SharedStates>,
    /// Before the lowest adapted layer: what passes have in common that differ in their masks alone.
    pub adapted: Option<SharedStates>,
    /// Of the lowest adapted layer.
    pub projections: Projections,
}

/// What the lowest adapted layer makes of these hidden states beside its adapters: query, key and value as far as passes share
/// them ([`LoraLinear::forward_sharing`]).
pub type Projections = [Option<Tensor<3>>; 3];

impl SharedStates {
    /// Before the lowest adapted layer of a backbone with these linears; `None` where the embeddings are adapted, so that nothing is
    /// shared.
    pub fn below_adapters(visit_linears: impl FnOnce(&mut dyn FnMut(&LoraLinear))) -> Option<Self> {
        let mut lowest = Some(usize::MAX);
        visit_linears(&mut |linear| {
            if linear.adapter.is_some() {
                lowest = lowest
                    .zip(layer_of(linear.path()))
                    .map(|(lowest, layer)| lowest.min(layer));
            }
        });
        lowest.map(Self::before)
    }

    /// Before a layer, not yet computed.
    pub fn before(layer: usize) -> Self {
        Self { layer, hidden: None }
    }
}

/// The layer that a part of a backbone belongs to: the first number of its path, `bert.encoder.layer.3.attention.self.query`. The
/// embeddings, and what all layers share, have none.
pub fn layer_of(path: &str) -> Option<usize> {
    path.split('.').find_map(|part| part.parse().ok())
}

/// Hidden states of the embeddings through all layers; `forward` takes number, layer and the states before it, and what passes share
/// in a layer that reads the same states in all of them. Embeddings and layers that an earlier pass over the same input has gone
/// through are skipped.
pub fn through_layers<L>(
    layers: &[L],
    embed: impl FnOnce() -> Tensor<3>,
    below: Option<&mut SharedWork>,
    mut forward: impl FnMut(usize, &L, Tensor<3>, Option<&mut Projections>) -> Tensor<3>,
) -> Tensor<3> {
    let mut nothing = SharedWork::default();
    let SharedWork {
        trained,
        adapted,
        projections,
    } = below.unwrap_or(&mut nothing);
    // The last layer is always computed: which of its tokens are read is the head's business.
    let last = layers.len().saturating_sub(1);
    let (mut hidden, mut first) = (None, 0);
    for left in [&mut *trained, &mut *adapted].into_iter().flatten() {
        left.layer = left.layer.min(last);
        if let Some(known) = left.hidden.clone().filter(|_| left.layer >= first) {
            (hidden, first) = (Some(known), left.layer);
        }
    }
    let mut hidden = hidden.unwrap_or_else(embed);
    for (index, layer) in layers.iter().enumerate().skip(first) {
        for left in [&mut *trained, &mut *adapted].into_iter().flatten() {
            if left.layer == index {
                left.hidden.get_or_insert_with(|| hidden.clone());
            }
        }
        let shares = adapted.as_ref().is_some_and(|left| left.layer == index);
        hidden = forward(index, layer, hidden, shares.then_some(&mut *projections));
    }
    hidden
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use burn::tensor::Device;

    use super::*;

    /// The numbers of the layers that a pass goes through, each of which adds its number, and which of them shares projections.
    fn pass(below: &mut SharedWork, layers: usize) -> (Vec<(usize, bool)>, f32) {
        let start = Tensor::<3>::zeros([1, 1, 1], &Device::default());
        let mut seen = Vec::new();
        let out = through_layers(
            &vec![(); layers],
            || start,
            Some(below),
            |index, (), hidden, shared| {
                seen.push((index, shared.is_some()));
                hidden + index as f32
            },
        );
        (seen, out.into_scalar())
    }

    #[test]
    fn layers_below_the_lowest_adapter_are_computed_once() {
        let mut below = SharedWork {
            adapted: Some(SharedStates::before(3)),
            ..SharedWork::default()
        };
        let upper = [(3, true), (4, false)];
        let all = [(0, false), (1, false), (2, false), (3, true), (4, false)];
        assert_eq!(pass(&mut below, 5), (all.to_vec(), 10.0));
        assert_eq!(pass(&mut below, 5), (upper.to_vec(), 10.0));
    }

    #[test]
    fn without_adapters_the_last_layer_alone_is_computed_again() {
        let mut below = SharedWork {
            adapted: Some(SharedStates::before(usize::MAX)),
            ..SharedWork::default()
        };
        assert_eq!(pass(&mut below, 2), (vec![(0, false), (1, true)], 1.0));
        assert_eq!(pass(&mut below, 2), (vec![(1, true)], 1.0));
    }

    #[test]
    fn what_training_left_is_begun_with_and_masks_share_what_lies_between() {
        let known = Tensor::<3>::full([1, 1, 1], 100.0, &Device::default());
        let mut below = SharedWork {
            trained: Some(SharedStates {
                layer: 1,
                hidden: Some(known),
            }),
            adapted: Some(SharedStates::before(3)),
            ..SharedWork::default()
        };
        let first = [(1, false), (2, false), (3, true), (4, false)];
        assert_eq!(pass(&mut below, 5), (first.to_vec(), 110.0));
        assert_eq!(pass(&mut below, 5), (vec![(3, true), (4, false)], 110.0));
    }

    #[test]
    fn a_pass_leaves_the_states_before_the_lowest_trained_layer() {
        let mut below = SharedWork {
            trained: Some(SharedStates::before(2)),
            ..SharedWork::default()
        };
        assert_eq!(pass(&mut below, 4).1, 6.0);
        let left = below.trained.unwrap().hidden.unwrap();
        assert_eq!(left.into_scalar::<f32>(), 1.0);
    }
}
