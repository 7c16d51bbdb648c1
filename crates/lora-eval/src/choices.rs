//! Multiple choice by answer letters: after a prompt that lists the choices, the model's scores of the tokens `A`, `B`, `C`… are
//! its scores of the choices.
//!
//! The softmax runs over the letters of the question alone, so the probabilities of other tokens do not matter. The
//! letters' scores may be logits or log-likelihoods: they differ by a constant, which the softmax takes out. (This is the protocol
//! of `Laplace-LoRA` and `BLoB`; there all questions have the same letters.)
//!
//! The result are plain [`Predictions`], one class a letter, so accuracy, NLL, ECE, temperature, uncertainty and detection work as
//! for any classifier.

use crate::checks::at_least;
use crate::{EvalError, Predictions};

/// The logit of a letter that a question doesn't have. Its probability is 0 at every temperature that is allowed.
pub const ABSENT_LETTER: f32 = -1e30;

/// Predictions over letters, from the scores of each question's own letters.
///
/// `choices` `[examples]` is the number of letters of each question; `scores` are theirs: for every member, for every question, one
/// score a letter. Questions with fewer letters than the longest get [`ABSENT_LETTER`] for the rest.
///
/// ```
/// use lora_eval::choices::letter_predictions;
/// use lora_eval::{Average, Scores, calibration::Binning};
/// // One member; a question with three letters and one with two.
/// let predictions = letter_predictions(1, &[3, 2], &[1.0, 2.0, 0.5, -3.0, -3.0])?;
/// let average = predictions.average(Average::Probabilities);
/// assert_eq!(average.row(1), [0.5, 0.5, 0.0]);
/// let scores = Scores::of(&average, &[1, 0], Binning::default())?;
/// assert_eq!(scores.accuracy, 1.0);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::AxisTooShort`] without members or questions or for a question with fewer than two letters,
/// [`EvalError::ValueCount`] for another number of scores, [`EvalError::LogitNotFinite`] for a score that is NaN or infinite or as low as
/// [`ABSENT_LETTER`].
pub fn letter_predictions(
    members: usize,
    choices: &[usize],
    scores: &[f32],
) -> Result<Predictions, EvalError> {
    for letters in choices {
        at_least("letters of a question", *letters, 2)?;
    }
    let (examples, classes) = (choices.len(), choices.iter().copied().max().unwrap_or(2));
    let letters: usize = choices.iter().sum();
    let expected = members.saturating_mul(letters);
    if scores.len() != expected {
        return Err(EvalError::ValueCount {
            what: "the list of letter scores",
            axes: vec![members, letters],
            expected,
            found: scores.len(),
        });
    }
    let mut logits = Vec::with_capacity(members * examples * classes);
    let mut rest = scores;
    for member in 0..members {
        for (example, letters) in choices.iter().enumerate() {
            let (own, after) = rest.split_at(*letters);
            rest = after;
            if let Some(class) = own
                .iter()
                .position(|score| !score.is_finite() || *score <= ABSENT_LETTER)
            {
                let value = own[class];
                return Err(EvalError::LogitNotFinite {
                    member,
                    example,
                    class,
                    value,
                });
            }
            logits.extend_from_slice(own);
            logits.extend(std::iter::repeat_n(ABSENT_LETTER, classes - letters));
        }
    }
    Predictions::new(members, examples, classes, logits)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use crate::Average;
    use crate::predictions::TEMPERATURES;

    #[test]
    fn a_letter_that_is_not_there_has_probability_zero_at_every_temperature() {
        let predictions = letter_predictions(
            2,
            &[2, 4],
            &[0.5, 0.25, 1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 4.0, 3.0, 2.0, 1.0],
        );
        let predictions = predictions.unwrap();
        for temperature in [*TEMPERATURES.start(), 1.0, *TEMPERATURES.end()] {
            let softened = predictions.clone().with_temperature(temperature).unwrap();
            for average in [Average::Probabilities, Average::Logits] {
                let row = softened.average(average).row(0).to_vec();
                assert_eq!(row[2..], [0.0, 0.0], "{temperature} {average:?}");
                assert!((row[0] + row[1] - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_constant_between_logits_and_log_likelihoods_does_not_matter() {
        let of = |shift: f32| {
            let scores: Vec<f32> = [0.5, 0.25, -1.0, 2.0].map(|score| score + shift).to_vec();
            letter_predictions(1, &[4], &scores)
                .unwrap()
                .average(Average::Probabilities)
        };
        for (left, right) in of(0.0).values().iter().zip(of(-16.0).values()) {
            assert!((left - right).abs() < 1e-12);
        }
    }

    #[test]
    fn letters_and_scores_that_do_not_fit_are_refused() {
        assert!(matches!(
            letter_predictions(1, &[1], &[0.0]),
            Err(EvalError::AxisTooShort { .. })
        ));
        assert!(matches!(
            letter_predictions(1, &[], &[]),
            Err(EvalError::AxisTooShort { .. })
        ));
        assert!(matches!(
            letter_predictions(2, &[2], &[0.0; 3]),
            Err(EvalError::ValueCount { expected: 4, .. })
        ));
        let error = letter_predictions(1, &[2, 3], &[0.0, 0.0, 0.0, f32::NEG_INFINITY, 0.0]).unwrap_err();
        assert!(matches!(
            error,
            EvalError::LogitNotFinite {
                example: 1,
                class: 1,
                ..
            }
        ));
    }
}
