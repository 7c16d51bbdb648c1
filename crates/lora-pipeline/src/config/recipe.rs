//! The settings of `lora train --data FILE`: LoRA Dropout on a text classifier or a regression, for files of hundreds to thousands of rows.

use std::path::Path;

use lora_data::{ProblemType, tasks};
use serde_json::{Map, Value, json};

use crate::base::checkpoint::EMBEDDED_MODEL;

/// Where the rows come from, in the order in which the output folder is named after them.
const ROWS: [&str; 4] = ["data_file", "train_file", "task_name", "data_dir"];

/// Whether values name rows, and not all of how to train on them: learning rate, length and batch size. Answers, words, choices and texts
/// need settings of their own.
pub(super) fn is_meant(values: &Map<String, Value>) -> bool {
    let named = values.get("problem_type").cloned().map(serde_json::from_value);
    let benchmark = values.get("task_name").and_then(Value::as_str).map(tasks::find);
    let problem_type = named
        .and_then(Result::ok)
        .or_else(|| Some(benchmark?.ok()?.problem_type()));
    let is_classified = problem_type.is_none_or(|kind| {
        use ProblemType::{MultiLabelClassification, Regression, SingleLabelClassification};
        matches!(
            kind,
            SingleLabelClassification | MultiLabelClassification | Regression
        )
    });
    let has = |key: &str| values.contains_key(key);
    let is_whole = has("learning_rate")
        && (has("num_train_epochs") || has("max_steps"))
        && has("per_device_train_batch_size");
    is_classified && ROWS.into_iter().any(has) && !is_whole
}

/// Adds what is not given. The output folder is named after the rows.
pub(super) fn fill(values: &mut Map<String, Value>) {
    let rows = ROWS.iter().find_map(|key| values.get(*key)?.as_str());
    let name = rows.map(Path::new).and_then(Path::file_stem);
    let output = Path::new("runs").join(name.unwrap_or("train".as_ref()));
    // Beside each value the keys in whose presence it would contradict or mean nothing.
    let recipe: [(&str, Value, &[&str]); 12] = [
        ("model_name_or_path", json!(EMBEDDED_MODEL), &[]),
        ("output_dir", json!(output), &[]),
        ("r", json!(8), &[]),
        ("lora_alpha", json!(16), &[]),
        ("mask_probability", json!(0.5), &["tuning", "blob"]),
        ("mask_rescale", json!("rescaled"), &["tuning", "blob"]),
        ("mask_grouping", json!("example"), &["tuning", "blob"]),
        ("learning_rate", json!(3e-3), &[]),
        // Early stopping ends it in time.
        ("num_train_epochs", json!(20), &["max_steps"]),
        ("early_stopping_patience", json!(3), &["eval_strategy"]),
        ("per_device_train_batch_size", json!(16), &[]),
        ("warmup_ratio", json!(0.06), &["warmup_steps"]),
    ];
    for (key, value, others) in recipe {
        if !values.contains_key(key) && !others.iter().any(|other| values.contains_key(*other)) {
            values.insert(key.to_owned(), value);
        }
    }
}
