//! Training, validation and test rows: from three files, split from one, or of a benchmark.

pub mod benchmark;
pub mod encoded;
pub mod kind;
pub mod row_checks;

use std::path::Path;

use lora_data::tasks::{Benchmark, Rows};
use lora_data::{
    Column, DataError, Dataset, LabelRule, ReadFile, ReadOptions, ResolvedColumn, ResolvedColumns, RowText,
    Task, read_file, training_split,
};

use self::row_checks::RowChecks;
use crate::config::{ProblemType, Resolved, RunConfig};
use crate::data::benchmark::{Shares, SplitFiles, read_files, read_folder};
use crate::error::{Context, Result};
use crate::progress::Progress;

/// The rows of a run.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Rows to train on.
    pub train: Rows,
    /// Rows that pick the best model, the temperature and thresholds.
    pub validation: Option<Rows>,
    /// Rows that are scored once.
    pub test: Option<Rows>,
    /// What the columns are called, so that other files can be read like these.
    pub columns: ColumnNames,
    /// The benchmark whose form they have; none for texts in files.
    pub benchmark: Option<&'static Benchmark>,
    /// What makes scores of the parts misleading.
    pub checks: RowChecks,
}

/// Columns as a user names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnNames {
    /// Of the text.
    pub text: Column,
    /// Of the second text.
    pub text_pair: Option<Column>,
    /// Of the label.
    pub label: Column,
}

/// Reads and splits, and says what was made of the files.
///
/// # Errors
///
/// The first thing that is wrong in a file, or too few rows to split.
pub fn read_parts(resolved: &Resolved, progress: &dyn Progress) -> Result<Parts> {
    match resolved.config.benchmark()? {
        Some(benchmark) => read_benchmark(resolved, benchmark, progress),
        None => read_texts(resolved, progress),
    }
}

/// The parts of a benchmark, from its folder or from files of its form.
///
/// # Errors
///
/// As [`read_parts`].
pub fn read_benchmark(
    resolved: &Resolved,
    benchmark: &'static Benchmark,
    progress: &dyn Progress,
) -> Result<Parts> {
    let config = &resolved.config;
    let shares = Shares {
        validation: config.validation_fraction,
        test: if config.data_file.is_some() {
            config.test_fraction
        } else {
            0.0
        },
        seed: config.train.seed,
    };
    let (key, read) = match (
        &config.data_dir,
        config.data_file.as_ref().or(config.train_file.as_ref()),
    ) {
        (Some(folder), _) => ("data_dir", read_folder(benchmark, folder, shares)),
        (None, Some(train)) => {
            let files = SplitFiles {
                train,
                validation: config.validation_file.as_deref(),
                test: config.test_file.as_deref(),
            };
            ("train_file", read_files(benchmark, files, shares))
        }
        (None, None) => crate::bail!("missing: task_name and data_dir (or train_file)"),
    };
    let parts = read.with_context(|| {
        resolved
            .origins
            .of(key)
            .unwrap_or_else(|| benchmark.name.to_owned())
    })?;
    for note in &parts.notes {
        progress.note(note);
    }
    if let Rows::Texts(dataset) = &parts.train {
        progress.note(&format!("{}{}", benchmark.name, in_words(&dataset.task)));
    }
    let checks = RowChecks::of(
        &parts.train,
        parts.validation.as_ref(),
        parts.test.as_ref(),
        parts.split_off,
    );
    note_checks(&checks, progress);
    let (text, text_pair, label) = benchmark.column_names();
    Ok(Parts {
        train: parts.train,
        validation: parts.validation,
        test: parts.test,
        columns: ColumnNames {
            text: text.into(),
            text_pair: text_pair.map(Column::from),
            label: label.into(),
        },
        benchmark: Some(benchmark),
        checks,
    })
}

fn note_checks(checks: &RowChecks, progress: &dyn Progress) {
    checks
        .sentences()
        .iter()
        .for_each(|sentence| progress.note(sentence));
}

fn read_texts(resolved: &Resolved, progress: &dyn Progress) -> Result<Parts> {
    let config = &resolved.config;
    let (key, path) = match (&config.data_file, &config.train_file) {
        (Some(path), _) => ("data_file", path),
        (None, Some(path)) => ("train_file", path),
        (None, None) => crate::bail!("missing: train_file (or data_file)"),
    };
    let first = read_first(config, path)
        .with_context(|| resolved.origins.of(key).unwrap_or_else(|| key.to_owned()))?;
    progress.note(&format!(
        "{}: {} rows, {}{}",
        path.display(),
        first.dataset.len(),
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
    let further = |key: &str, path: &Option<std::path::PathBuf>| -> Result<Option<Dataset>> {
        let Some(path) = path else { return Ok(None) };
        let read = read_further(config, path, &first.dataset.task);
        let read = read.with_context(|| resolved.origins.of(key).unwrap_or_else(|| key.to_owned()))?;
        progress.note(&format!("{}: {} rows", path.display(), read.dataset.len()));
        Ok(Some(read.dataset))
    };
    let validation = further("validation_file", &config.validation_file)?;
    let test = further("test_file", &config.test_file)?;
    let split_off = [validation.is_none(), config.data_file.is_some()];
    let columns = column_names(config, &first.columns);
    let share = |wanted: bool, fraction: f64| if wanted { fraction } else { 0.0 };
    let shares = Shares {
        validation: share(split_off[0], config.validation_fraction),
        test: share(split_off[1], config.test_fraction),
        seed: config.train.seed,
    };
    let (train, split_validation, split_test) = split(first.dataset, shares, progress)?;
    let train = Rows::Texts(train);
    let validation = validation.or(split_validation).map(Rows::Texts);
    let test = test.or(split_test).map(Rows::Texts);
    let checks = RowChecks::of(&train, validation.as_ref(), test.as_ref(), split_off);
    note_checks(&checks, progress);
    Ok(Parts {
        train,
        validation,
        test,
        columns,
        benchmark: None,
        checks,
    })
}

/// How to have labels taken for something else.
fn instead(problem_type: ProblemType) -> String {
    format!(
        "problem_type {name} (--problem-type {name}) takes them otherwise",
        name = problem_type.name()
    )
}

/// What the user gave is kept: an index stays an index.
fn column_names(config: &RunConfig, found: &ResolvedColumns) -> ColumnNames {
    let column = |given: &Option<Column>, found: &ResolvedColumn| {
        given.clone().unwrap_or(Column::Name(found.name.clone()))
    };
    let label = found.label.as_ref();
    ColumnNames {
        text: column(&config.text_column, &found.text),
        text_pair: found
            .text_pair
            .as_ref()
            .map(|found| column(&config.text_pair_column, found)),
        label: label.map_or("label".into(), |found| column(&config.label_column, found)),
    }
}

fn options(config: &RunConfig, labels: LabelRule) -> ReadOptions {
    ReadOptions {
        format: config.data_format,
        columns: config.columns(),
        header: config.header,
        labels,
        ..ReadOptions::default()
    }
}

/// The file that says what the labels are. Decimal labels that are no whole numbers mean a regression, unless the user said otherwise.
fn read_first(config: &RunConfig, path: &Path) -> Result<ReadFile> {
    match config.problem_type {
        Some(ProblemType::Regression) => Ok(read_file(path, &options(config, LabelRule::Numbers))?),
        Some(ProblemType::SingleLabelClassification) => {
            Ok(read_file(path, &options(config, LabelRule::Classes))?)
        }
        Some(ProblemType::MultiLabelClassification) => {
            let columns = config.label_columns.clone();
            let rule = LabelRule::Sets { known: None, columns };
            Ok(read_file(path, &options(config, rule))?)
        }
        _ => match read_file(path, &options(config, LabelRule::FromData)) {
            Err(DataError::DecimalLabel { .. }) => Ok(read_file(path, &options(config, LabelRule::Numbers))?),
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
fn check_classes(config: &RunConfig, path: &Path, read: &ReadFile) -> Result<()> {
    let Some(labels) = read.dataset.task.labels() else {
        return Ok(());
    };
    let (names, rows) = (labels.names(), read.dataset.len());
    let is_decimal = |name: &&String| name.parse::<i64>().is_err() && name.parse::<f64>().is_ok();
    if 2 * names.iter().filter(is_decimal).count() > names.len() {
        // Read as numbers, the first one that is none is named with its line.
        read_file(path, &options(config, LabelRule::Numbers)).context("most labels are decimal numbers")?;
    }
    if names.len() > FEW_CLASSES && 2 * names.len() > rows {
        let column = read
            .columns
            .label
            .as_ref()
            .map_or("label", |column| column.name.as_str());
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

fn read_further(config: &RunConfig, path: &Path, task: &Task) -> Result<ReadFile> {
    let labels = LabelRule::of(task, &config.label_columns);
    Ok(read_file(path, &options(config, labels))?)
}

fn in_words(task: &Task) -> String {
    match task.labels() {
        None => ", regression".to_owned(),
        Some(labels) if labels.len() <= 8 => format!(", classes {}", labels.names().join(", ")),
        Some(labels) => format!(", {} classes", labels.len()),
    }
}

pub(crate) type Split = (Dataset, Option<Dataset>, Option<Dataset>);

/// Training, validation and test rows, classes in proportion.
pub(crate) fn split(whole: Dataset, shares: Shares, progress: &dyn Progress) -> Result<Split> {
    let share = |fraction: f64| {
        if fraction > 0.0 {
            whole_rows(fraction * whole.len() as f64)
        } else {
            0
        }
    };
    let (validation, test) = (share(shares.validation), share(shares.test));
    if validation + test == 0 {
        return Ok((whole, None, None));
    }
    let rows = whole.len();
    let train = rows.checked_sub(validation + test).filter(|train| *train > 0).with_context(|| {
        format!(
            "{rows} rows cannot be split into training, validation and test rows; give more rows, or a validation_file, or \
             set validation_fraction to 0"
        )
    })?;
    let seed = shares.seed;
    let texts = RowText::of_dataset(&whole);
    let parts = training_split(
        &whole.strata(),
        &RowText::groups(&texts),
        &[train, validation, test],
        0,
        seed,
    )?;
    let [train, validation, test] = [0, 1, 2].map(|part: usize| parts[part].len());
    progress.note(&format!("split with seed {seed}, classes in proportion: {train} training, {validation} validation, {test} test rows"));
    let part = |index: usize| {
        Some(&parts[index])
            .filter(|rows| !rows.is_empty())
            .map(|rows| whole.select(rows))
    };
    Ok((whole.select(&parts[0]), part(1), part(2)))
}

/// A share of rows: rounded, and at least one.
#[expect(clippy::cast_sign_loss, reason = "fractions and counts are not negative")]
pub(crate) fn whole_rows(rows: f64) -> usize {
    (rows.round() as usize).max(1)
}
