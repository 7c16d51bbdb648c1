//! What decoders share around their layers: packed batches, and tokens that follow those in a cache.

use burn::tensor::{Device, Tensor};
use lora_core::Pass;
use lora_data::Batch;

use super::{Encoding, KeyValueCache, Reading, Tokens};

/// A decoder, which sees no token after its own.
pub trait CausalDecoder {
    /// Where its weights are.
    fn device(&self) -> Device;

    /// The hidden states after the last norm, of tokens that follow those in the cache, which they join.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, seq, d_model]`; packed `[1, tokens, d_model]`
    fn run(
        &self,
        tokens: &Tokens,
        cache: Option<&mut KeyValueCache>,
        pass: &Pass,
        encoding: Encoding<'_>,
    ) -> Tensor<3>;

    /// The hidden states after the last norm; `observe` sees the embeddings, the states between the layers, and the
    /// output.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`; packed, what is observed is `[1, tokens, d_model]`
    fn encode(&self, input: &Batch, pass: &Pass, encoding: Encoding<'_>) -> Tensor<3> {
        let packing = encoding.packing;
        let tokens = Tokens::of_batch(input, packing, &self.device());
        match packing {
            None => self.run(&tokens, None, pass, encoding),
            Some(packing) => {
                let noise = pass.packed_noise(packing);
                let pass = noise.as_ref().map_or(*pass, Pass::Stochastic);
                packing.padded(self.run(&tokens, None, &pass, encoding))
            }
        }
    }

    /// As [`CausalDecoder::encode`] for the tokens that follow those in the cache, which they join.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, seq, d_model]`
    ///
    /// # Panics
    ///
    /// Panics if the model has no more positions.
    fn advance(&self, tokens: &Tokens, cache: &mut KeyValueCache, pass: &Pass) -> Tensor<3> {
        let encoding = Encoding {
            reading: Reading::EveryToken,
            observe: &mut |_| {},
            below: None,
            packing: None,
        };
        self.run(tokens, Some(cache), pass, encoding)
    }
}
