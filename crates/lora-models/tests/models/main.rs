//! Models against what Transformers and PEFT compute, and their files.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

mod bad_checkpoints;
mod cache;
mod chat;
mod families;
mod frozen_states;
mod gguf;
mod gguf_adapter;
mod gguf_model;
mod groups_of_masks;
mod hidden_key;
mod labels;
mod llama_settings;
mod minilm;
mod packing;
mod sampling;
mod sentence_piece;
mod smollm2;

use burn::tensor::Device;

/// Flex, unless `BURN_DEVICE` names another backend.
fn device() -> Device {
    Device::default()
}

/// Flex promises the same bits for a row whatever shares its batch.
fn is_on_flex() -> bool {
    device() == Device::flex()
}
