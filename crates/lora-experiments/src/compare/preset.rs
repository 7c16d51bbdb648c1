//! What `lora compare` trains: plain LoRA, an ensemble of plain trainings, input dropout, LoRA Dropout.

use lora_data::ProblemType;
use lora_data::{DataError, Dataset, LabelRule, ReadOptions, ResolvedColumns, Target, Task, read_file};
use lora_pipeline::bail;
use lora_pipeline::data::joined_in_words;
use lora_pipeline::error::Result;
use serde_json::{Map, Value, json};

use super::CompareOptions;
use crate::sweep::file::{RowCount, SweepFile};

/// Share of the rows that are tested on.
const TEST_SHARE: f64 = 0.3;
/// Share of the rows that methods are chosen and temperatures fitted by, in each training.
const VALIDATION_SHARE: f64 = 0.15;
/// Rows below which nothing can be said about probabilities.
const FEWEST_ROWS: usize = 100;
/// Validation rows, at least: a temperature and a choice hang on them.
const FEWEST_VALIDATION: usize = 40;
/// Training rows, at most: it should be a matter of minutes.
const MOST_TRAIN: usize = 1_000;
/// Test rows, at most.
const MOST_TEST: usize = 500;
/// Validation rows, at most.
const MOST_VALIDATION: usize = 300;

/// Sizes of the parts of the user's file.
#[derive(Debug)]
pub(super) struct Preset {
    /// Rows of the file.
    pub rows: usize,
    /// The columns that hold their texts.
    pub columns: ResolvedColumns,
    /// To train on.
    pub train: usize,
    /// To choose and to fit temperatures by.
    pub validation: usize,
    /// To test on.
    pub test: usize,
    /// None where labels are decimal numbers.
    pub commonest_label: Option<CommonestLabel>,
    /// What was made of labels that may mean something else.
    pub label_note: Option<String>,
}

/// What somebody knows who has seen the labels but no text.
#[derive(Debug)]
pub(super) struct CommonestLabel {
    /// Its name.
    pub name: String,
    /// Its share of the rows.
    pub share: f64,
}

impl CommonestLabel {
    /// Of labelled rows that have classes.
    fn of(data: &Dataset) -> Option<Self> {
        let Task::Classification { labels } = &data.task else {
            return None;
        };
        let mut rows = vec![0_usize; labels.names().len()];
        for example in &data.examples {
            if let Some(Target::Class(class)) = example.target {
                rows[class] += 1;
            }
        }
        let (most, name) = rows.iter().zip(labels.names()).max_by_key(|(rows, _)| **rows)?;
        Some(Self {
            name: name.clone(),
            share: *most as f64 / data.len() as f64,
        })
    }

    /// What a score is to be held against.
    pub fn sentence(&self) -> String {
        format!(
            "For comparison: whoever always says `{}` is right in {:.0} % of the file's rows.",
            self.name,
            100.0 * self.share
        )
    }
}

impl Preset {
    /// Reads the file for its rows, and for its labels.
    pub fn of(args: &CompareOptions) -> Result<Self> {
        let column = |name: &Option<String>| name.clone().map(lora_data::ColumnSelector::Name);
        let options = ReadOptions {
            columns: lora_data::Columns {
                text: column(&args.text),
                text_pair: column(&args.text_pair),
                label: column(&args.label),
            },
            format: args.format,
            // Only counted here.
            labels: LabelRule::Unlabelled(Task::Regression),
            ..ReadOptions::default()
        };
        let read = read_file(&args.file, &options)?;
        let rows = read.dataset.len();
        if rows < FEWEST_ROWS {
            bail!(
                "`{}` has {rows} rows, too few to compare methods and trust the outcome; label at least {FEWEST_ROWS}",
                args.file.display()
            );
        }
        let labelled = ReadOptions {
            labels: match args.problem_type {
                None => LabelRule::FromData,
                Some(ProblemType::SingleLabelClassification) => LabelRule::Classes,
                Some(ProblemType::Regression) => LabelRule::Values,
                Some(other) => bail!(
                    "--problem-type is {}; lora compare takes single_label_classification and regression: train other kinds with lora train, and \
                     hold what it writes against each other with lora eval",
                    other.name()
                ),
            },
            ..options
        };
        let instead =
            |problem: ProblemType| format!("--problem-type {} takes them otherwise", problem.name());
        let (commonest_label, label_note) = match read_file(&args.file, &labelled) {
            Ok(read) => {
                let note = read
                    .decimal_label
                    .filter(|_| args.problem_type.is_none())
                    .map(|label| {
                        format!(
                            "labels such as `{label}` are taken for classes; {}",
                            instead(ProblemType::Regression)
                        )
                    });
                let joined = read.joined_labels.as_ref();
                let note = note.or(joined.map(|joined| {
                    format!(
                        "{}; lora compare does not, lora train does",
                        joined_in_words(joined, &read.dataset.task)
                    )
                }));
                (CommonestLabel::of(&read.dataset), note)
            }
            // The sweep makes a regression of it.
            Err(DataError::DecimalLabel { .. }) => {
                let other = instead(ProblemType::SingleLabelClassification);
                (
                    None,
                    Some(format!(
                        "labels are decimal numbers, so this is a regression; {other}"
                    )),
                )
            }
            Err(error) => return Err(error.into()),
        };
        let test = share(rows, TEST_SHARE);
        let validation = share(rows, VALIDATION_SHARE).clamp(FEWEST_VALIDATION, MOST_VALIDATION);
        Ok(Self {
            rows,
            columns: read.columns,
            train: (rows - test - validation).min(MOST_TRAIN),
            validation,
            test: test.min(MOST_TEST),
            commonest_label,
            label_note,
        })
    }

    /// How many rows are trained on: all that are left, unless they are far too many. (A text that repeats is on one side, so the parts
    /// have not exactly the sizes that were asked for.)
    pub fn train_rows(&self) -> RowCount {
        if self.rows - self.validation - share(self.rows, TEST_SHARE) <= MOST_TRAIN + MOST_TRAIN / 10 {
            RowCount::All
        } else {
            RowCount::Some(self.train)
        }
    }

    /// The sweep.
    pub fn sweep(&self, args: &CompareOptions) -> Result<SweepFile> {
        let mut data = Map::new();
        data.insert("data_file".to_owned(), json!(args.file));
        data.insert("test_fraction".to_owned(), json!(TEST_SHARE));
        for (key, column) in [
            ("text_column", &args.text),
            ("text_pair_column", &args.text_pair),
            ("label_column", &args.label),
        ] {
            if let Some(column) = column {
                data.insert(key.to_owned(), json!(column));
            }
        }
        if let Some(format) = args.format {
            data.insert("data_format".to_owned(), json!(format));
        }
        if let Some(problem) = args.problem_type {
            data.insert("problem_type".to_owned(), json!(problem));
        }
        let ensemble = json!({"ensemble": {"members": 8}});
        let sweep = json!({
            "base": base(args),
            "tasks": [{"name": "your data", "data": data, "rows": [self.train_rows()]}],
            "methods": [
                {"name": "LoRA", "predictions": ["mean", {"deep_ensemble": {"members": args.seeds.max(3)}}]},
                // What the study of six tasks found best for one training (docs/src/results.md); its ensemble is Monte Carlo dropout.
                {"name": "input dropout", "train": {"lora_dropout": 0.1}, "predictions": ["mean", ensemble]},
                {
                    "name": "LoRA Dropout",
                    "train": {"mask_rescale": "rescaled", "mask_grouping": "example"},
                    "grid": {"mask_probability": [0.1, 0.3]},
                    "predictions": ["mean", ensemble],
                },
            ],
            "seeds": (1..=args.seeds).collect::<Vec<_>>(),
            // Other validation rows for every seed: more of the file has a say in the choice.
            "data_seed": "seed",
            "validation_rows": self.validation,
            "test_rows": self.test,
        });
        Ok(serde_json::from_value(sweep)?)
    }
}

/// How often training goes over the rows, at most, unless asked otherwise.
pub const DEFAULT_EPOCHS: u32 = 10;

/// Settings that suit some hundred rows.
pub(super) fn base(options: &CompareOptions) -> Value {
    json!({
        "model_name_or_path": options.model,
        "max_seq_length": options.max_seq_length,
        "device": options.device.to_string(),
        "r": 8,
        "lora_alpha": 16,
        "learning_rate": 2e-3,
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": 16,
        "warmup_ratio": 0.06,
        "early_stopping_patience": 3,
    })
}

#[expect(clippy::cast_sign_loss, reason = "a share of rows is not negative")]
fn share(rows: usize, share: f64) -> usize {
    (rows as f64 * share).round() as usize
}

#[cfg(test)]
mod tests {
    use lora_data::{Example, LabelNames};

    use super::*;

    #[test]
    fn the_commonest_label_is_counted() {
        let names = ["bad", "fine", "good"].map(str::to_owned).to_vec();
        let example = |class: usize| Example {
            text: "a text".to_owned(),
            text_pair: None,
            target: Some(Target::Class(class)),
        };
        let mut data = Dataset {
            examples: [0, 2, 2, 1, 2].map(example).to_vec(),
            task: Task::Classification {
                labels: LabelNames::new(names).expect("three names"),
            },
        };
        let commonest = CommonestLabel::of(&data).expect("classes");
        assert!(
            commonest
                .sentence()
                .contains("always says `good` is right in 60 %")
        );
        data.task = Task::Regression;
        assert!(CommonestLabel::of(&data).is_none());
    }
}
