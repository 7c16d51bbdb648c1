//! Files of models.

use std::path::Path;
use std::sync::OnceLock;

use burn::tensor::Device;
use lora_core::tensors::{Orientation, TensorFile};
use lora_data::{Example, TextTokenizer};
use lora_models::generation::{ChatMessage, ChatTemplate};
use lora_models::gguf::Gguf;
use lora_models::pytorch::PytorchFile;
use lora_models::{Checkpoint, FamilyConfig, HeadKind, HeadOptions, LoadError, Transformer};

use crate::scratch::folder_with;
use crate::seeds::{MODELS, file};
use crate::told;

/// So many tensors of a file are read: all of them may be views of the same bytes.
const READ: usize = 16;

const EMPTY_TENSORS: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

/// `model.safetensors`.
pub fn safetensors(bytes: &[u8]) {
    let Some(file) = told(TensorFile::from_bytes(
        bytes.to_vec(),
        Path::new("model.safetensors"),
    )) else {
        return;
    };
    for name in file.names().take(READ) {
        told(file.read(name));
        told(file.read_integers(name));
        if file.shape(name).is_some_and(|shape| shape.len() == 2) {
            told(file.read_as(name, Orientation::Transposed));
        }
    }
}

/// `pytorch_model.bin`.
pub fn pytorch_model(bytes: &[u8]) {
    let Some(file) = told(PytorchFile::from_bytes(
        bytes.to_vec(),
        Path::new("pytorch_model.bin"),
    )) else {
        return;
    };
    for name in file.names().take(READ) {
        told(file.read_as(name, Orientation::Stored));
        if file.shape(name).is_some_and(|shape| shape.len() == 2) {
            told(file.read_as(name, Orientation::Transposed));
        }
    }
}

/// A GGUF file: its tensors, and the checkpoint that it makes.
pub fn gguf(bytes: &[u8]) {
    let Some(file) = told(Gguf::from_bytes(bytes.to_vec(), Path::new("model.gguf"))) else {
        return;
    };
    for name in file.names().take(READ) {
        told(file.read(name, Orientation::Stored));
        if file.shape(name).is_some_and(|shape| shape.len() == 2) {
            told(file.read(name, Orientation::Transposed));
        }
    }
    if let Some(checkpoint) = told(file.into_checkpoint()) {
        use_files(&checkpoint);
        told(FamilyConfig::read(&checkpoint));
        for name in checkpoint.weights.names().take(READ) {
            told(checkpoint.weights.read(name, Orientation::Stored));
        }
    }
}

/// A SentencePiece model, by the rules of each family that has one.
pub fn sentence_piece(bytes: &[u8]) {
    let families = [
        (
            "sentence_piece_llama",
            "tokenizer.model",
            r#"{"model_type": "llama"}"#,
        ),
        (
            "sentence_piece_deberta",
            "spm.model",
            r#"{"model_type": "deberta-v2"}"#,
        ),
        (
            "sentence_piece_roberta",
            "sentencepiece.bpe.model",
            r#"{"model_type": "xlm-roberta"}"#,
        ),
    ];
    let (reader, name, config) = families[bytes.len() % families.len()];
    let folder = folder_with(reader, name, bytes, || {
        vec![
            ("config.json", config.as_bytes().to_vec()),
            ("model.safetensors", EMPTY_TENSORS.to_vec()),
        ]
    });
    if let Some(checkpoint) = told(Checkpoint::open(&folder)) {
        use_files(&checkpoint);
    }
}

/// `tokenizer.json`.
pub fn tokenizer(bytes: &[u8]) {
    let Some(tokenizer) = told(TextTokenizer::from_bytes(bytes, "tokenizer.json")) else {
        return;
    };
    told(tokenizer.pad_id());
    let examples = [
        ("The Elbe <3", None),
        ("Wärme\u{301} \u{1f9ff} 한국어 <s>", Some("a a a  b\n\n")),
        (" ", None),
    ];
    let examples = examples.map(|(text, pair)| Example {
        text: text.to_owned(),
        text_pair: pair.map(str::to_owned),
        target: None,
    });
    for example in &examples {
        told(tokenizer.encode_example(example));
    }
    if let Some(short) = told(tokenizer.with_max_length(8)) {
        told(short.encode_example(&examples[1]));
    }
}

/// `config.json`, with the weights of a model of its family.
pub fn config(bytes: &[u8]) {
    static WEIGHTS: OnceLock<Vec<(&str, &'static [u8])>> = OnceLock::new();
    let weights = WEIGHTS.get_or_init(|| {
        let of = |family: &'static str, model: &str| -> (&'static str, &'static [u8]) {
            (
                family,
                file(&format!("{MODELS}/{model}/base/model.safetensors")).leak(),
            )
        };
        vec![
            of("modernbert", "modernbert_seqcls"),
            of("deberta-v2", "debertav2_seqcls"),
            of("distilbert", "distilbert_seqcls"),
            of("electra", "electra_seqcls"),
            of("gpt2", "gpt2_causal"),
            of("llama", "llama_yarn"),
            of("qwen2", "qwen2_yarn"),
            of("bert", "bert_relu_seqcls"),
        ]
    });
    let text = String::from_utf8_lossy(bytes);
    let own = weights.iter().find(|(family, _)| text.contains(family));
    let (_, weights) = own.unwrap_or(&weights[0]);
    let Some(checkpoint) = told(Checkpoint::from_bytes("model", bytes, weights, b"")) else {
        return;
    };
    told(lora_data::LabelNames::from_config_json(&text, "config.json"));
    let Some(family) = told(FamilyConfig::read(&checkpoint)) else {
        return;
    };
    let _ = (family.spec(), checkpoint.padding_id());
    let outputs = checkpoint.outputs();
    let kinds = [
        HeadKind::SequenceClassification { outputs },
        HeadKind::TokenClassification { outputs },
        HeadKind::CausalLm,
    ];
    let kind = kinds[bytes.len() % kinds.len()];
    told(load(&checkpoint, kind));
}

fn load(checkpoint: &Checkpoint, kind: HeadKind) -> Result<(), LoadError> {
    Transformer::load(checkpoint, HeadOptions { kind, seed: 0 }, &Device::default()).map(drop)
}

/// `model.safetensors.index.json`, beside the shards that it may name.
pub fn weights_index(bytes: &[u8]) {
    let folder = folder_with("weights_index", "model.safetensors.index.json", bytes, || {
        let base = format!("{MODELS}/bert_sharded/base");
        let of = |name: &'static str| (name, file(&format!("{base}/{name}")));
        vec![
            of("config.json"),
            of("model-00001-of-00003.safetensors"),
            of("model-00002-of-00003.safetensors"),
            of("model-00003-of-00003.safetensors"),
        ]
    });
    told(Checkpoint::open(&folder));
}

/// A chat template, rendered.
pub fn chat_template(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes).into_owned();
    let template = ChatTemplate::from_source(source, "chat_template.jinja");
    render(&template.with_special_tokens(Some("<s>".to_owned()), Some("</s>".to_owned())));
}

/// `tokenizer_config.json`: special tokens, the chat template, how a SentencePiece model is used.
pub fn tokenizer_config(bytes: &[u8]) {
    let folder = folder_with("tokenizer_config", "tokenizer_config.json", bytes, || {
        let model = "crates/lora-models/tests/golden/sentence_piece/llama_with_ends/tokenizer.model";
        vec![
            ("config.json", br#"{"model_type": "llama"}"#.to_vec()),
            ("model.safetensors", EMPTY_TENSORS.to_vec()),
            ("tokenizer.model", file(model)),
        ]
    });
    if let Some(template) = told(ChatTemplate::of_folder(&folder)) {
        render(&template);
    }
    told(Checkpoint::open(&folder));
}

fn render(template: &ChatTemplate) {
    let message = |role: &str, content: &str| ChatMessage {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let messages = [
        message("system", "Be brief."),
        message("user", "Name a river, please. "),
        message("assistant", "The Elbe <3"),
    ];
    told(template.render(&messages, false));
    told(template.render(&messages[1..2], true));
}

/// The tokenizer and the chat template of an opened model.
fn use_files(checkpoint: &Checkpoint) {
    if let Some(bytes) = &checkpoint.tokenizer {
        tokenizer(bytes);
    }
    if let Some(template) = told(checkpoint.chat_template()) {
        render(&template);
    }
}
