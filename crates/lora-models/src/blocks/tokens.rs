//! Token ids on the device, as decoders read them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_core::Packing;
use lora_data::Batch;
use lora_kernels::padding_bias;

/// The tokens of one pass.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `[batch, seq]`, or `[1, tokens]` packed.
    pub ids: Tensor<2, Int>,
    /// `[batch, 1, 1, seq]`: hides padding; none if there is none.
    pub padding: Option<Tensor<4>>,
    /// Where the real tokens stand, if they alone are here.
    pub packing: Option<Packing>,
}

impl Tokens {
    /// The tokens of a batch, or the real ones alone.
    pub fn of_batch(batch: &Batch, packing: Option<&Packing>, device: &Device) -> Self {
        let shape = [batch.batch, batch.seq];
        let is_padded = batch.attention_mask.iter().any(|keep| *keep != 1.0);
        let padding = is_padded.then(|| {
            let mask = TensorData::new(batch.attention_mask.clone(), shape);
            padding_bias(Tensor::from_data(mask, device))
        });
        let ids = match packing {
            None => TensorData::new(batch.input_ids.clone(), shape),
            Some(packing) => TensorData::new(packing.of_tokens(&batch.input_ids), [1, packing.tokens()]),
        };
        Self {
            ids: Tensor::from_data(ids, device),
            padding,
            packing: packing.cloned(),
        }
    }

    /// One row of tokens, none of them padding.
    pub fn of_row(ids: &[i32], device: &Device) -> Self {
        Self {
            ids: Tensor::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), device),
            padding: None,
            packing: None,
        }
    }

    /// `[batch, seq]`, padding included.
    pub fn dims(&self) -> [usize; 2] {
        match &self.packing {
            None => self.ids.dims(),
            Some(packing) => [packing.batch(), packing.seq()],
        }
    }
}
