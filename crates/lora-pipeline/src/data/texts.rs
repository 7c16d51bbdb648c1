//! Texts with a class, labels or a number, from files of the user's.

use std::path::Path;

use lora_data::tasks::Rows;
use lora_data::{
    DataError, Dataset, JoinedLabels, LabelNames, LabelRule, ProblemType, ReadFile, Task, read_file,
};

use super::split::SplitRows;
use super::{ColumnNames, RowSource};
use crate::config::DataConfig;
use crate::counted::counted;
use crate::error::{Context, Result};
use crate::progress::Progress;

/// Reads and splits.
pub(super) fn read(source: &RowSource<'_>, progress: &dyn Progress) -> Result<(SplitRows, ColumnNames)> {
    let config = source.data;
    let (key, path) = source.train_file()?;
    let first = read_first(config, path).with_context(|| source.place(key))?;
    progress.note(&format!(
        "{}: {}, {}{}",
        path.display(),
        counted(first.dataset.len(), "row"),
        first.columns,
        in_words(&first.dataset.task)
    ));
    if let Some(label) = &first.decimal_label {
        progress.note(&format!(
            "labels such as `{label}` are taken for classes; {}",
            instead(ProblemType::Regression)
        ));
    } else if first.dataset.task == Task::Regression && config.problem_type.is_none() {
        progress.note(&format!(
            "labels are decimal numbers, so this is a regression; {}",
            instead(ProblemType::SingleLabelClassification)
        ));
    }
    if let Some(joined) = &first.joined_labels {
        progress.note(&joined_in_words(joined, &first.dataset.task));
    }
    let further = |key: &str, path: &Option<std::path::PathBuf>| -> Result<Option<Dataset>> {
        let Some(path) = path else { return Ok(None) };
        let labels = LabelRule::of(&first.dataset.task, &config.label_columns);
        let read = read_file(path, &config.read_options(labels)).with_context(|| source.place(key))?;
        progress.note(&format!(
            "{}: {}",
            path.display(),
            counted(read.dataset.len(), "row")
        ));
        if let Some(label) = &read.index_label {
            progress.note(&indices_in_words(label, &read.dataset.task));
        }
        Ok(Some(read.dataset))
    };
    let validation = further("validation_file", &config.validation_file)?;
    let test = further("test_file", &config.test_file)?;
    let found = &first.columns;
    let columns = source.column_names(&found.text, found.text_pair.as_ref(), found.label.as_ref());
    let rows = SplitRows::new(
        Rows::Texts(first.dataset),
        validation.map(Rows::Texts),
        test.map(Rows::Texts),
    );
    Ok((
        rows.complete(source.shares(ProblemType::SingleLabelClassification))?,
        columns,
    ))
}

/// What was made of labels such as `a;b`, and how to have it otherwise.
pub fn joined_in_words(joined: &JoinedLabels, task: &Task) -> String {
    let JoinedLabels {
        separator,
        example,
        rows,
    } = joined;
    let rows = counted(*rows, "row");
    if matches!(task, Task::MultiLabel { .. }) {
        return format!(
            "labels such as `{example}` ({rows}) are read as several labels joined by `{separator}`; a list, such as [\"{example}\"], keeps \
             one whole"
        );
    }
    let multi_label = ProblemType::MultiLabelClassification.name();
    format!(
        "labels such as `{example}` ({rows}) look like several labels joined by `{separator}`, but each such combination is learned \
         as a class of its own; problem_type {multi_label} (--problem-type {multi_label}) reads them apart"
    )
}

/// Which class is which where labels such as `label` are taken for their indices.
pub fn indices_in_words(label: &str, task: &Task) -> String {
    let names = task.labels().map_or(&[][..], LabelNames::names);
    let mut shown: Vec<String> = (names.iter().enumerate())
        .take(FEW_CLASSES)
        .map(|(index, name)| format!("{index} is `{name}`"))
        .collect();
    if names.len() > shown.len() {
        shown.push("…".to_owned());
    }
    format!(
        "labels such as `{label}` are taken for the indices of the classes: {}; if they are numbered otherwise, write their names",
        shown.join(", ")
    )
}

/// How to have labels taken for something else.
fn instead(problem_type: ProblemType) -> String {
    format!(
        "problem_type {name} (--problem-type {name}) takes them otherwise",
        name = problem_type.name()
    )
}

/// The file that says what the labels are. Decimal labels that are no whole numbers mean a regression, unless the user said otherwise.
fn read_first(config: &DataConfig, path: &Path) -> Result<ReadFile> {
    match config.problem_type {
        Some(ProblemType::Regression) => Ok(read_file(path, &config.read_options(LabelRule::Values))?),
        Some(ProblemType::SingleLabelClassification) => {
            Ok(read_file(path, &config.read_options(LabelRule::Classes))?)
        }
        Some(ProblemType::MultiLabelClassification) => {
            let columns = config.label_columns.clone();
            let rule = LabelRule::Sets { known: None, columns };
            Ok(read_file(path, &config.read_options(rule))?)
        }
        _ => match read_file(path, &config.read_options(LabelRule::FromData)) {
            Err(DataError::DecimalLabel { .. }) => {
                Ok(read_file(path, &config.read_options(LabelRule::Values))?)
            }
            outcome => {
                let read = outcome?;
                check_classes(config, path, &read)?;
                Ok(read)
            }
        },
    }
}

/// More classes than this need a second look.
const FEW_CLASSES: usize = 10;

/// Refuses classes that are most likely none: decimal numbers with a slip among them, or a label of its own for nearly every
/// row, such as an identifier.
fn check_classes(config: &DataConfig, path: &Path, read: &ReadFile) -> Result<()> {
    let Some(labels) = read.dataset.task.labels() else {
        return Ok(());
    };
    let (names, rows) = (labels.names(), read.dataset.len());
    let is_decimal = |name: &&String| name.parse::<i64>().is_err() && name.parse::<f64>().is_ok();
    if 2 * names.iter().filter(is_decimal).count() > names.len() {
        // Read as numbers, the first one that is none is named with its line.
        read_file(path, &config.read_options(LabelRule::Values))
            .context("most labels are decimal numbers")?;
    }
    if names.len() > FEW_CLASSES && 2 * names.len() > rows {
        let column = read
            .columns
            .label
            .as_ref()
            .map_or("label", |column| column.name.as_str());
        if let Some(joined) = &read.joined_labels {
            crate::bail!(
                "`{}`: `{column}` has {} different labels in {rows} rows, and a class is learned from many; {}",
                path.display(),
                names.len(),
                joined_in_words(joined, &read.dataset.task)
            );
        }
        crate::bail!(
            "`{}`: `{column}` has {} different labels in {rows} rows, and a class is learned from many; name the right column \
             with label_column, or say what the labels are with problem_type (regression, or single_label_classification to \
             go on)",
            path.display(),
            names.len(),
        );
    }
    Ok(())
}

/// At most so many classes are listed by name.
const LISTED: usize = 20;

/// The labels of a task, to stand behind a file's columns.
pub(super) fn in_words(task: &Task) -> String {
    match task.labels() {
        None => ", regression".to_owned(),
        Some(labels) if labels.len() <= LISTED => {
            format!(", {} classes: {}", labels.len(), labels.names().join(", "))
        }
        Some(labels) => format!(", {} classes", labels.len()),
    }
}
