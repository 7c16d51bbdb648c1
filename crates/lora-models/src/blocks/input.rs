//! A batch as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_data::Batch;

/// Numbers of each token of a batch, such as ids, as a tensor.
///
/// # Shapes
///
/// - values: `batch · seq`, row-major
/// - output: `[batch, seq]`
///
/// # Panics
///
/// Panics if there are more or fewer values than tokens.
pub fn token_ids(batch: &Batch, values: &[i32], device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [batch.batch, batch.seq]), device)
}

/// 1 where a token is real, 0 where it is padding.
///
/// # Shapes
///
/// - output: `[batch, seq]`
pub fn attention_mask(batch: &Batch, device: &Device) -> Tensor<2> {
    let data = TensorData::new(batch.attention_mask.clone(), [batch.batch, batch.seq]);
    Tensor::from_data(data, device)
}

/// The places 0, 1, 2… of the tokens of every row.
///
/// # Shapes
///
/// - output: `[1, seq]`
pub fn places(batch: &Batch, device: &Device) -> Tensor<2, Int> {
    Tensor::<1, Int>::arange(0..batch.seq as i64, device).unsqueeze()
}
