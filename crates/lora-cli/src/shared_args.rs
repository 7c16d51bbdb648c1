//! Arguments that several commands have.

use std::path::PathBuf;

use clap::Args;
use lora_core::Fp32Precision;
use lora_data::{Column, Format};
use lora_pipeline::device::{DEFAULT_DEVICE, DeviceName, Precision};
use lora_pipeline::saved::adapter::{AdapterOptions, ColumnOptions};

/// Where an adapter is and what the folder may not say itself.
#[derive(Args, Clone, Debug)]
pub struct AdapterArgs {
    /// Folder written by `lora train`, or adapter folder by PEFT.
    #[arg(long, value_name = "DIR")]
    pub adapter: PathBuf,
    /// Base model, if it is not where the adapter folder says: a folder, a hub id, or minilm-l6.
    #[arg(long = "model", alias = "base", value_name = "MODEL")]
    pub base: Option<String>,
    /// Branch, tag or commit of a hub id.
    #[arg(long)]
    pub revision: Option<String>,
    /// Class names in the order of the outputs, for an adapter folder that does not name them.
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME")]
    pub labels: Option<Vec<String>>,
    /// Longest text in tokens [as in training, else 128].
    #[arg(long, value_name = "TOKENS")]
    pub max_seq_length: Option<usize>,
    /// flex, ndarray, wgpu, vulkan, metal, cuda or rocm, also with an index: cuda:1.
    #[arg(long, default_value = DEFAULT_DEVICE)]
    pub device: DeviceName,
    /// What the model computes in.
    #[arg(long, default_value_t, value_name = "f32|bf16|f16")]
    pub dtype: Precision,
    /// How products with frozen weights are computed, on flex.
    #[arg(long, default_value_t, value_name = "ieee|bf16x3|bf16|auto")]
    pub fp32_precision: Fp32Precision,
    /// Rows of a batch.
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub batch_size: usize,
}

impl AdapterArgs {
    /// In the form of the library.
    pub fn options(&self) -> AdapterOptions {
        AdapterOptions {
            adapter: self.adapter.clone(),
            base: self.base.clone(),
            revision: self.revision.clone(),
            labels: self.labels.clone(),
            max_seq_length: self.max_seq_length,
            device: self.device,
            dtype: self.dtype,
            fp32_precision: self.fp32_precision,
        }
    }
}

/// Which columns of a data file are read.
#[derive(Args, Clone, Debug, Default)]
pub struct ColumnArgs {
    /// Column of the text, by name or index from 0 [as in training].
    #[arg(long, value_name = "COLUMN")]
    pub text_column: Option<Column>,
    /// Column of the second text.
    #[arg(long, value_name = "COLUMN")]
    pub text_pair_column: Option<Column>,
    /// Column of the label [as in training].
    #[arg(long, value_name = "COLUMN")]
    pub label_column: Option<Column>,
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
