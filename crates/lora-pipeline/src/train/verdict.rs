//! What the validation losses say about a training as a whole: has it learned anything, and would more help?

use lora_data::Targets;
use lora_train::History;
use lora_train::event::FinishReason;
use thiserror::Error;

use crate::score::TaskScores;

/// A loss so many times that of guessing is no model any more.
const DIVERGED: f64 = 10.0;
/// From this share of the loss of guessing on, the outputs are hardly better than a guess.
const HARDLY_LEARNED: f64 = 0.9;
/// A loss so many times that of equal probabilities comes from steps that are too large.
const UNSTABLE: f64 = 3.0;
/// Below this share of it in training, something was learned.
const LEARNED: f64 = 0.5;

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

/// What somebody says who knows how frequent classes are in the training rows, or the mean of their values, and reads no text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guess {
    /// How many classes there are; none for values.
    pub classes: Option<usize>,
    /// Mean loss on the validation rows: nats, for several labels of a text the mean over labels; squared error for values.
    pub loss: f64,
}

impl Guess {
    /// From what is right about training and validation rows; none for answers in a context. Each class gets half a row more than there
    /// are, so that one without training rows is improbable and not impossible.
    pub fn of(training: &Targets, validation: &Targets, classes: Option<usize>) -> Option<Self> {
        if let (Targets::Values(training), Targets::Values(validation)) = (training, validation) {
            let mean = training.iter().copied().map(f64::from).sum::<f64>() / training.len() as f64;
            let squares = validation.iter().map(|value| (f64::from(*value) - mean).powi(2));
            let loss = squares.sum::<f64>() / validation.len() as f64;
            return loss.is_finite().then_some(Self { classes: None, loss });
        }
        Self::of_classes(training, validation, classes?)
    }

    fn of_classes(training: &Targets, validation: &Targets, classes: usize) -> Option<Self> {
        let share =
            |rows: usize, of: usize, kinds: usize| (rows as f64 + 0.5) / (of as f64 + 0.5 * kinds as f64);
        let loss = match (training, validation) {
            (Targets::Classes(training), Targets::Classes(validation)) => {
                let all = training.iter().chain(validation);
                // Questions may have more choices there than anywhere here.
                let classes = all.map(|class| class + 1).fold(classes, usize::max);
                let mut rows = vec![0_usize; classes];
                for class in training {
                    rows[*class] += 1;
                }
                let loss = |class: &usize| -share(rows[*class], training.len(), classes).ln();
                validation.iter().map(loss).sum::<f64>() / validation.len() as f64
            }
            (Targets::Labels(training), Targets::Labels(validation)) => {
                let rows_with = |rows: &[Vec<usize>], label: usize| {
                    rows.iter().filter(|held| held.contains(&label)).count()
                };
                let of_label = |label: usize| {
                    let share = share(rows_with(training, label), training.len(), 2);
                    let held = rows_with(validation, label) as f64 / validation.len() as f64;
                    -held * share.ln() - (1.0 - held) * (1.0 - share).ln()
                };
                (0..classes).map(of_label).sum::<f64>() / classes as f64
            }
            _ => return None,
        };
        loss.is_finite().then_some(Self {
            classes: Some(classes),
            loss,
        })
    }

    /// What is said without reading the text.
    fn in_words(self) -> String {
        match self.classes {
            Some(classes) => format!("how frequent the {classes} classes are in the training rows"),
            None => "the mean of the training rows".to_owned(),
        }
    }

    /// The loss of somebody who knows nothing: that of equal probabilities, or for values the same.
    fn blind_loss(self) -> f64 {
        self.classes.map_or(self.loss, |classes| (classes as f64).ln())
    }
}

/// What the losses say about a training that did not go well, with the reason that applies; none for one that went well. `scores` are
/// those of the mean pass on the validation rows.
pub fn verdict(history: &History, guess: Option<Guess>, scores: Option<&TaskScores>) -> Option<String> {
    let losses = history.evaluations.iter().map(|evaluation| evaluation.loss);
    let best = losses.min_by(f64::total_cmp);
    if let (Some(loss), Some(guess)) = (best, guess)
        && loss > HARDLY_LEARNED * guess.loss
    {
        return Some(nothing_learned(history, loss, guess, scores));
    }
    let last = history.evaluations.last();
    // Where p is found while training, the last state is the result too if another one is as good.
    let is_found = history.mask_changes.is_empty() || last.map(|last| last.loss) == best;
    let is_last_best = history.finish == FinishReason::AllSteps
        && history.best_step == last.map(|last| last.step)
        && is_found;
    let losses: Vec<f64> = history.evaluations.iter().map(|each| each.loss).collect();
    (is_last_best && still_falls(&losses, guess.map(|guess| guess.loss))).then(|| {
        "the last evaluation was the best one: more epochs (num_train_epochs) may still help".to_owned()
    })
}

/// Why the validation loss is not below that of guessing.
fn nothing_learned(history: &History, loss: f64, guess: Guess, scores: Option<&TaskScores>) -> String {
    let losses = format!(
        "the best validation loss is {loss:.3}, and {:.3} is that of always saying {}",
        guess.loss,
        guess.in_words()
    );
    let scores = match scores {
        Some(TaskScores::Classification(scores)) => Some(scores),
        Some(TaskScores::Words(scores)) => Some(&scores.words),
        _ => None,
    };
    if let Some(scores) = scores.filter(|scores| scores.matthews < -2.0 / (scores.n as f64).sqrt()) {
        return format!(
            "the validation rows contradict what was learned: {losses}, and {:.0} % are right, fewer than by chance (Matthews {:.2}); are \
             labels swapped in one of the files?",
            100.0 * scores.accuracy,
            scores.matthews
        );
    }
    let worst = history
        .evaluations
        .iter()
        .map(|each| each.loss)
        .fold(0.0, f64::max);
    if worst > UNSTABLE * guess.blind_loss() {
        return format!(
            "the training was unstable: {losses}, after one of {worst:.3} on the way; lower learning_rate, or add warmup (warmup_ratio)"
        );
    }
    let tenth = history.steps.len().div_ceil(10);
    let last = &history.steps[history.steps.len() - tenth..];
    let in_training = last.iter().map(|step| step.loss).sum::<f64>() / last.len() as f64;
    if in_training < LEARNED * guess.loss {
        return format!(
            "what was learned from the training rows, whose loss came down to {in_training:.3}, does not hold for the validation rows: \
             {losses}; label more rows, train for fewer steps, or check that the files belong together"
        );
    }
    format!(
        "the outputs are hardly better than a guess: {losses}; raise num_train_epochs or learning_rate, or check that the labels follow from the texts"
    )
}

/// Whether the last evaluation brought more than a hundredth of what there is to gain: of the loss of a guess, or without one of the loss
/// before.
pub fn still_falls(losses: &[f64], guess: Option<f64>) -> bool {
    let [.., before, last] = losses else {
        return false;
    };
    before - last > 0.01 * guess.unwrap_or(*before)
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
    use lora_eval::calibration::Binning;
    use lora_eval::{ClassProbabilities, Scores};
    use lora_train::event::{Evaluation, TrainingPlan};
    use lora_train::trainer::StepReport;

    use super::*;

    fn history(losses: &[f64], finish: FinishReason) -> History {
        let evaluations = losses.iter().zip(1..).map(|(&loss, step)| Evaluation {
            step,
            epoch: step as f64,
            loss,
            metric: Some(loss),
            ece: None,
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
            mask_changes: Vec::new(),
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
    fn a_guess_knows_the_shares_of_the_training_rows() {
        // 18 and 1 of 19 rows, half a row added to each: shares 0.925 and 0.075.
        let mut training = vec![0; 19];
        training[3] = 1;
        let validation = Targets::Classes(vec![0, 0, 0, 1]);
        let guess = Guess::of(&Targets::Classes(training), &validation, Some(2)).expect("classes");
        let expected = -(3.0 * 0.925_f64.ln() + 0.075_f64.ln()) / 4.0;
        assert!((guess.loss - expected).abs() < 1e-12);
        // Two labels: the first holds in 3 of 4 training rows (3.5 of 5), the second in none (0.5 of 5).
        let training = Targets::Labels(vec![vec![0], vec![0], vec![], vec![0]]);
        let validation = Targets::Labels(vec![vec![0, 1], vec![]]);
        let guess = Guess::of(&training, &validation, Some(2)).expect("labels");
        let expected = -(0.7_f64.ln() + 0.3_f64.ln() + 0.1_f64.ln() + 0.9_f64.ln()) / 4.0;
        assert!((guess.loss - expected).abs() < 1e-12);
        assert_eq!(Guess::of(&Targets::None, &Targets::None, Some(2)), None);
    }

    #[test]
    fn a_guess_of_values_says_their_mean() {
        // The mean is 2; squared errors of 1 and 9.
        let training = Targets::Values(vec![1.0, 2.0, 3.0]);
        let guess = Guess::of(&training, &Targets::Values(vec![3.0, 5.0]), None).expect("values");
        assert_eq!((guess.classes, guess.loss), (None, 5.0));
        let nothing = history(&[4.9, 4.8], FinishReason::AllSteps);
        let said = verdict(&nothing, Some(guess), None).unwrap_or_default();
        assert!(
            said.contains("hardly better than a guess")
                && said.contains("always saying the mean of the training rows"),
            "{said}"
        );
        let learned = history(&[1.0, 1.2], FinishReason::AllSteps);
        assert_eq!(verdict(&learned, Some(guess), None), None);
    }

    const THREE: Guess = Guess {
        classes: Some(3),
        loss: 1.0986,
    };

    #[test]
    fn the_reason_that_applies_is_given() {
        let of = |losses: &[f64], finish, loss| {
            verdict(&history(losses, finish), Some(Guess { loss, ..THREE }), None).unwrap_or_default()
        };
        let all = FinishReason::AllSteps;
        assert!(of(&[1.09, 1.05], all, 1.0986).contains("hardly better than a guess"));
        // One class of ten rows: 0.3 is far below ln(3), and no better than knowing the shares.
        assert!(of(&[0.32, 0.31], all, 0.325).contains("hardly better than a guess"));
        // Equal probabilities have ln(3), 1.0986.
        assert!(of(&[9.0, 1.05], all, 1.0986).contains("lower learning_rate"));
        assert!(of(&[0.9, 0.5], all, 1.0986).contains("num_train_epochs"));
        assert_eq!(of(&[0.0036, 0.0034], all, 1.0986), "", "nothing is left to gain");
        assert_eq!(of(&[0.5, 0.6], all, 1.0986), "");
        assert_eq!(of(&[0.9, 0.5], FinishReason::EarlyStopping, 1.0986), "");
    }

    #[test]
    fn swapped_labels_are_told_from_nothing_learned() {
        let all = FinishReason::AllSteps;
        let mut learned = history(&[1.2, 2.0], all);
        learned.steps = vec![StepReport {
            step: 1,
            loss: 0.1,
            grad_norm: 1.0,
            learning_rate: 1e-3,
        }];
        let said = |scores: Option<&TaskScores>| verdict(&learned, Some(THREE), scores).unwrap_or_default();
        assert!(said(None).contains("does not hold for the validation rows"));
        // Of 50 rows of two classes each, all wrong but 10.
        let rows = |label: usize| (0..50).map(move |row| (label, if row < 5 { label } else { 1 - label }));
        let (labels, predicted): (Vec<usize>, Vec<usize>) = rows(0).chain(rows(1)).unzip();
        let probabilities = predicted
            .iter()
            .flat_map(|top| if *top == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        let probabilities = ClassProbabilities::new(100, 2, probabilities.collect()).expect("pairs");
        let scores = Scores::of(&probabilities, &labels, Binning::default()).expect("scores");
        let said = said(Some(&TaskScores::Classification(scores)));
        assert!(
            said.contains("10 % are right") && said.contains("Matthews -0.80"),
            "{said}"
        );
        assert!(said.contains("swapped"), "{said}");
    }
}
