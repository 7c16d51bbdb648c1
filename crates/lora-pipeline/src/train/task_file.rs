//! `task.json` of a training, before anything was fitted.

use lora_data::Task;
use lora_data::tasks::Benchmark;

use crate::config::RunConfig;
use crate::data::ColumnNames;
use crate::saved::task_file::{FittedValues, TaskFile, id2label};

pub(super) fn task_file(
    config: &RunConfig,
    columns: &ColumnNames,
    benchmark: Option<&Benchmark>,
    task: &Task,
) -> TaskFile {
    let of_answers = |value: usize| matches!(task, Task::QuestionAnswering { .. }).then_some(value);
    TaskFile {
        format: 1,
        problem_type: task.problem_type(),
        id2label: task.labels().map(id2label),
        max_seq_length: config.max_seq_length,
        header: config.data.header,
        text_column: columns.text.clone(),
        text_pair_column: columns.text_pair.clone(),
        label_column: columns.label.clone(),
        label_columns: config.data.label_columns.clone(),
        base_model: config.model_name_or_path.clone(),
        revision: config.revision.clone(),
        task_name: benchmark.map(|benchmark| benchmark.name.to_owned()),
        doc_stride: of_answers(config.window_overlap()),
        max_answer_length: of_answers(config.max_answer_length),
        temperature: FittedValues::default(),
        no_answer_threshold: FittedValues::default(),
        ensemble: config.ensemble().filter(|_| *task != Task::Completion),
        inference: None,
    }
}
