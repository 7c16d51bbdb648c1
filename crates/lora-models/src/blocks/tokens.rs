//! Token ids on the device, as decoders read them.

use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_data::Batch;
use lora_kernels::padding_bias;

/// The tokens of one pass.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// `[batch, seq]`.
    pub ids: Tensor<2, Int>,
    /// `[batch, 1, 1, seq]`: hides padding; none if there is none.
    pub padding: Option<Tensor<4>>,
}

impl Tokens {
    /// The tokens of a batch.
    pub fn of_batch(batch: &Batch, device: &Device) -> Self {
        let shape = [batch.batch, batch.seq];
        let is_padded = batch.attention_mask.iter().any(|keep| *keep != 1.0);
        let padding = is_padded.then(|| {
            let mask = TensorData::new(batch.attention_mask.clone(), shape);
            padding_bias(Tensor::from_data(mask, device))
        });
        Self {
            ids: Tensor::from_data(TensorData::new(batch.input_ids.clone(), shape), device),
            padding,
        }
    }

    /// One row of tokens, none of them padding.
    pub fn of_row(ids: &[i32], device: &Device) -> Self {
        Self {
            ids: Tensor::from_data(TensorData::new(ids.to_vec(), [1, ids.len()]), device),
            padding: None,
        }
    }
}
