//! The metric by which a benchmark is scored, from the scores that there are.

use lora_data::tasks::TaskMetric;
use lora_eval::glue::GlueScore;

use super::{ScoredMethod, TaskScores};

/// The benchmark's own metric: its parts, and the one number that stands for the task; none where the scores are of another kind, or
/// a correlation has no value.
pub fn official(metric: TaskMetric, method: &ScoredMethod) -> Option<GlueScore> {
    let parts: Vec<(&str, f64)> = match (metric, &method.scores) {
        (TaskMetric::Accuracy, TaskScores::Classification(scores)) => vec![("accuracy", scores.accuracy)],
        (TaskMetric::Matthews, TaskScores::Classification(scores)) => vec![("matthews", scores.matthews)],
        (TaskMetric::AccuracyAndF1, TaskScores::Classification(scores)) => {
            vec![("accuracy", scores.accuracy), ("f1", scores.f1)]
        }
        (TaskMetric::PearsonAndSpearman, TaskScores::Regression(scores)) => {
            vec![("pearson", scores.pearson?), ("spearman", scores.spearman?)]
        }
        (TaskMetric::EntityF1, TaskScores::Words(scores)) => {
            vec![("entity_f1", scores.entities.as_ref()?.f1)]
        }
        // What stands for SQuAD is F1 alone; exact match stands beside it.
        (TaskMetric::SquadV1 | TaskMetric::SquadV2, TaskScores::Spans(scores)) => {
            let all = scores.squad.all;
            return Some(GlueScore {
                parts: vec![("exact".to_owned(), all.exact), ("f1".to_owned(), all.f1)],
                score: all.f1,
            });
        }
        _ => return None,
    };
    Some(GlueScore {
        score: parts.iter().map(|(_, value)| value).sum::<f64>() / parts.len() as f64,
        parts: parts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    })
}

/// The metric of every method on a split, in one line; none where there is none.
pub fn official_line(metric: TaskMetric, split: &str, methods: &[ScoredMethod]) -> Option<String> {
    // A temperature changes no prediction.
    let of_method = |method: &ScoredMethod| {
        let score = official(metric, method)?;
        let parts: Vec<String> = score
            .parts
            .iter()
            .map(|(name, value)| format!("{} {value:.4}", name.replace('_', " ")))
            .collect();
        let mean = match score.parts.len() {
            1 => String::new(),
            _ if matches!(metric, TaskMetric::SquadV1 | TaskMetric::SquadV2) => String::new(),
            _ => format!(", their mean {:.4}", score.score),
        };
        Some(format!("{} {}{mean}", method.name(), parts.join(", ")))
    };
    let methods: Vec<String> = methods
        .iter()
        .filter(|method| !method.is_scaled)
        .filter_map(of_method)
        .collect();
    (!methods.is_empty()).then(|| {
        format!(
            "Official metric ({}) of the {split} rows: {}.",
            metric.words(),
            methods.join("; ")
        )
    })
}
