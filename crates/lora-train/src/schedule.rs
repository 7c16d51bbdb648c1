//! The learning rate over the steps.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after a linear rise over the warmup steps.
///
/// Burn's schedulers are not used: its linear one refuses to start at 0, as warmup does, and rates above 1; all
/// of them are state that counts calls, where a function of the step needs none to resume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays.
    #[serde(alias = "constant_with_warmup")]
    Constant,
    /// It falls on a line to 0 at the last step.
    #[default]
    Linear,
    /// It falls on half a cosine to 0 at the last step.
    Cosine,
}

impl Schedule {
    /// What the learning rate is multiplied by in optimizer step `step`, counted from 0; from 0 to 1.
    ///
    /// Equal to the functions that `get_constant_schedule_with_warmup`, `get_linear_schedule_with_warmup` and
    /// `get_cosine_schedule_with_warmup` of Hugging Face's transformers make.
    ///
    /// ```
    /// use lora_train::schedule::Schedule;
    /// assert_eq!(Schedule::Linear.factor(1, 2, 10), 0.5); // one of two warmup steps
    /// assert_eq!(Schedule::Linear.factor(6, 2, 10), 0.5); // four of eight steps downhill
    /// ```
    pub fn factor(self, step: u64, warmup_steps: u64, total_steps: u64) -> f64 {
        if step < warmup_steps {
            return step as f64 / warmup_steps as f64;
        }
        let downhill = total_steps.saturating_sub(warmup_steps).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => total_steps.saturating_sub(step) as f64 / downhill,
            Self::Cosine => {
                let progress = (step - warmup_steps) as f64 / downhill;
                0.5 * (1.0 + (PI * progress).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// Written by `tests/golden/schedule.py`.
    #[derive(Deserialize)]
    struct Golden {
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        lr_scheduler_type: Schedule,
        warmup_steps: u64,
        total_steps: u64,
        factors: Vec<f64>,
    }

    #[test]
    fn factors_are_those_of_transformers() {
        let golden: Golden = serde_json::from_str(include_str!("../tests/golden/schedule.json")).unwrap();
        assert_eq!(golden.cases.len(), 18);
        for case in golden.cases {
            let Case {
                lr_scheduler_type: schedule,
                warmup_steps,
                total_steps,
                factors,
            } = case;
            for (step, expected) in (0..).zip(factors) {
                let found = schedule.factor(step, warmup_steps, total_steps);
                assert!(
                    (found - expected).abs() < 1e-15,
                    "{schedule:?} at step {step} of {total_steps}, warmup {warmup_steps}: {found}, {expected}"
                );
            }
        }
    }
}
