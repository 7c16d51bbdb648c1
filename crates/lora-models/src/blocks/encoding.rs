//! What is wanted of a trunk's layers, and what several passes over one input share.

use burn::tensor::Tensor;
use lora_core::LoraLinear;

/// What a trunk is asked for beside its output.
pub struct Encoding<'a> {
    /// Which hidden states of the last layer are read.
    pub reading: Reading,
    /// Sees the hidden states of every layer that is computed, the embeddings' first.
    pub observe: &'a mut dyn FnMut(&Tensor<3>),
    /// What passes over the same input have in common.
    pub below: Option<&'a mut Below>,
}

/// Which hidden states of the last layer are read. No token of a layer needs another of the same layer but through the
/// keys and values, so the rest need not be computed: one layer's feed-forward block and two of its projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Those of every token.
    EveryToken,
    /// That of the first token of each sequence.
    FirstToken,
}

/// The layers below the lowest adapter: passes that differ in their masks alone give the same hidden states there, which
/// the first pass leaves for the others.
#[derive(Debug)]
pub struct Below {
    layers: usize,
    hidden: Option<Tensor<3>>,
    projections: Projections,
}

/// What the lowest adapted layer makes of these hidden states beside its adapters: query, key and value as far as passes share
/// them ([`LoraLinear::forward_sharing`]).
pub type Projections = [Option<Tensor<3>>; 3];

impl Below {
    /// Of a trunk with these linears; `None` where the embeddings are adapted, so that nothing is shared.
    pub fn of(visit_linears: impl FnOnce(&mut dyn FnMut(&LoraLinear))) -> Option<Self> {
        let mut lowest = Some(usize::MAX);
        visit_linears(&mut |linear| {
            if linear.adapter.is_some() {
                // The layer is the first number of a path: `bert.encoder.layer.3.attention.self.query`.
                let layer = linear
                    .path()
                    .split('.')
                    .find_map(|part| part.parse::<usize>().ok());
                lowest = lowest.zip(layer).map(|(lowest, layer)| lowest.min(layer));
            }
        });
        lowest.map(|layers| Self {
            layers,
            hidden: None,
            projections: Projections::default(),
        })
    }
}

/// Hidden states through all layers; `forward` takes number, layer and the states before it, and what passes share in a layer
/// that reads the same states in all of them. Layers that an earlier pass over the same input has gone through are passed over.
pub fn through_layers<L>(
    layers: &[L],
    mut hidden: Tensor<3>,
    below: Option<&mut Below>,
    mut forward: impl FnMut(usize, &L, Tensor<3>, Option<&mut Projections>) -> Tensor<3>,
) -> Tensor<3> {
    let mut first = 0;
    let mut lowest = None;
    if let Some(below) = below {
        let shared = below.layers.min(layers.len().saturating_sub(1));
        let Below {
            hidden: left,
            projections,
            ..
        } = below;
        if let Some(known) = &*left {
            (hidden, first) = (known.clone(), shared);
        }
        lowest = Some((shared, left, projections));
    }
    for (index, layer) in layers.iter().enumerate().skip(first) {
        let mut projections = None;
        if let Some((_, left, shared)) = lowest.as_mut().filter(|(shared, ..)| *shared == index) {
            left.get_or_insert_with(|| hidden.clone());
            projections = Some(&mut **shared);
        }
        hidden = forward(index, layer, hidden, projections);
    }
    hidden
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The numbers of the layers that a pass goes through, each of which adds its number, and which of them shares projections.
    fn pass(below: &mut Below, layers: usize) -> (Vec<(usize, bool)>, f32) {
        let start = Tensor::<3>::zeros([1, 1, 1], &Device::default());
        let mut seen = Vec::new();
        let out = through_layers(
            &vec![(); layers],
            start,
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
        let mut below = Below {
            layers: 3,
            hidden: None,
            projections: Projections::default(),
        };
        let upper = [(3, true), (4, false)];
        let all = [(0, false), (1, false), (2, false), (3, true), (4, false)];
        assert_eq!(pass(&mut below, 5), (all.to_vec(), 10.0));
        assert_eq!(pass(&mut below, 5), (upper.to_vec(), 10.0));
    }

    #[test]
    fn without_adapters_the_last_layer_alone_is_computed_again() {
        let mut below = Below {
            layers: usize::MAX,
            hidden: None,
            projections: Projections::default(),
        };
        assert_eq!(pass(&mut below, 2), (vec![(0, false), (1, true)], 1.0));
        assert_eq!(pass(&mut below, 2), (vec![(1, true)], 1.0));
    }
}
