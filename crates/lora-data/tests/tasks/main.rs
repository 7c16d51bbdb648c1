//! Benchmark tasks: every form in which they come, on rows of our own; the mistakes files hold; the real sets where they are there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod bad_rows;
mod book;
mod encodings;
mod forms;
#[cfg(feature = "parquet")]
mod parquet;
mod prompts;
mod real_sets;
mod windows;
mod words;

use std::path::Path;

use lora_data::tasks::{ReadSplit, find};
use lora_data::{DataError, Dataset, Target};

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

/// A split of a task out of a folder with these files.
fn read_from(task: &str, split: &str, files: &[(&str, &[u8])]) -> Result<ReadSplit, DataError> {
    let folder = folder(files);
    find(task).unwrap().read(folder.path(), split)
}

fn read(task: &str, split: &str, name: &str, content: &str) -> Result<ReadSplit, DataError> {
    read_from(task, split, &[(name, content.as_bytes())])
}

fn read_path(task: &str, split: &str, path: &Path) -> ReadSplit {
    find(task)
        .unwrap()
        .read(path, split)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The names of the classes of all rows; `-` where there is none.
fn classes(dataset: &Dataset) -> Vec<&str> {
    let labels = dataset.task.labels().unwrap();
    let name = |target: &Option<Target>| match target {
        Some(Target::Class(class)) => labels.name(*class),
        _ => "-",
    };
    dataset
        .examples
        .iter()
        .map(|example| name(&example.target))
        .collect()
}
