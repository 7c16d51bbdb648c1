//! Extractive question answering, scored by the rules of the official SQuAD scripts (Rajpurkar et al. 2016 and 2018).
//!
//! An answer and a prediction are [normalized](normalize): lower case, no ASCII punctuation, no articles, single spaces. *Exact
//! match* is 1 if both are then the same text; *F1* is that of their words. Of several true answers the best counts. Scores are
//! fractions here; the scripts print them times 100.
//!
//! In version 2.0 a question may have no answer: the empty prediction is right there and wrong elsewhere. A model gives a *no-answer
//! score* (any number that grows with its doubt that there is an answer); above a threshold the prediction becomes empty. The best
//! thresholds for exact match and for F1 are [found on the data](SquadAccumulator::best_thresholds), as `best_exact` and `best_f1`
//! of the script are.

mod normalize;
mod threshold;

use serde::{Deserialize, Serialize};

pub use self::normalize::{exact_match, normalize, word_f1};
pub use self::threshold::{BestThreshold, BestThresholds};
use crate::EvalError;
use crate::checks::is_finite;

/// Which rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SquadVersion {
    /// Every question has an answer.
    #[serde(rename = "1.1")]
    V1,
    /// A question may have none.
    #[serde(rename = "2.0")]
    V2,
}

/// One scored question.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Question {
    exact: f64,
    f1: f64,
    has_answer: bool,
    no_answer: Option<f64>,
}

/// Scores over some questions, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnswerScores {
    /// How many questions.
    pub total: usize,
    /// Share of exact matches.
    pub exact: f64,
    /// Mean F1 of words.
    pub f1: f64,
}

/// Every score of one set of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SquadScores {
    /// Over all questions.
    pub all: AnswerScores,
    /// Over the questions that have an answer.
    pub with_answer: Option<AnswerScores>,
    /// Over the questions that have none.
    pub without_answer: Option<AnswerScores>,
}

/// Gathers scored questions, batch by batch; how they are split into batches changes no score.
///
/// ```
/// use lora_eval::squad::{SquadAccumulator, SquadVersion};
/// let mut squad = SquadAccumulator::new(SquadVersion::V1);
/// squad.update(&["the old mill", "a mill"], "Old mill!", None)?;
/// squad.update(&["1923"], "in 1923", None)?;
/// let scores = squad.scores()?.all;
/// assert_eq!(scores.exact, 0.5);
/// // One word of two predicted ones is right, and it is all of the answer: 2 · ½ · 1 / (½ + 1).
/// assert!((scores.f1 - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SquadAccumulator {
    version: SquadVersion,
    questions: Vec<Question>,
}

impl SquadAccumulator {
    /// No questions yet.
    pub fn new(version: SquadVersion) -> Self {
        Self {
            version,
            questions: Vec::new(),
        }
    }

    /// Adds one question: its true answers (none: it has no answer), the prediction (empty: there is none) and, for the threshold
    /// search, the no-answer score of the prediction.
    ///
    /// As in the script of version 2.0, answers of which normalizing leaves nothing do not count there.
    ///
    /// # Errors
    /// [`EvalError::NoAnswers`] for a question without answers under version 1.1, [`EvalError::ValueNotFinite`] for a no-answer score
    /// of NaN or infinity.
    pub fn update(
        &mut self,
        answers: &[impl AsRef<str>],
        prediction: &str,
        no_answer: Option<f64>,
    ) -> Result<(), EvalError> {
        let question = self.questions.len();
        if let Some(value) = no_answer {
            is_finite("no-answer score", question, value)?;
        }
        let mut truths: Vec<&str> = answers.iter().map(AsRef::as_ref).collect();
        match self.version {
            SquadVersion::V1 if truths.is_empty() => return Err(EvalError::NoAnswers { question }),
            SquadVersion::V1 => {}
            SquadVersion::V2 => {
                truths.retain(|answer| !normalize(answer).is_empty());
                if truths.is_empty() {
                    truths.push("");
                }
            }
        }
        let best = |score: fn(&str, &str, SquadVersion) -> f64| {
            truths
                .iter()
                .map(|truth| score(truth, prediction, self.version))
                .fold(0.0, f64::max)
        };
        self.questions.push(Question {
            exact: best(|truth, prediction, _| f64::from(u8::from(exact_match(truth, prediction)))),
            f1: best(word_f1),
            // The script asks for any answer at all, before normalizing.
            has_answer: !answers.is_empty(),
            no_answer,
        });
        Ok(())
    }

    /// Adds the questions of another under the same rules.
    ///
    /// # Errors
    /// [`EvalError::WrongKind`] if the rules differ. Nothing is added then.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        if self.version != other.version {
            return Err(EvalError::WrongKind {
                metric: "a sum of SQuAD scores",
                needed: "questions scored by one version of the rules",
            });
        }
        self.questions.extend_from_slice(&other.questions);
        Ok(())
    }

    /// The scores of the predictions as they are.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without questions.
    pub fn scores(&self) -> Result<SquadScores, EvalError> {
        of(&self.questions)
    }

    /// The scores when predictions whose no-answer score is above `threshold` are taken as empty. A question without a no-answer score
    /// keeps its prediction.
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without questions.
    pub fn scores_at(&self, threshold: f64) -> Result<SquadScores, EvalError> {
        let turned = |question: &Question| {
            if question.no_answer.is_none_or(|score| score <= threshold) {
                return *question;
            }
            let right = f64::from(u8::from(!question.has_answer));
            Question {
                exact: right,
                f1: right,
                ..*question
            }
        };
        of(&self.questions.iter().map(turned).collect::<Vec<_>>())
    }

    /// The thresholds that make exact match and F1 best on these questions; see [`BestThresholds`].
    ///
    /// # Errors
    /// [`EvalError::NoExamples`] without questions, [`EvalError::KindMissing`] when one has no no-answer score.
    pub fn best_thresholds(&self) -> Result<BestThresholds, EvalError> {
        threshold::search(&self.questions)
    }
}

fn of(questions: &[Question]) -> Result<SquadScores, EvalError> {
    let part = |has_answer: Option<bool>| {
        let chosen = questions
            .iter()
            .filter(|question| has_answer.is_none_or(|has| question.has_answer == has));
        // In one order, whatever the split into batches: F1s are summed from the smallest up.
        let mut f1s: Vec<f64> = chosen.clone().map(|question| question.f1).collect();
        f1s.sort_unstable_by(f64::total_cmp);
        let total = f1s.len();
        (total > 0).then(|| AnswerScores {
            total,
            exact: chosen.map(|question| question.exact).sum::<f64>() / total as f64,
            f1: f1s.iter().sum::<f64>() / total as f64,
        })
    };
    let metric = "SQuAD exact match";
    Ok(SquadScores {
        all: part(None).ok_or(EvalError::NoExamples { metric })?,
        with_answer: part(Some(true)),
        without_answer: part(Some(false)),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn an_unanswerable_question_wants_the_empty_prediction() {
        let mut squad = SquadAccumulator::new(SquadVersion::V2);
        let none: [&str; 0] = [];
        squad.update(&none, "", None).unwrap();
        squad.update(&none, "Paris", None).unwrap();
        squad.update(&["Paris"], "", None).unwrap();
        let scores = squad.scores().unwrap();
        assert!((scores.all.exact - 1.0 / 3.0).abs() < 1e-15);
        assert_eq!(scores.without_answer.unwrap().f1, 0.5);
        assert_eq!(scores.with_answer.unwrap().exact, 0.0);
    }

    #[test]
    fn the_first_version_refuses_questions_without_answers() {
        let mut squad = SquadAccumulator::new(SquadVersion::V1);
        let none: [&str; 0] = [];
        let error = squad.update(&none, "", None).unwrap_err();
        assert_eq!(error, EvalError::NoAnswers { question: 0 });
        assert!(matches!(squad.scores(), Err(EvalError::NoExamples { .. })));
        assert!(squad.merge(&SquadAccumulator::new(SquadVersion::V2)).is_err());
        assert!(squad.update(&["a mill"], "mill", Some(f64::NAN)).is_err());
    }
}
