//! The search for a p of masks, as [`mask_schedule`](crate::mask_schedule) says it: what follows on the losses of an evaluation. It knows
//! no trainer: states are names and numbers.

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
