//! The validation set: its batches, and the loss where tokens are judged.

use lora_core::adapted::CachedModel;
use lora_core::frozen::FrozenStates;
use lora_core::{Model, Pass};
use lora_data::{Batch, EncodedDataset, Padding, eval_batches};

use crate::config::TrainConfig;
use crate::criterion::Criterion;
use crate::loss::batch_loss_above;
use crate::metric::Measured;

/// Mean loss of the tokens, spans or choices that are judged, each counted once.
pub(super) fn token_loss<M: Model<Input = Batch>>(
    CachedModel { adapted, states }: CachedModel<'_, M>,
    batches: &[Batch],
    progress: &mut dyn FnMut(usize),
) -> Measured {
    let (mut sum, mut tokens, mut done) = (0.0, 0, 0);
    for batch in batches {
        let mean = batch_loss_above(&adapted.model, batch, &Pass::Mean, states, &Criterion::default());
        let judged = batch.targets.judged();
        sum += f64::from(mean.into_scalar::<f32>()) * judged as f64;
        tokens += judged;
        done += batch.batch;
        progress(done);
    }
    let loss = sum / tokens as f64;
    Measured {
        loss,
        metric: Some(loss),
        ece: None,
        row_losses: Vec::new(),
    }
}

/// A validation set, cut into batches once.
pub(super) struct Validation<'a> {
    pub dataset: &'a EncodedDataset,
    pub batches: Vec<Batch>,
    /// Evaluations after the first begin with them.
    pub states: Option<FrozenStates>,
}

impl<'a> Validation<'a> {
    pub fn new(
        dataset: &'a EncodedDataset,
        states: Option<FrozenStates>,
        config: &TrainConfig,
        padding: Padding,
    ) -> Self {
        let batches = eval_batches(&dataset.lengths(), config.per_device_eval_batch_size)
            .iter()
            .map(|rows| dataset.batch(rows, padding))
            .collect();
        Self {
            dataset,
            batches,
            states,
        }
    }
}
