//! Keys and values of the tokens that a decoder has read, so that the next token costs one position.

use burn::tensor::Tensor;

/// What a decoder remembers of the tokens before: empty at the start, longer after every pass that takes it.
///
/// It belongs to one model, one batch and one [`Pass`](lora_core::Pass): other adapters or masks make other keys.
#[derive(Clone, Debug, Default)]
pub struct KeyValueCache {
    layers: Vec<LayerCache>,
}

/// The keys and values of one layer.
#[derive(Clone, Debug, Default)]
pub struct LayerCache {
    /// Both `[batch, n_key_value_heads, seq, d_head]`, keys already turned by their positions.
    key_value: Option<[Tensor<4>; 2]>,
}

impl KeyValueCache {
    /// How many tokens of each row it holds.
    pub fn len(&self) -> usize {
        let first = self.layers.first().and_then(|layer| layer.key_value.as_ref());
        first.map_or(0, |[key, _]| key.dims()[2])
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part of a layer.
    pub(crate) fn layer(&mut self, layer: usize) -> &mut LayerCache {
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, LayerCache::default);
        }
        &mut self.layers[layer]
    }
}

impl LayerCache {
    /// Appends new keys and values, and answers with all of them.
    ///
    /// # Shapes
    ///
    /// - key, value: `[batch, n_key_value_heads, seq, d_head]`
    /// - output: both `[batch, n_key_value_heads, past + seq, d_head]`
    pub(crate) fn extend(&mut self, key: Tensor<4>, value: Tensor<4>) -> [Tensor<4>; 2] {
        let both = match self.key_value.take() {
            None => [key, value],
            Some([past_key, past_value]) => [
                Tensor::cat(vec![past_key, key], 2),
                Tensor::cat(vec![past_value, value], 2),
            ],
        };
        self.key_value = Some(both.clone());
        both
    }
}
