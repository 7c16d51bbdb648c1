//! Parameters collected while a training runs.

use lora_core::vector::VectorLayout;
use lora_core::{Adapted, Model};
use lora_data::Batch;

use super::{Swag, SwagError, SwagMoments, SwagSettings};
use crate::event::{CheckpointKind, Event, Flow, Observer, TrainingPlan};
use crate::state::{StateError, TrainingState};
use crate::trainer::Trainer;

/// An observer that collects parameters on the way, and hands everything on to another one.
///
/// ```no_run
/// # use lora_core::{Adapted, Model};
/// # use lora_data::Batch;
/// # use lora_train::swag::*;
/// # use lora_train::*;
/// # fn train<M: Model<Input = Batch>>(
/// #     adapted: Adapted<M>, config: &TrainConfig, data: &FitData<'_>, listener: &mut dyn Observer<M>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut collecting = SwagCollector::new(SwagSettings::default(), listener)?;
/// let fitted = fit(adapted, config, data, &mut collecting)?;
/// let swag = collecting.finish(7, SWAG_SCALE)?; // a `Posterior`: see `lora_eval::predict_posterior`
/// # Ok(())
/// # }
/// ```
pub struct SwagCollector<'a, M> {
    settings: SwagSettings,
    inner: &'a mut dyn Observer<M>,
    plan: Option<TrainingPlan>,
    collected: Option<(VectorLayout, SwagMoments)>,
}

impl<'a, M> SwagCollector<'a, M> {
    /// Nothing collected yet.
    ///
    /// # Errors
    ///
    /// [`SwagError::Setting`].
    pub fn new(settings: SwagSettings, inner: &'a mut dyn Observer<M>) -> Result<Self, SwagError> {
        settings.validate()?;
        Ok(Self {
            settings,
            inner,
            plan: None,
            collected: None,
        })
    }

    /// The same collector with what it had collected in a training that goes on with `adapted`: takes its part out of the state.
    ///
    /// # Errors
    ///
    /// [`StateError`] if that is of other parameters.
    pub fn restore(mut self, adapted: &Adapted<M>, state: &mut TrainingState) -> Result<Self, StateError>
    where
        M: Model,
    {
        let part = state.take_part(&self.name_in_state());
        if !part.is_empty() {
            let (layout, moments) = self.nothing(adapted);
            self.collected = Some((layout, moments.restore(part)?));
        }
        Ok(self)
    }

    /// What stands before all that it has in a state: collectors of other settings may listen to the same training.
    fn name_in_state(&self) -> String {
        let SwagSettings {
            start,
            every,
            columns,
            part,
        } = self.settings;
        format!("swag({start}, {every:?}, {columns}, {part:?}).")
    }

    fn nothing(&self, adapted: &Adapted<M>) -> (VectorLayout, SwagMoments)
    where
        M: Model,
    {
        let layout = VectorLayout::of(adapted, self.settings.part);
        let moments = SwagMoments::new(layout.len(), self.settings.columns);
        (layout, moments)
    }

    /// The Gaussian, whose members are drawn from a seed. `scale` is the factor of the covariance: [`SWAG_SCALE`](super::SWAG_SCALE) in the paper,
    /// or chosen on validation rows.
    ///
    /// # Errors
    ///
    /// [`SwagError::TooFewCollections`]; [`SwagError::Setting`] for a scale that is negative or not finite.
    pub fn finish(self, seed: u64, scale: f64) -> Result<Swag, SwagError> {
        let Some((layout, moments)) = self.collected else {
            return Err(SwagError::TooFewCollections { found: 0 });
        };
        Swag::new(layout, moments, seed, scale)
    }
}

impl<M: Model<Input = Batch>> Observer<M> for SwagCollector<'_, M> {
    fn on_event(&mut self, event: &Event) -> Flow {
        if let Event::Started(plan) = event {
            self.plan = Some(*plan);
        }
        self.inner.on_event(event)
    }

    fn after_step(&mut self, trainer: &Trainer<M>) -> Flow {
        if let Some(plan) = &self.plan
            && self.settings.is_due(trainer.steps_done(), plan)
        {
            let adapted = trainer.adapted();
            let (layout, mut moments) = self.collected.take().unwrap_or_else(|| self.nothing(&adapted));
            moments.add(&layout.read(&adapted));
            self.collected = Some((layout, moments));
        }
        self.inner.after_step(trainer)
    }

    fn on_checkpoint(&mut self, kind: CheckpointKind, step: u64, adapted: &Adapted<M>) -> Flow {
        self.inner.on_checkpoint(kind, step, adapted)
    }

    fn between_steps(&mut self, trainer: &Trainer<M>, state: &dyn Fn() -> TrainingState) -> Flow {
        let (name, collected) = (self.name_in_state(), self.collected.as_ref());
        self.inner.between_steps(trainer, &|| {
            let mut state = state();
            if let Some((_, moments)) = collected {
                state.put_part(&name, moments.state());
            }
            state
        })
    }
}
