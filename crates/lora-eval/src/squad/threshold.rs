//! From which no-answer score on should a prediction be taken as "there is no answer"?

use serde::{Deserialize, Serialize};

use super::Question;
use crate::EvalError;
use crate::checks::refuse_empty;

/// A score and the threshold that reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestThreshold {
    /// The best score, a fraction.
    pub score: f64,
    /// Predictions with a no-answer score above this are taken as empty. `None`: all are, which is best when the predictions do more
    /// harm than good.
    pub threshold: Option<f64>,
}

/// The best thresholds on the very questions they are measured on: an upper bound. For an honest score, take the threshold of one
/// half of the questions (or of the training set) to the other with [`scores_at`](super::SquadAccumulator::scores_at).
///
/// What is reported here can be reached by [`scores_at`](super::SquadAccumulator::scores_at). The script agrees but for two corners:
/// it looks at the predictions one by one even where they have the same no-answer score, so that no threshold separates them; and to
/// a question without answer it counts a prediction like "the" as wrong in the search, though its own exact match calls it right.
/// Where it prints the threshold 0.0 because nothing is better than no answers at all, it is `None` here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestThresholds {
    /// For exact match.
    pub exact: BestThreshold,
    /// For F1.
    pub f1: BestThreshold,
}

pub(super) fn search(questions: &[Question]) -> Result<BestThresholds, EvalError> {
    let metric = "the best no-answer threshold";
    refuse_empty(metric, questions.is_empty())?;
    if questions.iter().any(|question| question.no_answer.is_none()) {
        let missing = "a no-answer score for every question";
        return Err(EvalError::KindMissing { metric, missing });
    }
    Ok(BestThresholds {
        exact: best(questions, |question| question.exact),
        f1: best(questions, |question| question.f1),
    })
}

/// What accepting the prediction gains over the empty one.
fn gain(question: &Question, score: f64) -> f64 {
    score - f64::from(u8::from(!question.has_answer))
}

fn best(questions: &[Question], score: impl Fn(&Question) -> f64) -> BestThreshold {
    let with_gain = questions.iter().filter_map(|question| {
        // −0 and 0 are the same no-answer score.
        Some((question.no_answer? + 0.0, gain(question, score(question))))
    });
    let mut gains: Vec<(f64, f64)> = with_gain.collect();
    // Equal no-answer scores in the order of their gains, so that sums are taken in one order.
    gains.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    // Nothing accepted: every question without an answer is right.
    let mut sum = questions.iter().filter(|question| !question.has_answer).count() as f64;
    let mut best = BestThreshold {
        score: sum,
        threshold: None,
    };
    for tie in gains.chunk_by(|left, right| left.0 == right.0) {
        sum += tie.iter().map(|(_, gain)| gain).sum::<f64>();
        if sum > best.score {
            best = BestThreshold {
                score: sum,
                threshold: Some(tie[0].0),
            };
        }
    }
    best.score /= questions.len() as f64;
    best
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use crate::squad::{SquadAccumulator, SquadVersion};

    const NONE: [&str; 0] = [];

    #[test]
    fn the_best_threshold_reaches_the_score_it_promises() {
        let mut squad = SquadAccumulator::new(SquadVersion::V2);
        squad.update(&["mill"], "mill", Some(-2.0)).unwrap();
        squad.update(&["old mill"], "mill", Some(-1.0)).unwrap();
        squad.update(&NONE, "mill", Some(0.5)).unwrap();
        squad.update(&NONE, "", Some(3.0)).unwrap();
        let best = squad.best_thresholds().unwrap();
        assert_eq!((best.exact.score, best.exact.threshold), (0.75, Some(-2.0)));
        assert_eq!(best.f1.threshold, Some(-1.0));
        for (found, promised) in [
            (squad.scores_at(-2.0).unwrap().all.exact, best.exact.score),
            (squad.scores_at(-1.0).unwrap().all.f1, best.f1.score),
        ] {
            assert!((found - promised).abs() < 1e-15);
        }
    }

    #[test]
    fn predictions_that_only_harm_are_all_taken_as_empty() {
        let mut squad = SquadAccumulator::new(SquadVersion::V2);
        squad.update(&NONE, "mill", Some(0.1)).unwrap();
        squad.update(&["barn"], "mill", Some(0.2)).unwrap();
        let best = squad.best_thresholds().unwrap();
        assert_eq!((best.exact.score, best.exact.threshold), (0.5, None));
    }

    #[test]
    fn questions_of_equal_score_are_not_separated() {
        // Taken one by one, the right answer alone would reach 1; no threshold does.
        let mut squad = SquadAccumulator::new(SquadVersion::V2);
        squad.update(&["mill"], "mill", Some(0.5)).unwrap();
        squad.update(&NONE, "mill", Some(0.5)).unwrap();
        assert_eq!(squad.best_thresholds().unwrap().exact.score, 0.5);
        squad.update(&NONE, "", None).unwrap();
        assert!(squad.best_thresholds().is_err());
    }
}
