//! LoRA Dropout's p, found while training: before p rises, training goes back to its best state.
//!
//! What a model has learned by heart stays learned under masks that come later. So p begins low, and where the loss on validation rows
//! exceeds the smallest one so far by more than these rows' noise explains, parameters and moments of the optimizer become those of that
//! smallest loss again, and training goes on from there with the next p. The number of the step goes on, and with it the learning rate, the
//! order of rows and the masks: all of it takes the steps of one training. There is no grid, and p does not fall.
//!
//! | the loss at an evaluation | what follows |
//! |---|---|
//! | is the smallest so far | the state is kept |
//! | is larger, but not beyond noise | nothing: masks spread members at no cost that can be seen |
//! | is larger beyond noise | back to the state that is kept, on with the next p |
//! | is larger beyond noise, and there is no next p or no step left | back to that state and its own p; the training ends |
//!
//! Beyond noise is a mean difference, over the same rows, of more than [`MaskSchedule::tolerance`] standard errors. The result is the last
//! state, so no further choice by validation loss follows. An adapter predicts under the p that its weights were trained under last.
//!
//! No source has this rule, as far as we know. It is early stopping with a second chance; going back to what did best and on with another
//! setting is the step "exploit and explore" of population based training (arXiv 1711.09846), with a population of one.

use lora_eval::MeanStd;

use crate::mask_schedule::{MaskChange, MaskSchedule};
use crate::state::{StateError, TrainingState};

#[cfg(test)]
mod tests;

/// The search under way.
#[derive(Clone, Debug)]
pub(crate) struct MaskSearch {
    schedule: MaskSchedule,
    /// Of the ladder: the p that is tried.
    rung: usize,
    best: Option<BestState>,
    is_over: bool,
}

/// The state with the smallest loss so far.
#[derive(Clone, Debug)]
struct BestState {
    step: u64,
    rung: usize,
    /// Of each validation row.
    losses: Vec<f64>,
    state: TrainingState,
}

impl MaskSearch {
    /// Before the first step; the schedule is checked.
    pub fn new(schedule: MaskSchedule) -> Self {
        Self {
            schedule,
            rung: 0,
            best: None,
            is_over: false,
        }
    }

    /// How p is looked for.
    pub fn schedule(&self) -> &MaskSchedule {
        &self.schedule
    }

    /// The p of the next step; after the end that of the result.
    pub fn probability(&self) -> f64 {
        self.schedule.ladder[self.rung]
    }

    /// Whether the ladder is at its end.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The state to go back to.
    pub fn best_state(&self) -> Option<&TrainingState> {
        self.best.as_ref().map(|best| &best.state)
    }

    /// Takes the losses of an evaluation after `step`, one a row, and answers if training is to go back to [`MaskSearch::best_state`].
    /// `state` is asked where the losses are the smallest so far.
    pub fn judge(
        &mut self,
        step: u64,
        losses: Vec<f64>,
        has_steps_left: bool,
        state: impl FnOnce() -> TrainingState,
    ) -> Option<MaskChange> {
        let smallest = self
            .best
            .as_ref()
            .map_or(f64::INFINITY, |best| mean(&best.losses));
        if mean(&losses) < smallest {
            self.best = Some(BestState {
                step,
                rung: self.rung,
                losses,
                state: state(),
            });
            return None;
        }
        let best = self.best.as_ref()?;
        if !is_beyond_noise(&losses, &best.losses, self.schedule.tolerance) {
            return None;
        }
        let has_next = self.rung + 1 < self.schedule.ladder.len();
        if has_next && has_steps_left {
            self.rung += 1;
        } else {
            self.is_over = true;
            self.rung = best.rung;
        }
        Some(MaskChange {
            step,
            back_to: Some(best.step),
            probability: self.probability(),
        })
    }

    /// All that it has learned.
    pub fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        state.put("rung", &self.rung);
        state.put("is_over", &self.is_over);
        state.put("best_step", &self.best.as_ref().map(|best| best.step));
        if let Some(best) = &self.best {
            state.put("best_rung", &best.rung);
            state.put("rows", &best.losses.len());
            state.put_doubles("losses", best.losses.clone());
            state.put_part("best.", best.state.clone());
        }
        state
    }

    /// The same search where another one with the same schedule stood.
    pub fn restore(mut self, mut state: TrainingState) -> Result<Self, StateError> {
        self.rung = self.rung_of("rung", &mut state)?;
        self.is_over = state.take("is_over")?;
        if let Some(step) = state.take("best_step")? {
            let rows = state.take("rows")?;
            self.best = Some(BestState {
                step,
                rung: self.rung_of("best_rung", &mut state)?,
                losses: state.take_doubles("losses", rows)?,
                state: state.take_part("best."),
            });
        }
        state.finish()?;
        Ok(self)
    }

    fn rung_of(&self, name: &str, state: &mut TrainingState) -> Result<usize, StateError> {
        let rung: usize = state.take(name)?;
        if rung < self.schedule.ladder.len() {
            return Ok(rung);
        }
        Err(StateError::Value {
            name: name.to_owned(),
            reason: format!("the ladder has {} probabilities", self.schedule.ladder.len()),
        })
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// Whether losses are larger than others of the same rows by more than so many standard errors of their mean difference.
fn is_beyond_noise(losses: &[f64], smallest: &[f64], tolerance: f64) -> bool {
    let differences: Vec<f64> = losses
        .iter()
        .zip(smallest)
        .map(|(now, best)| now - best)
        .collect();
    match MeanStd::of(&differences) {
        Ok(MeanStd {
            n,
            mean,
            std: Some(std),
        }) => mean > tolerance * std / (n as f64).sqrt(),
        // A single row says nothing about noise.
        Ok(MeanStd { std: None, .. }) => false,
        // A loss that is no finite number is worse than any.
        Err(_) => true,
    }
}
