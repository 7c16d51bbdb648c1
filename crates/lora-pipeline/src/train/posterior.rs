//! A training that ends with a Gaussian over its parameters.

use lora_models::Transformer;
use lora_train::event::FinishReason;
use lora_train::fit::Start;
use lora_train::swag::{SWAG_SCALE, SwagCollector, SwagError};
use lora_train::{Fitted, StateError, TrainError, TrainingState};
use thiserror::Error;

use super::Training;
use super::checkpoints::Watcher;

/// Why a training came to no model, or to no Gaussian over its parameters.
#[derive(Debug, Error)]
pub(super) enum PosteriorError {
    #[error(transparent)]
    Training(#[from] TrainError),
    #[error(transparent)]
    Swag(#[from] SwagError),
    #[error(transparent)]
    State(#[from] StateError),
}

impl PosteriorError {
    /// Whether the training did not begin, because a checkpoint is not its own.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::State(_) | Self::Training(TrainError::State(_)))
    }
}

impl Training {
    /// Trains, from a state if there is one; the best model carries the Gaussian that was learned or collected on the way, if one is asked for.
    pub(super) fn fit_with_posterior(
        &self,
        state: Option<TrainingState>,
        watcher: &mut Watcher<'_>,
    ) -> Result<Fitted<Transformer>, PosteriorError> {
        let (config, prepared) = (&self.resolved.config, &self.prepared);
        let seed = config.train.seed;
        let mut start = Start {
            variational: config.blob,
            mask_schedule: config.mask_probability.schedule(),
            state,
        };
        let (mut fitted, swag) = match config.swag {
            None => (prepared.fit(&config.train, start, watcher)?, None),
            Some(settings) => {
                let mut collecting = SwagCollector::new(settings, watcher)?;
                if let Some(state) = &mut start.state {
                    collecting = collecting.restore(&prepared.adapted, state)?;
                }
                let fitted = prepared.fit(&config.train, start, &mut collecting)?;
                // A training that is broken off has no Gaussian, and needs none.
                let is_whole = fitted.history.finish != FinishReason::Stopped;
                let swag = is_whole.then(|| collecting.finish(seed, SWAG_SCALE));
                (fitted, swag.transpose()?)
            }
        };
        let learned = fitted.variational.as_ref();
        let learned = learned.map(|factors| factors.posterior(&fitted.best, seed).gaussian());
        fitted.best = fitted
            .best
            .with_posterior(swag.map(|swag| swag.gaussian()).or(learned));
        Ok(fitted)
    }
}
