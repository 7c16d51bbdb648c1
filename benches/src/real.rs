//! The embedded MiniLM on real text, in rows of unequal length: time does depend on these numbers.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use lora_core::{Adapted, LoraConfig, TargetModules};
use lora_data::{Batch, Encoded, Example, Padding, Targets, TextTokenizer};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::{TrainConfig, Trainer};

use crate::{ALPHA, RANK, Step};

/// Rows of the batches.
pub const ROWS: usize = 16;
/// Tokens of the shortest and of the longest row of a ragged batch.
pub const LENGTHS: [usize; 2] = [8, 64];

fn asset(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../assets")
        .join(relative)
}

/// The embedded MiniLM with its trained weights, with LoRA.
///
/// # Panics
///
/// Panics if the assets of the repository are not there, or the settings do not fit them.
pub fn adapted(change: impl FnOnce(LoraConfig) -> LoraConfig, device: &Device) -> Adapted<Transformer> {
    let checkpoint = Checkpoint::open(&asset("minilm-l6")).expect("the embedded model");
    let head = HeadOptions {
        kind: HeadKind::SequenceClassification { outputs: 2 },
        seed: 0,
    };
    let (model, _) = Transformer::load(&checkpoint, head, device).expect("a head for two classes");
    let config = LoraConfig::new(RANK, ALPHA, TargetModules::names(["query", "value"]))
        .with_modules_to_save(["classifier"]);
    Adapted::attach(model, change(config), 0)
        .expect("query and value exist")
        .0
}

/// A trainer that does this step on that model.
///
/// # Panics
///
/// As [`adapted`].
pub fn trainer(step: &Step, device: &Device) -> Trainer<Transformer> {
    let config = step.train_config(TrainConfig::new(1e-4, 1.0, ROWS));
    Trainer::new(
        adapted(|config| step.lora_config(config), device),
        config,
        1_000_000,
    )
    .expect("the settings are valid")
}

/// Rows of 8 to 64 tokens, evenly spread, of newspaper text; padded.
///
/// # Panics
///
/// As [`adapted`].
pub fn ragged() -> Batch {
    let [shortest, longest] = LENGTHS;
    // A short row and a long one in turn, which together have as many tokens as any such pair.
    let pairs = (0..ROWS / 2).map(|pair| {
        let more = pair * (longest - shortest) / (ROWS - 1);
        [shortest + more, longest - more]
    });
    let lengths: Vec<usize> = pairs.flatten().collect();
    batch(&lengths)
}

/// As many tokens as [`ragged`] has, of the same text, in rows of one length: without padding.
///
/// # Panics
///
/// As [`adapted`].
pub fn even() -> Batch {
    let real = |mask: &&f32| **mask > 0.5;
    let tokens = ragged().attention_mask.iter().filter(real).count();
    batch(&[tokens / ROWS; ROWS])
}

/// Rows of these lengths: the text in order, with the tokens that begin and end each row.
fn batch(lengths: &[usize]) -> Batch {
    let text = text();
    let (first, last) = (text[0], text[text.len() - 1]);
    let mut words = text[1..text.len() - 1].iter().copied();
    let rows: Vec<Encoded> = lengths
        .iter()
        .map(|length| {
            let inner = words.by_ref().take(length - 2);
            let input_ids: Vec<u32> = std::iter::once(first)
                .chain(inner)
                .chain(std::iter::once(last))
                .collect();
            Encoded {
                token_type_ids: vec![0; input_ids.len()],
                input_ids,
            }
        })
        .collect();
    let rows: Vec<&Encoded> = rows.iter().collect();
    Batch::from_encoded(&rows, Padding::with(0))
        .with_targets(Targets::Classes((0..lengths.len()).map(|row| row % 2).collect()))
}

/// Sentences of newspaper editorials as one row of tokens.
fn text() -> Vec<u32> {
    const SENTENCES: usize = 60;
    let file = std::fs::read_to_string(asset("../crates/lora-experiments/snippets/editorials.tsv"))
        .expect("the embedded text");
    let sentences = file.lines().skip(1).filter_map(|line| line.split('\t').nth(1));
    let text = sentences.take(SENTENCES).collect::<Vec<_>>().join(" ");
    let tokenizer = TextTokenizer::from_file(asset("minilm-l6/tokenizer.json"))
        .and_then(|tokenizer| Ok(tokenizer.with_max_length(4096)?))
        .expect("the embedded tokenizer");
    let example = Example {
        text,
        text_pair: None,
        target: None,
    };
    let mut encoded = tokenizer.encode_all(&[example]).expect("text");
    encoded.remove(0).input_ids
}
