//! The accuracy of the way to predict that is in use, with its interval.

use lora_eval::{EvalError, Scores, share_interval};

use super::comparison::method_in_use;
use super::{INTERVAL_LEVEL, ScoredMethod, TaskScores};
use crate::counted::counted;
use crate::saved::task_file::InferenceKind;

/// Between which two shares the accuracy on endlessly many rows like these lies (Wilson, 95 %).
///
/// # Errors
///
/// If there are no rows.
pub fn accuracy_interval(scores: &Scores) -> Result<[f64; 2], EvalError> {
    #[expect(clippy::cast_sign_loss, reason = "a count")]
    let right = (scores.accuracy * scores.n as f64).round() as u64;
    share_interval(right, scores.n, INTERVAL_LEVEL)
}

/// The accuracy of the way that `lora predict` uses, with its interval; none where no classes of rows are predicted. `on`: which rows, in
/// words.
pub fn accuracy_line(on: &str, methods: &[ScoredMethod], inference: Option<InferenceKind>) -> Option<String> {
    let method = method_in_use(methods, inference)?;
    let TaskScores::Classification(scores) = &method.scores else {
        return None;
    };
    let [lower, upper] = accuracy_interval(scores).ok()?;
    Some(format!(
        "accuracy {:.3} (95 % interval {lower:.3} to {upper:.3}, {}) on {on}, by the {}",
        scores.accuracy,
        counted(scores.n as usize, "row"),
        method.method
    ))
}

/// A line of the terminal as a sentence of a page.
pub fn as_sentence(line: &str) -> String {
    let mut letters = line.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!("{}.", first.chain(letters).collect::<String>())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_eval::ClassProbabilities;
    use lora_eval::calibration::Binning;

    use super::*;

    fn method(is_ensemble: bool, right: usize) -> ScoredMethod {
        let probabilities = ClassProbabilities::new(20, 2, [0.75, 0.25].repeat(20)).unwrap();
        let labels: Vec<usize> = (0..20).map(|row| usize::from(row >= right)).collect();
        let scores = Scores::of(&probabilities, &labels, Binning::default()).unwrap();
        ScoredMethod {
            method: if is_ensemble { "ensemble of 8" } else { "mean pass" }.to_owned(),
            members: if is_ensemble { 8 } else { 1 },
            mean_members: None,
            average: is_ensemble.then(Default::default),
            temperature: 1.0,
            is_scaled: false,
            scores: TaskScores::Classification(scores),
            reliability: Vec::new(),
            row_losses: Vec::new(),
            answers: Vec::new(),
        }
    }

    #[test]
    fn the_accuracy_of_the_way_in_use_has_its_interval() {
        let methods = [method(false, 19), method(true, 12)];
        let line = |inference| accuracy_line("the test rows", &methods, inference).unwrap();
        assert_eq!(
            line(Some(InferenceKind::Mean)),
            "accuracy 0.950 (95 % interval 0.764 to 0.991, 20 rows) on the test rows, by the mean pass"
        );
        assert!(as_sentence(&line(None)).starts_with("Accuracy 0.600"));
        assert!(line(None).ends_with("by the ensemble of 8"), "{}", line(None));
    }
}
