//! `task.json` of a training, before anything was fitted.

use lora_data::tasks::Benchmark;

use crate::config::{ProblemType, RunConfig};
use crate::data::ColumnNames;
use crate::data::kind::Kind;
use crate::saved::task_file::{TaskFile, Temperatures, Thresholds, id2label};

/// `kind`: none for completions, which have no classes and no ensemble.
pub(super) fn task_file(
    config: &RunConfig,
    columns: &ColumnNames,
    benchmark: Option<&Benchmark>,
    kind: Option<&Kind>,
) -> TaskFile {
    let of_answers = |value: usize| matches!(kind, Some(Kind::Spans(_))).then_some(value);
    TaskFile {
        format: 1,
        problem_type: kind.map_or(ProblemType::CausalLm, Kind::problem_type),
        id2label: kind.and_then(Kind::labels).map(id2label),
        max_seq_length: config.max_seq_length,
        header: config.header,
        text_column: columns.text.clone(),
        text_pair_column: columns.text_pair.clone(),
        label_column: columns.label.clone(),
        label_columns: config.label_columns.clone(),
        base_model: config.model_name_or_path.clone(),
        revision: config.revision.clone(),
        task_name: benchmark.map(|benchmark| benchmark.name.to_owned()),
        doc_stride: of_answers(config.window_overlap()),
        max_answer_length: of_answers(config.max_answer_length),
        temperature: Temperatures::default(),
        no_answer_threshold: Thresholds::default(),
        ensemble: kind.and_then(|_| config.ensemble()),
    }
}
