//! `task.json` of a training, before anything was fitted.

use lora_data::Task;
use lora_data::tasks::Benchmark;

use crate::base::BaseModel;
use crate::config::RunConfig;
use crate::data::ColumnNames;
use crate::saved::task_file::TaskFile;

pub(super) fn task_file(
    config: &RunConfig,
    columns: &ColumnNames,
    benchmark: Option<&Benchmark>,
    task: &Task,
) -> TaskFile {
    let of_answers = |value: usize| matches!(task, Task::QuestionAnswering { .. }).then_some(value);
    TaskFile {
        header: config.data.header,
        text_column: columns.text.clone(),
        text_pair_column: columns.text_pair.clone(),
        label_column: columns.label.clone(),
        label_columns: config.data.label_columns.clone(),
        task_name: benchmark.map(|benchmark| benchmark.name.to_owned()),
        doc_stride: of_answers(config.window_overlap()),
        max_answer_length: of_answers(config.max_answer_length),
        ensemble: config.ensemble().filter(|_| *task != Task::Completion),
        ..TaskFile::new(task, &BaseModel::of(config), config.max_seq_length)
    }
}
