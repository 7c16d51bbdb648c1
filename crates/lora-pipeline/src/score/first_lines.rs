//! What a result begins with, for readers who know no score by its name: how often it is right, which class is the weakest, and whether
//! the probabilities can be trusted.

use super::accuracy::accuracy_line;
use super::by_class::ByClass;
use super::comparison::method_in_use;
use super::sureness::Sureness;
use super::{ScoredMethod, TaskScores};
use crate::saved::task_file::InferenceKind;

/// The lines about some rows, answered as `lora predict` answers them; fewer where a task has no such scores. `on`: which rows, in words.
pub fn first_lines(
    on: &str,
    methods: &[ScoredMethod],
    inference: Option<InferenceKind>,
    by_class: Option<&ByClass>,
) -> Vec<String> {
    let accuracy = accuracy_line(on, methods, inference);
    let weakest = by_class.and_then(ByClass::weakest);
    // The probability that a label holds is no probability of being right.
    let of_answers = |method: &&ScoredMethod| !matches!(method.scores, TaskScores::Labels(_));
    let trust = method_in_use(methods, inference).filter(of_answers);
    let trust = trust.and_then(Sureness::of).map(Sureness::line);
    accuracy.into_iter().chain(weakest).chain(trust).collect()
}
