//! One step of a training, to see whether it runs.

use std::time::Instant;

use lora_data::train_batches;
use lora_train::{TrainConfig, Trainer};
use serde_json::{Value, json};

use super::memory::{MemoryEstimate, StepSize};
use super::prepared::PreparedTraining;
use crate::error::Result;

/// One step of a training.
#[derive(Clone, Debug)]
pub struct OneBatch {
    /// Rows of the batch.
    pub rows: usize,
    /// The loss.
    pub loss: f64,
    /// Seconds that the step took.
    pub seconds: f64,
    /// Steps of the whole training.
    pub steps: u64,
    /// Seconds that all of them would take at this speed.
    pub all_seconds: f64,
    /// The memory that a step on the longest rows takes.
    pub memory: MemoryEstimate,
    /// All of it, and the settings.
    pub document: Value,
}

impl OneBatch {
    pub(super) fn of(prepared: &PreparedTraining, config: &TrainConfig, mut document: Value) -> Result<Self> {
        let data = prepared.data();
        let steps = config.total_steps(data.train.len());
        let batch_size = config.per_device_train_batch_size;
        let first = train_batches(&data.train.lengths(), batch_size, config.seed, 0).remove(0);
        let batch = data.train.batch(&first, data.padding);
        let largest = StepSize::largest(data.train, batch_size);
        let memory = MemoryEstimate::of_step(&prepared.adapted, largest);
        let mut trainer = Trainer::new(prepared.adapted.clone(), config.clone(), steps)?;
        let start = Instant::now();
        let report = trainer.step(&[batch])?;
        let seconds = start.elapsed().as_secs_f64();
        let all_seconds = seconds * steps as f64 * config.gradient_accumulation_steps as f64;
        document["dry_run"] = json!({"loss": report.loss, "grad_norm": report.grad_norm, "seconds": seconds, "steps": steps, "all_seconds": all_seconds,
            "memory_bytes": memory});
        Ok(Self {
            rows: first.len(),
            loss: report.loss,
            seconds,
            steps,
            all_seconds,
            memory,
            document,
        })
    }
}
