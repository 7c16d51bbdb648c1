//! From a folder to the files of a split.

use std::path::{Path, PathBuf};

use super::{Benchmark, Split};
use crate::error::{DataError, TaskError};
use crate::task::ProblemType;

const ENDINGS: [&str; 5] = ["tsv", "csv", "jsonl", "json", "parquet"];
/// Of words in columns, before the others.
const COLUMN_ENDINGS: [&str; 4] = ["conll", "txt", "iob2", "iob"];

/// The files of a split below `at`, or `at` itself if it is a file.
pub(super) fn files(task: &Benchmark, at: &Path, split: &'static Split) -> Result<Vec<PathBuf>, DataError> {
    if at.is_file() {
        return Ok(vec![at.to_path_buf()]);
    }
    let places = places(task, at)?;
    let found = |alternative: &[&str]| {
        places.iter().find_map(|place| {
            let files: Vec<PathBuf> = alternative.iter().map(|file| place.join(file)).collect();
            files.iter().all(|file| file.is_file()).then_some(files)
        })
    };
    if let Some(files) = split.files.iter().find_map(|alternative| found(alternative)) {
        return Ok(files);
    }
    let mut plain: Vec<String> = Vec::new();
    let of_columns = if task.problem_type() == ProblemType::TokenClassification {
        &COLUMN_ENDINGS[..]
    } else {
        &[]
    };
    for name in names(split.name) {
        plain.extend(of_columns.iter().map(|ending| format!("{name}.{ending}")));
        plain.extend(ENDINGS.iter().map(|ending| format!("{name}.{ending}")));
    }
    if let Some(files) = plain.iter().find_map(|file| found(&[file.as_str()])) {
        return Ok(files);
    }
    for name in names(split.name) {
        let shards = places
            .iter()
            .map(|place| shards(place, name))
            .find(|shards| !shards.is_empty());
        if let Some(shards) = shards {
            return Ok(shards);
        }
    }
    let distributed = split.files.iter().map(|alternative| alternative.join(" and "));
    let expected = distributed.chain(plain.into_iter().take(of_columns.len() + ENDINGS.len()));
    Err(missing(task, at, split, expected.collect()).into())
}

/// The folder and those in it that the set is known to lie in.
pub(super) fn places(task: &Benchmark, at: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !at.is_dir() {
        return Err(DataError::Missing {
            file: at.to_path_buf(),
        });
    }
    // The hub keeps Parquet files in a folder of the configuration's name, or in `data`.
    let config = task.hub.map(|(_, config)| config);
    let below = task.folders.iter().copied().chain(config).chain(["data"]);
    let places = std::iter::once(at.to_path_buf()).chain(below.map(|folder| at.join(folder)));
    Ok(places.filter(|place| place.is_dir()).collect())
}

pub(super) fn missing(
    task: &Benchmark,
    at: &Path,
    split: &'static Split,
    expected: Vec<String>,
) -> TaskError {
    TaskError::NoSplitFile {
        folder: at.to_path_buf(),
        task: task.name,
        split: split.name,
        expected,
    }
}

/// `train-00000-of-00002.parquet` and its kin, in order.
pub(super) fn shards(place: &Path, split: &str) -> Vec<PathBuf> {
    let is_shard = |path: &PathBuf| {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let number = name
            .strip_suffix(".parquet")
            .and_then(|name| name.strip_prefix(split)?.strip_prefix('-').map(str::to_owned));
        number.is_some_and(|number| {
            number.split_once("-of-").is_some_and(|(this, all)| {
                [this, all]
                    .iter()
                    .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
            })
        })
    };
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let mut shards: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_shard).collect();
    shards.sort();
    shards
}

/// A split's name, and what else its file may be called. Where one file holds both, out-of-scope queries stand with the others.
fn names(split: &str) -> Vec<&str> {
    match split {
        "validation" => vec!["validation", "dev", "val", "valid"],
        other => std::iter::once(other).chain(other.strip_prefix("oos_")).collect(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::tasks::find;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(task: &str, split: &str, holds: &[&str]) -> Vec<String> {
        let folder = folder(holds);
        let task = find(task).unwrap();
        let files = files(task, folder.path(), task.split(split).unwrap()).unwrap();
        let below = |file: &PathBuf| {
            file.strip_prefix(folder.path())
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/")
        };
        files.iter().map(below).collect()
    }

    #[test]
    fn a_split_is_found_in_every_form_in_which_sets_come() {
        assert_eq!(found("cola", "train", &["train.tsv", "dev.tsv"]), ["train.tsv"]);
        assert_eq!(
            found("cola", "dev", &["CoLA/train.tsv", "CoLA/dev.tsv"]),
            ["CoLA/dev.tsv"]
        );
        let public = [
            "in_domain_train.tsv",
            "in_domain_dev.tsv",
            "out_of_domain_dev.tsv",
        ];
        assert_eq!(found("cola", "validation", &public), public[1..]);
        let hub = [
            "cola/train-00001-of-00002.parquet",
            "cola/train-00000-of-00002.parquet",
            "cola/train-x.parquet",
        ];
        assert_eq!(found("cola", "train", &hub), [hub[1], hub[0]]);
        assert_eq!(found("choices", "validation", &["val.jsonl"]), ["val.jsonl"]);
        let hub = ["plus/test-00000-of-00001.parquet"];
        assert_eq!(found("clinc150", "oos_test", &hub), hub);
    }

    #[test]
    fn what_is_missing_is_named_with_what_was_looked_for() {
        let folder = folder(&["readme.txt"]);
        let task = find("cola").unwrap();
        let error = task.read(folder.path(), "train").unwrap_err().to_string();
        assert!(
            error.contains("`train.tsv`") && error.contains("`in_domain_train.tsv`"),
            "{error}"
        );
        let error = task.read(folder.path().join("nowhere"), "train").unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }));
        let error = task.read(folder.path(), "trian").unwrap_err().to_string();
        assert!(error.contains("did you mean `train`?"), "{error}");
    }
}
