//! MMLU: 57 subjects, four choices (Hendrycks et al. 2021).
//!
//! Distributed as one CSV without a header for each subject and split, `test/anatomy_test.csv`; the hub has all subjects in one table.
//! The split `dev` holds five questions a subject, to be shown before the test question.

use std::path::{Path, PathBuf};

use super::choices::{self, ChoiceQuestion};
use super::{Benchmark, Form, Split, TaskMetric, locate, split};
use crate::error::DataError;

pub(super) static MMLU: Benchmark = Benchmark {
    name: "mmlu",
    title: "MMLU: exam questions of 57 subjects",
    metric: TaskMetric::Accuracy,
    hub: Some(("cais/mmlu", "all")),
    license: "MIT",
    folders: &["mmlu", "MMLU"],
    splits: &[
        split("dev", 285, &[]),
        split("validation", 1_531, &[]),
        split("test", 14_042, &[]),
    ],
    form: Form::Mmlu,
};

/// What ends the names of a split's files.
fn ending(split: &Split) -> String {
    let short = if split.name == "validation" {
        "val"
    } else {
        split.name
    };
    format!("_{short}.csv")
}

/// The CSV files of all subjects in the order of their names, or the shards of the hub.
pub(super) fn locate(task: &Benchmark, at: &Path, split: &'static Split) -> Result<Vec<PathBuf>, DataError> {
    if at.is_file() {
        return Ok(vec![at.to_path_buf()]);
    }
    let ending = ending(split);
    let folder = &ending[1..ending.len() - 4];
    for place in locate::places(task, at)? {
        for folder in [place.clone(), place.join(folder)] {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let of_split = |path: &PathBuf| path.to_string_lossy().ends_with(&ending);
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(of_split).collect();
            files.sort();
            let shards = locate::shards(&folder, split.name);
            if let Some(found) = [files, shards].into_iter().find(|files| !files.is_empty()) {
                return Ok(found);
            }
        }
    }
    let expected = vec![
        format!("{folder}/anatomy{ending} and so on"),
        format!("{}-00000-of-00001.parquet", split.name),
    ];
    Err(locate::missing(task, at, split, expected).into())
}

/// The questions of all files; the subject of a CSV is in its name.
pub(super) fn read(files: &[PathBuf], split: &Split) -> Result<(Vec<ChoiceQuestion>, usize), DataError> {
    let (mut questions, mut left_out) = (Vec::new(), 0);
    for file in files {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let (of_file, lost) = choices::read(
            std::slice::from_ref(file),
            name.strip_suffix(&ending(split)),
            false,
        )?;
        questions.extend(of_file);
        left_out += lost;
    }
    Ok((questions, left_out))
}
