//! What the validation losses say about a training as a whole: has it learned anything, and would more help?

use lora_train::History;
use lora_train::event::FinishReason;
use thiserror::Error;

/// A loss so many times that of guessing is no model any more.
const DIVERGED: f64 = 10.0;
/// From this share of the loss of guessing on, next to nothing was learned.
const HARDLY_LEARNED: f64 = 0.9;

/// A training that ended with a model far worse than guessing.
#[derive(Debug, Error)]
#[error(
    "the training diverged: the best validation loss is {loss:.4}, but guessing among {classes} classes has {guess:.4}; lower \
     learning_rate, add warmup, or check the data"
)]
pub struct WorseThanGuessing {
    /// The best validation loss in nats.
    pub loss: f64,
    /// How many classes there are.
    pub classes: usize,
    /// The loss of equal probabilities, `ln(classes)`.
    pub guess: f64,
}

/// Refuses a model that is far worse than equal probabilities for all classes. A regression has no such measure.
///
/// # Errors
///
/// [`WorseThanGuessing`].
pub fn check_learned(history: &History, classes: Option<usize>) -> Result<(), WorseThanGuessing> {
    let Some((loss, classes, guess)) = against_guessing(history, classes) else {
        return Ok(());
    };
    if loss > DIVERGED * guess {
        return Err(WorseThanGuessing { loss, classes, guess });
    }
    Ok(())
}

/// Advice that follows from the losses; none for a training that went well.
pub fn advice(history: &History, classes: Option<usize>) -> Vec<String> {
    let mut advice = Vec::new();
    if let Some((loss, classes, guess)) = against_guessing(history, classes)
        && loss > HARDLY_LEARNED * guess
    {
        advice.push(format!(
            "next to nothing was learned: the best validation loss is {loss:.3}, guessing among {classes} classes has {guess:.3}; \
             raise num_train_epochs or learning_rate, or check that the labels follow from the texts"
        ));
    } else if still_falls(history, classes)
        && history.finish == FinishReason::AllSteps
        && history.best_step == history.evaluations.last().map(|last| last.step)
    {
        advice.push(
            "the last evaluation was the best one: more epochs (num_train_epochs) may still help".to_owned(),
        );
    }
    advice
}

/// Whether the last evaluation brought more than a hundredth of what there is to gain.
fn still_falls(history: &History, classes: Option<usize>) -> bool {
    let [.., before, last] = &history.evaluations[..] else {
        return false;
    };
    let whole = classes.map_or(before.loss, |classes| (classes as f64).ln());
    before.loss - last.loss > 0.01 * whole
}

/// The smallest validation loss, the number of classes, and the loss of equal probabilities.
fn against_guessing(history: &History, classes: Option<usize>) -> Option<(f64, usize, f64)> {
    let classes = classes?;
    let losses = history.evaluations.iter().map(|evaluation| evaluation.loss);
    let loss = losses.min_by(f64::total_cmp)?;
    Some((loss, classes, (classes as f64).ln()))
}

#[cfg(test)]
mod tests {
    use lora_train::event::{Evaluation, TrainingPlan};

    use super::*;

    fn history(losses: &[f64], finish: FinishReason) -> History {
        let evaluations = losses.iter().zip(1..).map(|(&loss, step)| Evaluation {
            step,
            epoch: step as f64,
            loss,
            metric: Some(loss),
            is_best: true,
        });
        let best = losses.iter().zip(1..).min_by(|a, b| a.0.total_cmp(b.0));
        History {
            plan: TrainingPlan {
                steps: losses.len() as u64,
                steps_per_epoch: 1,
                epochs: losses.len() as f64,
                examples: 8,
            },
            steps: Vec::new(),
            evaluations: evaluations.collect(),
            best_step: best.map(|(_, step)| step),
            finish,
        }
    }

    #[test]
    fn a_loss_far_above_that_of_guessing_is_a_divergence() {
        let wild = history(&[5e9, 40.0], FinishReason::AllSteps);
        // ln(3) is 1.0986.
        let error = check_learned(&wild, Some(3)).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("40.0000") && text.contains("1.0986")));
        assert!(
            check_learned(&wild, None).is_ok(),
            "a regression has no such measure"
        );
        assert!(check_learned(&history(&[2.2], FinishReason::AllSteps), Some(3)).is_ok());
    }

    #[test]
    fn advice_is_given_where_little_was_learned_or_the_end_was_the_best() {
        let advice_of = |losses: &[f64], finish| advice(&history(losses, finish), Some(3)).join(" ");
        assert!(advice_of(&[1.09, 1.05], FinishReason::AllSteps).contains("next to nothing"));
        assert!(advice_of(&[0.9, 0.5], FinishReason::AllSteps).contains("num_train_epochs"));
        assert_eq!(
            advice_of(&[0.0036, 0.0034], FinishReason::AllSteps),
            "",
            "nothing is left to gain"
        );
        assert_eq!(advice_of(&[0.5, 0.6], FinishReason::AllSteps), "");
        assert_eq!(advice_of(&[0.9, 0.5], FinishReason::EarlyStopping), "");
    }
}
