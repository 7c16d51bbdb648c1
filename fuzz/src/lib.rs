//! Every reader of bytes that come from elsewhere, as a function of bytes that must neither panic, nor hang, nor take memory that the
//! bytes do not ask for.
//!
//! | file | holds |
//! |---|---|
//! | `models`, `adapters`, `rows`, `documents` | the readers: files of models, of adapters, of rows, and all else |
//! | `seeds` | reference cases of the repository, from which inputs are made |
//! | `mutation` | inputs from seeds, each by its number |
//! | `scratch` | folders for readers that take paths |
//! | `fuzz_targets/` | the same functions for `cargo fuzz`, with the feature `libfuzzer` |
//! | `tests/inputs.rs` | the same functions in a loop on stable Rust |
pub mod adapters;
pub mod documents;
pub mod models;
pub mod mutation;
pub mod rows;
mod scratch;
mod seeds;

use std::fmt::Display;

use crate::mutation::Mutator;
use crate::seeds::{lines_of, of_chats, of_files, of_text, posterior_tensors, state_tensors};

/// A reader and what its inputs are made of.
#[derive(Clone, Copy)]
pub struct Reader {
    /// Its name: that of its function, and of its binary.
    pub name: &'static str,
    /// Reads an input.
    pub read: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
    tokens: &'static [&'static str],
}

impl Reader {
    /// What makes its inputs.
    pub fn mutator(&self) -> Mutator {
        Mutator::new((self.seeds)(), self.tokens)
    }
}

/// What a reader makes of an input: its value, or an error that has a sentence.
fn told<T>(result: Result<T, impl Display>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert!(!error.to_string().is_empty(), "an error says what is wrong");
            None
        }
    }
}

macro_rules! reader {
    ($module:ident::$name:ident, $seeds:expr, [$($token:literal),*]) => {
        Reader { name: stringify!($name), read: $module::$name, seeds: || $seeds, tokens: &[$($token),*] }
    };
}

/// All of them.
pub const READERS: &[Reader] = &[
    reader!(
        models::safetensors,
        of_files(&[
            "crates/lora-models/tests/golden/models/electra_bf16/base/model.safetensors",
            "xtask/golden/training/tiny_bert_pfeiffer/tuned/tuned.safetensors",
        ]),
        [
            "F32",
            "BF16",
            "F64",
            "I64",
            "shape",
            "data_offsets",
            "[0,18446744073709551615]",
            "__metadata__"
        ]
    ),
    reader!(
        models::pytorch_model,
        of_files(&[
            "crates/lora-models/tests/golden/models/debertav3_old_bin/base/pytorch_model.bin",
            "crates/lora-models/tests/golden/models/roberta_f16_bin/base/pytorch_model.bin",
            "crates/lora-models/tests/golden/models/distilbert_bin/base/pytorch_model.bin",
        ]),
        [
            "PK\u{5}\u{6}",
            "PK\u{1}\u{2}",
            "ctorch._utils\n_rebuild_tensor_v2\n",
            "(",
            "t",
            "Q",
            "R",
            "u",
            "e",
            "."
        ]
    ),
    reader!(
        models::gguf,
        of_files(&["crates/lora-models/tests/golden/gguf.gguf"]),
        [
            "general.alignment",
            "general.architecture",
            "llama",
            "tokenizer.ggml.tokens"
        ]
    ),
    reader!(
        models::sentence_piece,
        of_files(&[
            "crates/lora-models/tests/golden/sentence_piece/deberta/spm.model",
            "crates/lora-models/tests/golden/sentence_piece/llama/tokenizer.model",
            "crates/lora-models/tests/golden/sentence_piece/xlm_roberta/sentencepiece.bpe.model",
        ]),
        ["\u{2581}", "<unk>", "<s>", "<0x0A>"]
    ),
    reader!(
        models::tokenizer,
        [
            of_files(&[
                "crates/lora-models/tests/golden/chat/words.json",
                "crates/lora-models/tests/golden/chat/bytes.json",
            ]),
            of_text(seeds::TOKENIZERS)
        ]
        .concat(),
        [
            "\"type\":",
            "\"Unigram\"",
            "\"BPE\"",
            "\"WordPiece\"",
            "\"WordLevel\"",
            "\"Sequence\"",
            "\"Split\"",
            "\"Regex\"",
            "(a+)+$"
        ]
    ),
    reader!(
        models::config,
        seeds::configs(),
        [
            "\"model_type\"",
            "\"bert\"",
            "\"llama\"",
            "\"deberta-v2\"",
            "\"modernbert\"",
            "\"rope_scaling\"",
            "\"id2label\"",
            "\"num_labels\""
        ]
    ),
    reader!(
        models::weights_index,
        of_files(&["crates/lora-models/tests/golden/models/bert_sharded/base/model.safetensors.index.json",]),
        ["../", "model.safetensors", "weight_map"]
    ),
    reader!(
        models::chat_template,
        of_chats(),
        [
            "{%",
            "%}",
            "{{",
            "}}",
            "for",
            "in",
            "range(100000)",
            "endfor",
            "set x = x ~ x",
            "|tojson",
            ".replace('', x)",
            ".split('')",
            "* 1000000",
            "|join",
            "namespace",
            "loop",
            "macro",
            "call"
        ]
    ),
    reader!(
        models::tokenizer_config,
        of_text(seeds::TOKENIZER_CONFIGS),
        ["chat_template", "bos_token", "add_prefix_space"]
    ),
    reader!(
        adapters::adapter_config,
        of_files(seeds::ADAPTER_CONFIGS),
        [
            "peft_type",
            "rank_pattern",
            "alpha_pattern",
            "target_modules",
            ".*",
            "(",
            "all-linear",
            "modules_to_save"
        ]
    ),
    reader!(
        adapters::adapter_tensors,
        of_files(&["xtask/golden/training/tiny_bert_dora/adapter/adapter_model.safetensors",]),
        [
            "base_model.model.",
            ".lora_A.weight",
            ".lora_B.weight",
            "lora_magnitude_vector",
            "F32",
            "[0,18446744073709551615]"
        ]
    ),
    reader!(
        adapters::lora_dropout,
        of_text(seeds::LORA_DROPOUT),
        ["probability", "alpha_pattern", "ensemble"]
    ),
    reader!(
        adapters::tuning,
        of_files(&[
            "xtask/golden/training/tiny_bert_houlsby/tuned/tuning.json",
            "xtask/golden/training/tiny_bert_bitfit/tuned/tuning.json",
            "xtask/golden/training/tiny_bert_full/tuned/tuning.json",
        ]),
        ["bottleneck", "size", "placement"]
    ),
    reader!(
        adapters::tuned_tensors,
        of_files(&["xtask/golden/training/tiny_bert_houlsby/tuned/tuned.safetensors",]),
        ["adapter_down.weight", "F32", "shape"]
    ),
    reader!(
        adapters::posterior,
        of_text(seeds::POSTERIORS),
        ["columns", "method", "format"]
    ),
    reader!(
        adapters::posterior_tensors,
        vec![posterior_tensors()],
        [".deviations", ".mean", ".columns", "F32", "shape"]
    ),
    reader!(
        adapters::task_file,
        of_text(seeds::TASK_FILES),
        ["problem_type", "id2label", "temperature", "max_seq_length"]
    ),
    reader!(
        adapters::calibration,
        of_text(seeds::CALIBRATIONS),
        ["conformal", "mean", "scores"]
    ),
    reader!(rows::csv, of_text(seeds::CSV), ["text", "label", ";", "\"\""]),
    reader!(rows::tsv, of_text(seeds::TSV), ["text", "label", "\t\t"]),
    reader!(rows::jsonl, of_text(seeds::JSONL), ["text", "label"]),
    reader!(rows::json, of_text(seeds::JSON), ["text", "label", "data"]),
    reader!(
        rows::parquet,
        of_files(&[
            "crates/lora-data/tests/parquet_files/boolq.parquet",
            "crates/lora-data/tests/parquet_files/gaps.parquet",
            "crates/lora-data/tests/parquet_files/gzipped.parquet",
            "crates/lora-data/tests/parquet_files/uncompressed.parquet",
            "crates/lora-data/tests/parquet_files/squad.parquet",
            "crates/lora-data/tests/parquet_files/other_types.parquet",
        ]),
        ["PAR1", "huggingface"]
    ),
    reader!(
        rows::completions,
        of_text(seeds::COMPLETIONS),
        ["prompt", "completion", "messages"]
    ),
    reader!(
        rows::squad,
        of_text(seeds::SQUAD),
        ["answer_start", "context", "paragraphs"]
    ),
    reader!(
        rows::conll,
        of_text(seeds::CONLL),
        ["-DOCSTART-", "B-PER", "\n\n"]
    ),
    reader!(
        rows::benchmarks,
        of_text(seeds::BENCHMARKS),
        ["DESC:manner", "answer", "choices", "intent"]
    ),
    reader!(
        rows::snippets,
        vec![lines_of("crates/lora-experiments/snippets/tweets.tsv", 6)],
        ["\t"]
    ),
    reader!(
        documents::run_yaml,
        of_files(&["configs/sst2-minilm.yaml", "configs/paper/adalora-dropout.yaml"]),
        [
            "&a [*a,*a]",
            "<<:",
            "!!binary",
            "|",
            ">",
            "? ",
            "lora_r:",
            "target_modules:"
        ]
    ),
    reader!(
        documents::run_toml,
        of_text(seeds::RUN_TOML),
        ["[[a]]", "\"\"\"", "1979-05-27", "r ="]
    ),
    reader!(
        documents::run_json,
        of_text(seeds::RUN_JSON),
        ["\"r\":", "\"train_file\":"]
    ),
    reader!(
        documents::sweep_file,
        of_files(&["configs/here/pilot.yaml", "configs/here/posteriors-256.yaml"]),
        ["&a [*a,*a]", "methods:", "grid:", "ensemble:", "members:"]
    ),
    reader!(
        documents::sweep_results,
        seeds::results(),
        ["\"trial\":", "\"outcome\":", "\"failed\":", "\"done\":"]
    ),
    reader!(
        documents::checkpoint,
        of_text(seeds::CHECKPOINTS),
        ["\"state\":", "\"format\":"]
    ),
    reader!(
        documents::checkpoint_tensors,
        vec![state_tensors()],
        ["F32", "F64", "I32", "shape"]
    ),
    reader!(
        documents::predict_call,
        of_text(seeds::PREDICT_CALLS),
        ["\"texts\":", "\"text_pair\":", "\"coverage\":"]
    ),
    reader!(
        documents::load_call,
        of_text(seeds::LOAD_CALLS),
        ["\"folder\":", "\"name\":"]
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::READERS;

    #[test]
    fn every_reader_has_seeds_and_a_target_of_cargo_fuzz() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let targets = fs::read_dir(folder.join("fuzz_targets")).expect("the folder of targets");
        let targets: BTreeSet<String> = targets
            .map(|entry| entry.expect("a target").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        let names: BTreeSet<String> = READERS.iter().map(|reader| reader.name.to_owned()).collect();
        assert_eq!(targets, names);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("the manifest");
        for reader in READERS {
            assert!(!(reader.seeds)().is_empty(), "{}", reader.name);
            assert!(
                manifest.contains(&format!("name = \"{}\"", reader.name)),
                "{}",
                reader.name
            );
        }
    }
}
