//! The rule on losses that are made up.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_core::{LoraDropout, Rescale};
use lora_data::Targets;

use super::*;
use crate::event::{Evaluation, FinishReason, TrainingPlan};
use crate::fit::History;
use crate::mask_schedule::MaskSearchError;

/// A search, and an evaluation every ten steps.
struct MadeUpTraining {
    search: MaskSearch,
    step: u64,
}

impl MadeUpTraining {
    fn new(ladder: &[f64]) -> Self {
        let schedule = MaskSchedule {
            ladder: ladder.to_vec(),
            tolerance: 2.0,
        };
        schedule
            .check(Some(masks(Rescale::Rescaled)), Some(&CLASSES))
            .unwrap();
        Self {
            search: MaskSearch::new(schedule),
            step: 0,
        }
    }

    fn evaluate(&mut self, losses: [f64; 4], has_steps_left: bool) -> Option<MaskChange> {
        self.step += 10;
        let step = self.step;
        let state = || {
            let mut state = TrainingState::default();
            state.put("step", &step);
            state
        };
        self.search.judge(step, losses.to_vec(), has_steps_left, state)
    }

    /// The step whose state is kept.
    fn kept(&self) -> u64 {
        self.search.best_state().unwrap().clone().take("step").unwrap()
    }
}

fn masks(rescale: Rescale) -> LoraDropout {
    LoraDropout::new(0.3, rescale)
}

static CLASSES: Targets = Targets::Classes(Vec::new());

const LOW: [f64; 4] = [0.5, 0.25, 0.75, 0.5];
/// Every row of [`LOW`] worse by 1: no noise at all.
const HIGH: [f64; 4] = [1.5, 1.25, 1.75, 1.5];

fn back(step: u64, back_to: u64, probability: f64) -> MaskChange {
    MaskChange {
        step,
        back_to: Some(back_to),
        probability,
    }
}

#[test]
fn falling_losses_keep_p_and_move_the_state_that_is_kept() {
    let mut run = MadeUpTraining::new(&[0.3, 0.5]);
    assert_eq!(run.evaluate(HIGH, true), None);
    assert_eq!(run.kept(), 10);
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!((run.kept(), run.search.probability()), (20, 0.3));
}

#[test]
fn a_rise_beyond_noise_goes_back_and_raises_p_until_the_ladder_ends() {
    let mut run = MadeUpTraining::new(&[0.3, 0.5, 0.7]);
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!(run.evaluate(HIGH, true), Some(back(20, 10, 0.5)));
    assert_eq!(run.evaluate(HIGH, true), Some(back(30, 10, 0.7)));
    assert!(!run.search.is_over());
    // The state that is kept was trained under 0.3, and that is the p it predicts under.
    assert_eq!(run.evaluate(HIGH, true), Some(back(40, 10, 0.3)));
    assert!(run.search.is_over());
}

#[test]
fn a_later_best_state_is_gone_back_to_with_the_p_that_it_was_trained_under() {
    let mut run = MadeUpTraining::new(&[0.3, 0.5]);
    let lower = LOW.map(|loss| loss - 0.125);
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!(run.evaluate(HIGH, true), Some(back(20, 10, 0.5)));
    assert_eq!(run.evaluate(lower, true), None);
    assert_eq!(run.evaluate(HIGH, true), Some(back(40, 30, 0.5)));
    assert!(run.search.is_over());
}

#[test]
fn at_the_last_step_p_is_not_raised_any_more() {
    let mut run = MadeUpTraining::new(&[0.3, 0.5]);
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!(run.evaluate(HIGH, false), Some(back(20, 10, 0.3)));
}

#[test]
fn a_rise_within_two_standard_errors_changes_nothing() {
    // Differences 1, -1, 1, -1 and a shift: their standard deviation is sqrt(4/3), the standard error of the mean sqrt(1/3) = 0.577.
    let shifted = |shift: f64| {
        let signs = [1.0, -1.0, 1.0, -1.0];
        let mut losses = LOW;
        for (loss, sign) in losses.iter_mut().zip(signs) {
            *loss += shift + sign;
        }
        losses
    };
    let mut run = MadeUpTraining::new(&[0.3, 0.5]);
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!(run.evaluate(shifted(1.15), true), None);
    assert_eq!(run.kept(), 10, "a larger loss is not kept");
    assert_eq!(run.evaluate(shifted(1.16), true), Some(back(30, 10, 0.5)));
}

#[test]
fn one_row_is_no_evidence_and_a_loss_that_is_not_finite_is() {
    assert!(!is_beyond_noise(&[9.0], &[0.1], 2.0));
    assert!(is_beyond_noise(&[f64::NAN, 0.1], &[0.1, 0.2], 2.0));
    let mut run = MadeUpTraining::new(&[0.3, 0.5]);
    // There is nothing to go back to yet.
    assert_eq!(run.evaluate([f64::INFINITY; 4], true), None);
    assert!(run.search.best_state().is_none());
    assert_eq!(run.evaluate(LOW, true), None);
    assert_eq!(run.evaluate([f64::INFINITY; 4], true), Some(back(30, 20, 0.5)));
}

#[test]
fn a_restored_search_judges_as_the_other_does() {
    let mut run = MadeUpTraining::new(&[0.3, 0.5, 0.7]);
    run.evaluate(LOW, true);
    run.evaluate(HIGH, true);
    let new = MaskSearch::new(run.search.schedule().clone());
    let mut other = MadeUpTraining {
        search: new.restore(run.search.state()).unwrap(),
        step: run.step,
    };
    assert_eq!(other.search.state(), run.search.state());
    assert_eq!(other.evaluate(HIGH, true), Some(back(30, 10, 0.7)));
    let shorter = MaskSchedule {
        ladder: vec![0.3],
        ..MaskSchedule::default()
    };
    let error = MaskSearch::new(shorter).restore(run.search.state()).unwrap_err();
    assert!(matches!(error, StateError::Value { .. }), "{error}");
}

#[test]
fn what_has_no_p_to_find_is_refused() {
    let check = |dropout, targets| MaskSchedule::default().check(dropout, targets);
    assert_eq!(check(Some(masks(Rescale::Rescaled)), Some(&CLASSES)), Ok(()));
    assert_eq!(check(None, Some(&CLASSES)), Err(MaskSearchError::NoMasks));
    let plain = check(Some(masks(Rescale::Plain)), Some(&CLASSES));
    assert_eq!(plain, Err(MaskSearchError::PlainMasks));
    let blind = check(Some(masks(Rescale::Rescaled)), None);
    assert_eq!(blind, Err(MaskSearchError::NoEvaluation));
    let spans = Targets::Spans(Vec::new());
    let error = check(Some(masks(Rescale::Rescaled)), Some(&spans)).unwrap_err();
    assert!(error.to_string().contains("question answering"), "{error}");
    for ladder in [vec![], vec![0.5, 0.3], vec![0.0, 0.5], vec![0.5, 1.0]] {
        let schedule = MaskSchedule {
            ladder,
            tolerance: 2.0,
        };
        let error = schedule
            .check(Some(masks(Rescale::Rescaled)), Some(&CLASSES))
            .unwrap_err();
        assert!(matches!(error, MaskSearchError::Ladder { .. }), "{error}");
    }
}

#[test]
fn changes_are_told_in_words() {
    let changes = [
        MaskChange {
            step: 0,
            back_to: None,
            probability: 0.3,
        },
        MaskChange {
            step: 24,
            back_to: Some(16),
            probability: 0.5,
        },
    ];
    let mut expected = vec![
        "p 0.3 at first",
        "p 0.3 → 0.5: goes on at step 25 from the weights of step 16",
    ];
    assert_eq!(MaskChange::all_in_words(&changes), expected);
    assert_eq!(MaskChange::tried_in_words(&changes).unwrap(), "p 0.3 → 0.5");
    // The search is over, and the best weights are from before.
    let changes = [changes[0], changes[1], back(32, 16, 0.3)];
    expected.push("p 0.3: ends after step 32 with the weights of step 16");
    assert_eq!(MaskChange::all_in_words(&changes), expected);
    assert_eq!(MaskChange::tried_in_words(&changes).unwrap(), "p 0.3 → 0.5");
    assert_eq!(MaskChange::tried_in_words(&[]), None);
}

#[test]
fn what_is_kept_is_told_beside_the_lowest_loss() {
    let evaluation = |step, loss| Evaluation {
        step,
        epoch: 1.0,
        loss,
        metric: None,
        ece: None,
        is_best: false,
    };
    let first = MaskChange {
        step: 0,
        back_to: None,
        probability: 0.3,
    };
    let mut history = History {
        plan: TrainingPlan {
            steps: 90,
            steps_per_epoch: 10,
            epochs: 9.0,
            examples: 80,
        },
        steps: Vec::new(),
        evaluations: vec![evaluation(40, 0.29), evaluation(60, 0.5), evaluation(90, 0.327)],
        best_step: Some(90),
        mask_changes: vec![first, back(60, 40, 0.5)],
        finish: FinishReason::AllSteps,
    };
    let expected = "the adapter is that of step 90, with p 0.5 (validation loss 0.327; the lowest was 0.290 at step 40 under p 0.3, \
                    within noise)";
    assert_eq!(history.kept_in_words().unwrap(), expected);
    history.best_step = Some(40);
    history.mask_changes.push(back(90, 40, 0.3));
    let expected = "the adapter is that of step 40, with p 0.3 (validation loss 0.290, the lowest)";
    assert_eq!(history.kept_in_words().unwrap(), expected);
    history.mask_changes.clear();
    assert_eq!(history.kept_in_words(), None);
}
