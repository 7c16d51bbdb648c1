//! Loading the tasks of a sweep: benchmarks by name, the embedded snippets, files of the user's. Nothing else in a sweep knows
//! where rows come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lora_data::tasks::{Benchmark, PromptStyle, Rows, find, of_own_files, prompts};
use lora_data::{
    DataError, LabelRule, ProblemType, Target, Targets, Task, TaskError, read_file, read_snippets,
    snippet_dataset,
};
use lora_eval::glue::GlueMetric;
use lora_pipeline::bail;
use lora_pipeline::config::keys::Key;
use lora_pipeline::config::{DataConfig, Origins, resolve_data};
use lora_pipeline::data::benchmark::glue_metric;
use lora_pipeline::data::{RowSource, RunRows};
use lora_pipeline::error::{Context, Error, Result};
use lora_pipeline::progress::Silent;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::file::{OtherBenchmark, ShiftedEntry, TaskEntry};

const MOVIES: &str = include_str!("../../snippets/movies.tsv");
const TWEETS: &str = include_str!("../../snippets/tweets.tsv");
/// The embedded task.
const SNIPPETS: &str = "snippets";
/// What splits test rows off one file of the user's: the same rows for every seed.
const TEST_SEED: u64 = 0;
/// The split that is trained on, unless the task names another one.
const TRAIN: &str = "train";
/// What is said of rows of other kinds.
const NO_OTHER_ROWS: &str = "a sweep runs texts with a class or a number, and questions with choices";
/// Keys of `lora train` that may stand in `data`.
const DATA_KEYS: [&str; 11] = [
    "train_file",
    "validation_file",
    "test_file",
    "data_file",
    "data_format",
    "header",
    "test_fraction",
    "text_column",
    "text_pair_column",
    "label_column",
    "problem_type",
];

/// A task, read: texts with a class or a number, or questions with choices.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is predicted of its rows.
    pub kind: Task,
    /// What training rows, and validation rows unless there are any, are drawn from.
    pub pool: Rows,
    /// Validation rows with a file of their own.
    pub validation: Option<Rows>,
    /// What is tested on.
    pub test: Rows,
    /// Rows of another kind, with the same labels or without.
    pub shifted: Option<Rows>,
    /// What the task is scored by.
    pub metric: GlueMetric,
}

impl Loaded {
    /// The number by which these rows are known: another one for other rows, the same wherever the files lie.
    ///
    /// # Errors
    ///
    /// Never for the kinds of rows that a sweep takes.
    pub fn fingerprint(&self) -> Result<u64> {
        let mut hasher = Xxh3::new();
        let splits = [
            Some(&self.pool),
            self.validation.as_ref(),
            Some(&self.test),
            self.shifted.as_ref(),
        ];
        for split in splits {
            hasher.update(&(split.map_or(0, Rows::len) as u64).to_le_bytes());
            match (split, &self.kind) {
                (None, _) => {}
                (Some(Rows::Texts(dataset)), _) => {
                    for example in &dataset.examples {
                        hash_texts(
                            &mut hasher,
                            &[&example.text, example.text_pair.as_deref().unwrap_or_default()],
                        );
                        hasher.update(&match &example.target {
                            // Sets of labels are refused when rows are loaded.
                            None | Some(Target::Labels(_)) => [0; 8],
                            Some(Target::Class(class)) => number_of_class(Some(*class)),
                            Some(Target::Value(value)) => f64::from(*value).to_le_bytes(),
                        });
                    }
                }
                // As they are put to the model, whatever form the file has.
                (Some(Rows::Choices(questions)), Task::MultipleChoice { style }) => {
                    for prompt in prompts(questions, *style, &[], 0)? {
                        hash_texts(&mut hasher, &[&prompt.text, &prompt.answers.join("\n")]);
                        hasher.update(&number_of_class(prompt.answer));
                    }
                }
                (Some(other), _) => bail!("these are {}; {NO_OTHER_ROWS}", other.problem_type().rows()),
            }
        }
        Ok(hasher.digest())
    }
}

/// Each with its end, so that no two lists are the same to a hash.
fn hash_texts(hasher: &mut Xxh3, texts: &[&str]) {
    for text in texts {
        hasher.update(text.as_bytes());
        hasher.update(&[0]);
    }
}

/// None is 0.
fn number_of_class(class: Option<usize>) -> [u8; 8] {
    class.map_or(0, |class| class as u64 + 1).to_le_bytes()
}

/// Reads a task.
///
/// # Errors
///
/// If its name, its files or its rows are not what a sweep can use; with file and key.
pub fn load(file: &Path, entry: &TaskEntry, data_dir: Option<&Path>) -> Result<Loaded> {
    let place = || format!("`{}`, task {}", file.display(), entry.name);
    let named = entry.benchmark.as_ref().unwrap_or(&entry.name);
    let has_splits = entry.data.is_none() && named != SNIPPETS;
    for (key, split) in [("train", &entry.train), ("test", &entry.test)] {
        if split.is_some() && !has_splits {
            bail!(
                "{}: {key} names a split of a benchmark; rows of one's own are named in data, by {key}_file",
                place()
            );
        }
    }
    let loaded = match (&entry.data, &entry.benchmark) {
        (Some(_), Some(_)) => Err(Error::input(
            "benchmark and data are both given; a task has files of the user's in data, or is a benchmark, remove one",
        )),
        (Some(data), None) => {
            // A wrong setting, and a wrong file, say themselves where they stand.
            let (config, origins) = data_settings(file, entry, data)?;
            let source = RowSource {
                data: &config,
                origins: &origins,
                seed: TEST_SEED,
                is_evaluated: true,
            };
            let rows = source.read(&Silent).map_err(|error| match error {
                Error::At { .. } => error,
                other => other.at(place()),
            })?;
            user_files(&config, rows, entry, data_dir)
        }
        (None, _) if named == SNIPPETS => snippets(entry),
        (None, _) => benchmark(entry, named, data_dir),
    }
    .with_context(place)?;
    if !is_labelled(&loaded.test).with_context(place)? {
        bail!(
            "{}: its test rows have no labels; name another split with `test`",
            place()
        );
    }
    Ok(loaded)
}

/// Of texts some with a label and some without are a mistake; of questions an answer that is missing says that answers are kept back.
fn is_labelled(rows: &Rows) -> Result<bool> {
    Ok(match rows {
        Rows::Texts(dataset) => dataset.targets()? != Targets::None,
        other => other.is_labelled(),
    })
}

fn snippets(entry: &TaskEntry) -> Result<Loaded> {
    let movies = snippet_dataset(&read_snippets(MOVIES, "movies.tsv")?);
    let splits = lora_data::stratified_split(&movies.strata(), &[movies.len() / 4], TEST_SEED)?;
    let rest = (0..movies.len()).filter(|row| splits[0].binary_search(row).is_err());
    let rest: Vec<usize> = rest.collect();
    let shifted = match &entry.shifted {
        None => None,
        Some(ShiftedEntry::Split(name)) if name == "tweets" => {
            Some(snippet_dataset(&read_snippets(TWEETS, "tweets.tsv")?))
        }
        Some(_) => bail!("shifted of the embedded snippets can only be `split: tweets`"),
    };
    Ok(Loaded {
        kind: movies.task.clone(),
        test: Rows::Texts(movies.select(&splits[0])),
        pool: Rows::Texts(movies.select(&rest)),
        validation: None,
        shifted: shifted.map(Rows::Texts),
        metric: GlueMetric::Accuracy,
    })
}

fn benchmark(entry: &TaskEntry, name: &str, data_dir: Option<&Path>) -> Result<Loaded> {
    let benchmark = find(name)?;
    let metric = glue_metric(benchmark.metric).filter(|_| {
        let problem = benchmark.problem_type();
        problem.is_of_texts() || problem == ProblemType::MultipleChoice
    });
    let Some(metric) = metric else {
        bail!(
            "{name} is scored by {}; {NO_OTHER_ROWS}",
            benchmark.metric.words()
        );
    };
    let folder = folder_of(entry.data_dir.as_deref(), data_dir)?;
    let read = |split: &str| -> Result<Rows> { Ok(benchmark.read(&folder, split)?.rows) };
    let trained = match &entry.train {
        None if benchmark.split(TRAIN).is_err() => bail!(
            "{name} has no training rows; name the split that is trained on with `train`, or a task whose `shifted` rows are those of {name}"
        ),
        named => benchmark.split(named.as_deref().unwrap_or(TRAIN))?.name,
    };
    let pool = read(trained)?;
    let (tested, test) = scored(benchmark, &folder, entry.test.as_deref())?;
    if trained == tested {
        bail!(
            "the rows of the split {tested} would be trained and tested on; name other ones with `train` or `test`"
        );
    }
    let kind = pool.task(Some(benchmark));
    let shifted = match &entry.shifted {
        None => None,
        Some(ShiftedEntry::Split(split)) => {
            let split = benchmark.split(split)?.name;
            if [trained, tested].contains(&split) {
                bail!(
                    "the shifted rows would be those of the split {split}, which is trained or tested on; name another one"
                );
            }
            Some(read(split)?)
        }
        Some(ShiftedEntry::Benchmark(other)) => Some(other_questions(&kind, other, data_dir)?),
        Some(_) => bail!(
            "shifted of a benchmark is a split of it, such as `split: oos_test`, or for questions with choices another benchmark, such \
             as `benchmark: {{name: arc-challenge, data_dir: ARC-Challenge}}`"
        ),
    };
    Ok(Loaded {
        kind,
        pool,
        validation: None,
        test,
        shifted,
        metric,
    })
}

/// Questions of another benchmark, asked in the way of the task: letters fit any of them.
fn other_questions(kind: &Task, other: &OtherBenchmark, data_dir: Option<&Path>) -> Result<Rows> {
    let OtherBenchmark {
        name,
        data_dir: folder,
        split,
    } = other;
    let benchmark = find(name)?;
    let is_by_letter = |style| style != PromptStyle::TrueFalse;
    match kind {
        Task::MultipleChoice { style }
            if is_by_letter(*style) && benchmark.prompt_style().is_some_and(is_by_letter) => {}
        _ => bail!(
            "shifted is the benchmark {name}: the rows of another benchmark can be asked where both have questions with choices that are \
             answered by a letter (which those of boolq are not)"
        ),
    }
    let folder = folder_of(folder.as_deref(), data_dir)?;
    Ok(scored(benchmark, &folder, split.as_deref())?.1)
}

/// The rows that a model is scored on, and their split: the one that is asked for, else `test` if it has labels, else `validation`.
fn scored(
    benchmark: &'static Benchmark,
    folder: &Path,
    named: Option<&str>,
) -> Result<(&'static str, Rows), DataError> {
    let read = |split: &str| -> Result<_, DataError> {
        Ok((benchmark.split(split)?.name, benchmark.read(folder, split)?.rows))
    };
    match named {
        Some(split) => read(split),
        None => match read("test") {
            Ok((split, rows)) if rows.is_labelled() => Ok((split, rows)),
            // That a file is not there, or keeps its labels back, is no mistake; that it is damaged is one.
            Ok(_) | Err(DataError::Task(TaskError::UnknownSplit { .. } | TaskError::NoSplitFile { .. })) => {
                read("validation")
            }
            Err(error) => Err(error),
        },
    }
}

fn folder_of(of_task: Option<&Path>, data_dir: Option<&Path>) -> Result<PathBuf> {
    Ok(match (data_dir, of_task) {
        (Some(above), Some(folder)) => above.join(folder),
        (Some(folder), None) => folder.to_owned(),
        (None, Some(folder)) if folder.exists() => folder.to_owned(),
        (None, Some(folder)) => bail!("no `{}` is here; --data-dir says where", folder.display()),
        (None, None) => bail!("nothing says where its files are; give --data-dir, or data_dir in the task"),
    })
}

fn user_files(
    config: &DataConfig,
    rows: RunRows,
    entry: &TaskEntry,
    data_dir: Option<&Path>,
) -> Result<Loaded> {
    let (task, splits) = (rows.task(), rows.split);
    let Some(test) = splits.test else {
        bail!("there are no test rows; give test_file beside train_file, or data_file with a test_fraction");
    };
    let kind = match task {
        kind @ (Task::Classification { .. } | Task::Regression | Task::MultipleChoice { .. }) => kind,
        other => bail!("problem_type is {}; {NO_OTHER_ROWS}", other.problem_type().name()),
    };
    let metric = match &kind {
        Task::Regression => GlueMetric::PearsonAndSpearman,
        _ => GlueMetric::Accuracy,
    };
    let shifted = entry.shifted.as_ref();
    let shifted = shifted.map(|shifted| shifted_file(config, &kind, shifted, data_dir));
    Ok(Loaded {
        validation: splits.validation,
        test,
        shifted: shifted.transpose()?,
        metric,
        pool: splits.train,
        kind,
    })
}

/// Rows of another kind from a file like the user's.
fn shifted_file(
    config: &DataConfig,
    kind: &Task,
    shifted: &ShiftedEntry,
    data_dir: Option<&Path>,
) -> Result<Rows> {
    let path = match shifted {
        ShiftedEntry::File(path) | ShiftedEntry::OutOfScope(path) => path,
        ShiftedEntry::Benchmark(other) => return other_questions(kind, other, data_dir),
        ShiftedEntry::Split(_) => {
            bail!("shifted of files is a file: `file: PATH` with labels, or `out_of_scope: PATH`")
        }
    };
    let is_out_of_scope = matches!(shifted, ShiftedEntry::OutOfScope(_));
    if let Task::MultipleChoice { .. } = kind {
        let form = of_own_files(ProblemType::MultipleChoice).context("questions have a form of file")?;
        let mut questions = form.read(path, "test")?.into_choices()?;
        if is_out_of_scope {
            for question in &mut questions {
                question.answer = None;
            }
        }
        return Ok(Rows::Choices(questions));
    }
    let labels = match kind {
        task if is_out_of_scope => LabelRule::Unlabelled(task.clone()),
        task => LabelRule::of(task, &[]),
    };
    Ok(Rows::Texts(
        read_file(path, &config.read_options(labels))?.dataset,
    ))
}

/// The keys of `data`, without validation rows: a sweep draws these itself.
fn data_settings(file: &Path, entry: &TaskEntry, data: &Map<String, Value>) -> Result<(DataConfig, Origins)> {
    let place = format!("task {}, data", entry.name);
    let mut places = BTreeMap::new();
    for name in data.keys() {
        let Some(key) = Key::named(name).filter(|key| DATA_KEYS.contains(&key.name)) else {
            bail!(
                "`{}`, {place}: `{name}` is no key for files; expected one of {}",
                file.display(),
                DATA_KEYS.join(", ")
            );
        };
        places.insert(key.name, place.clone());
    }
    let mut values = data.clone();
    values.insert("validation_fraction".to_owned(), json!(0));
    let origins = Origins::within(file, places);
    Ok((resolve_data(&values, &origins)?, origins))
}
