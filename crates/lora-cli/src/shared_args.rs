//! Arguments that several commands have: one name for one thing.

use std::path::{Path, PathBuf};

use clap::Args;
use lora_core::Fp32Precision;
use lora_data::{ColumnSelector, DataError, Format};
use lora_pipeline::device::{DEFAULT_DEVICE, DeviceName, Precision};
use lora_pipeline::saved::adapter::{AdapterOptions, ColumnOptions};

/// A name that several commands have, and what it means in all of them.
#[derive(Clone, Copy, Debug)]
pub struct SharedName {
    /// The long name.
    pub long: &'static str,
    /// How its help begins in every command.
    pub meaning: &'static str,
    /// Former spellings, which stay as hidden aliases.
    pub former: &'static [&'static str],
}

const fn shared(long: &'static str, meaning: &'static str, former: &'static [&'static str]) -> SharedName {
    SharedName {
        long,
        meaning,
        former,
    }
}

/// Every long name that more than one command has: one name for one thing.
#[rustfmt::skip]
pub const SHARED_NAMES: &[SharedName] = &[
    shared("model", "Base model", &["base", "model-name-or-path"]),
    shared("revision", "Branch, tag or commit of a hub id", &[]),
    shared("adapter", "Adapter folder", &[]),
    shared("labels", "Class names in the order of the outputs", &[]),
    shared("config", "Settings", &[]),
    shared("train-file", "Rows to train on", &[]),
    shared("method", "By which method", &[]),
    shared("data", "File of rows", &["data-file"]),
    shared("data-format", "Format of the file", &[]),
    shared("header", "Whether the first row of a CSV or TSV names the columns", &[]),
    shared("text-column", "Column of the text", &["text"]),
    shared("text-pair-column", "Column of the second text", &["text-pair"]),
    shared("label-column", "Column of the label", &["label"]),
    shared("problem-type", "What is predicted", &[]),
    shared("task-name", "A benchmark", &[]),
    shared("data-dir", "Folder of", &[]),
    shared("num-train-epochs", "Passes over the training rows", &[]),
    shared("max-seq-length", "Longest text in tokens", &[]),
    shared("chat-template", "Write the prompt", &["chat"]),
    shared("batch-size", "Rows of a batch of predictions", &["per-device-eval-batch-size"]),
    shared("members", "Passes of the ensemble", &["ensemble-members"]),
    shared("average", "What the ensemble averages", &["ensemble-average"]),
    shared("inference", "Predict by the mean pass or by the ensemble", &[]),
    shared("adaptive", "Give each text members only until", &[]),
    shared("coverage", "Add sets of classes", &[]),
    shared("conformity", "How classes are scored for the sets", &[]),
    shared("per-class", "Keep the coverage for each class", &[]),
    shared("output", "Where results go", &["output-dir"]),
    shared("overwrite", "Write over", &["overwrite-output-dir"]),
    shared("results", "Results of a sweep", &[]),
    shared("format", "What is written", &[]),
    shared("dry-run", "Only show what would happen", &[]),
    shared("device", "Device: flex", &[]),
    shared("dtype", "What the model computes in", &[]),
    shared("fp32-precision", "How products with frozen weights are computed", &[]),
    shared("seed", "Seed of", &[]),
    shared("seeds", "How many seeds", &[]),
    shared("jobs", "Trainings at once", &[]),
];

/// The commands with the former spellings of [`SHARED_NAMES`].
pub fn with_former_names(command: clap::Command) -> clap::Command {
    let of_name = |arg: clap::Arg| {
        let name = SHARED_NAMES.iter().find(|name| arg.get_long() == Some(name.long));
        arg.aliases(name.map_or(&[][..], |name| name.former))
    };
    command.mut_args(of_name).mut_subcommands(with_former_names)
}

/// The base model of an adapter.
#[derive(Args, Clone, Debug)]
pub struct BaseArgs {
    /// Base model, if it is not where the adapter folder says: a folder, a hub id, or minilm-l6.
    #[arg(long = "model", value_name = "MODEL")]
    pub base: Option<String>,
    /// Branch, tag or commit of a hub id.
    #[arg(long)]
    pub revision: Option<String>,
}

/// Where tensors are.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// Device: flex, ndarray, wgpu, vulkan, metal, cuda or rocm, also with an index: cuda:1.
    #[arg(long, default_value = DEFAULT_DEVICE)]
    pub device: DeviceName,
}

/// What products are computed in.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrecisionArgs {
    /// What the model computes in.
    #[arg(long, default_value_t, value_name = "f32|bf16|f16")]
    pub dtype: Precision,
    /// How products with frozen weights are computed, on flex: bf16x3 is faster with AMX on larger models, bf16 with AMX or
    /// AVX512-BF16; auto is ieee today.
    #[arg(long, default_value_t, value_name = "ieee|bf16x3|bf16|auto")]
    pub fp32_precision: Fp32Precision,
}

/// One adapter folder, by its flag or by its place.
#[derive(Args, Clone, Debug)]
pub struct AdapterPlace {
    /// Adapter folder, written by `lora train` or by PEFT.
    #[arg(long, value_name = "DIR", required_unless_present = "at")]
    adapter: Option<PathBuf>,
    /// The adapter folder, by place instead of `--adapter`.
    #[arg(value_name = "DIR", conflicts_with = "adapter")]
    at: Option<PathBuf>,
}

impl AdapterPlace {
    /// The folder.
    ///
    /// # Panics
    ///
    /// Never: the parser wants one of the two.
    pub fn folder(&self) -> &Path {
        let folder = self.adapter.as_deref().or(self.at.as_deref());
        folder.expect("the parser wants one of the two")
    }
}

/// A new folder for what is written.
#[derive(Args, Clone, Debug)]
pub struct NewFolderArgs {
    /// Where results go: a new folder.
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
}

/// What an adapter folder may not say itself, and how its rows are computed.
#[derive(Args, Clone, Debug)]
#[expect(
    missing_docs,
    reason = "the help of a flattened group is that of its arguments"
)]
pub struct OpeningArgs {
    #[command(flatten)]
    pub base: BaseArgs,
    #[command(flatten)]
    pub labels: LabelArgs,
    /// Longest text in tokens [as in training, else 128].
    #[arg(long, value_name = "TOKENS")]
    pub max_seq_length: Option<usize>,
    #[command(flatten)]
    pub device: DeviceArgs,
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Rows of a batch of predictions.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub batch_size: usize,
}

/// What outputs are called.
#[derive(Args, Clone, Debug)]
pub struct LabelArgs {
    /// Class names in the order of the outputs, for an adapter folder that does not name them.
    #[arg(long = "labels", value_delimiter = ',', value_name = "NAME,NAME")]
    pub names: Option<Vec<String>>,
}

impl OpeningArgs {
    /// In the form of the library, for this folder.
    pub fn options(&self, adapter: &Path) -> AdapterOptions {
        AdapterOptions {
            adapter: adapter.to_owned(),
            base: self.base.base.clone(),
            revision: self.base.revision.clone(),
            labels: self.labels.names.clone(),
            max_seq_length: self.max_seq_length,
            device: self.device.device,
            dtype: self.precision.dtype,
            fp32_precision: self.precision.fp32_precision,
        }
    }
}

/// Which columns of a data file are read.
#[derive(Args, Clone, Debug, Default)]
pub struct ColumnArgs {
    /// Column of the text, by name or index from 0 [as in training].
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<ColumnSelector>,
    /// Column of the second text.
    #[arg(long, value_name = "COLUMN")]
    pub text_pair_column: Option<ColumnSelector>,
    /// Column of the label [as in training].
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<ColumnSelector>,
    /// Format of the file, if its name does not tell: csv, tsv, tsv-quoted, jsonl, json, parquet.
    #[arg(long, value_name = "FORMAT")]
    pub data_format: Option<Format>,
    /// Whether the first row of a CSV or TSV names the columns [as in training].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pub header: Option<bool>,
}

impl ColumnArgs {
    /// In the form of the library.
    pub fn options(&self) -> ColumnOptions {
        ColumnOptions {
            text_column: self.text_column.clone(),
            text_pair_column: self.text_pair_column.clone(),
            label_column: self.label_column.clone(),
            data_format: self.data_format,
            header: self.header,
        }
    }
}

/// A file of rows as the library opens it: `-` is the standard input, where the system has a file of it.
pub fn input_file(given: &Path) -> PathBuf {
    if cfg!(unix) && given == "-" {
        PathBuf::from("/dev/stdin")
    } else {
        given.to_owned()
    }
}

/// Whether a word is the name of a file of rows, by its ending.
///
/// # Errors
///
/// For rows in a file of a kind that is not read.
pub fn is_of_rows(word: &str) -> Result<bool, DataError> {
    match Format::of_path(word) {
        Ok(_) => Ok(true),
        Err(DataError::UnknownExtension { .. }) => Ok(Path::new(word)
            .extension()
            .is_some_and(|ending| ending == "conll")),
        Err(error) => Err(error),
    }
}

/// A number that is at least 1, for flags.
///
/// # Errors
///
/// What was found and what is expected.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number of at least 1".to_owned()),
    }
}
