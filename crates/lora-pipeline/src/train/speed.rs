//! How fast a language model was trained.

use lora_data::train_batches;
use lora_train::{History, TrainConfig};

/// Tokens of a training, and how many a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Tokens of all rows that the steps took, padding not counted.
    pub tokens: usize,
    /// Tokens a second.
    pub tokens_per_second: f64,
}

impl Speed {
    pub(super) fn of(lengths: &[usize], config: &TrainConfig, history: &History, seconds: f64) -> Self {
        let tokens = tokens_read(lengths, config, history.steps.len());
        Self {
            tokens,
            tokens_per_second: tokens as f64 / seconds,
        }
    }
}

/// Tokens of all rows that the steps took, padding not counted: the order of the rows is a function of the seed.
fn tokens_read(lengths: &[usize], config: &TrainConfig, steps: usize) -> usize {
    let mut batches = steps * config.gradient_accumulation_steps;
    let mut tokens = 0;
    for epoch in 0.. {
        let order = train_batches(lengths, config.per_device_train_batch_size, config.seed, epoch);
        // The last step of an epoch may have fewer batches than the others.
        let whole = order.len().next_multiple_of(config.gradient_accumulation_steps);
        tokens += order
            .iter()
            .take(batches)
            .flatten()
            .map(|row| lengths[*row])
            .sum::<usize>();
        if batches <= whole {
            break;
        }
        batches -= whole;
    }
    tokens
}
