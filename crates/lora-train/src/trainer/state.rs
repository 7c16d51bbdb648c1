//! Where a trainer stands.

use lora_core::Model;
use lora_core::peft::trained_tensors;
use lora_data::Batch;

use super::{Trainer, Variational};
use crate::state::{StateError, TrainingState};

impl<M: Model<Input = Batch>> Trainer<M> {
    /// Everything that the steps so far have changed: parameters, moments of the optimizer, AdaLoRA's importances and ranks, standard
    /// deviations of a variational A and their moments, the number of steps. What else steps draw on follows from the settings.
    pub fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        state.put("step", &self.steps_done);
        for (name, tensor) in trained_tensors(&self.adapted) {
            state.put_tensor(format!("trained.{name}"), tensor);
        }
        state.put_part("adamw.", self.optimizer.state(&self.adapted));
        if let Some(allocator) = &self.allocator {
            state.put_part("adalora.", allocator.state());
        }
        if let Some(Variational {
            factors, optimizer, ..
        }) = &self.variational
        {
            state.put_part("variational.", factors.state());
            state.put_part("variational_adamw.", optimizer.state(factors));
        }
        state
    }

    /// The same trainer where a trainer of the same model, settings and rows stood: its next steps are those of the other, to the bit.
    /// Takes its part out of the state.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the state is of another model or of other settings.
    pub fn restore(mut self, state: &mut TrainingState) -> Result<Self, StateError> {
        self.steps_done = state.take("step")?;
        let mut trained = state.take_part("trained.");
        self.adapted = self
            .adapted
            .with_trained(|name, shape| trained.take_tensor(name, shape))?;
        trained.finish()?;
        self.optimizer = self.optimizer.restore(&self.adapted, state.take_part("adamw."))?;
        if let Some(allocator) = self.allocator {
            let allocator = allocator.restore(&self.adapted.model, state.take_part("adalora."))?;
            self.adapted.set_rank_pattern(allocator.pattern().clone());
            self.allocator = Some(allocator);
        }
        if let Some(variational) = self.variational {
            let factors = variational.factors.restore(state.take_part("variational."))?;
            let moments = state.take_part("variational_adamw.");
            self.variational = Some(Variational {
                optimizer: variational.optimizer.restore(&factors, moments)?,
                factors,
                ..variational
            });
        }
        Ok(self)
    }

    /// The same trainer with the parameters and moments of an earlier state of its own, under masks of another probability. The number of
    /// the step goes on, and so does AdaLoRA's budget: triplets that were cut since stay cut.
    ///
    /// # Errors
    ///
    /// [`StateError`] if the state is of another model.
    pub fn back_to(&self, state: &TrainingState, mask_probability: f64) -> Result<Self, StateError> {
        let mut state = state.clone();
        if self.allocator.is_some() {
            let _ = state.take_part("adalora.");
        }
        let now = self.clone();
        let (steps_done, allocator) = (now.steps_done, now.allocator.clone());
        let mut back = Self {
            allocator: None,
            ..now
        }
        .restore(&mut state)?;
        state.finish()?;
        if let Some(allocator) = &allocator {
            allocator.cut_again(&mut back.adapted);
        }
        (back.steps_done, back.allocator) = (steps_done, allocator);
        back.set_mask_probability(mask_probability);
        Ok(back)
    }

    /// Sets the probability of the masks of the steps that come.
    ///
    /// # Panics
    ///
    /// As [`lora_core::Adapted::set_mask_probability`].
    pub fn set_mask_probability(&mut self, probability: f64) {
        self.adapted.set_mask_probability(probability);
        self.objective.set_dropout(self.adapted.dropout());
    }

    /// The hidden states of a batch below all that is trained, as its step computed them: they are cached (see
    /// [`Trainer::with_rows_of`]).
    pub(crate) fn compute_states(&self, batch: &Batch) {
        self.packed
            .during(|| self.objective.compute_states(&self.adapted, batch));
    }
}
