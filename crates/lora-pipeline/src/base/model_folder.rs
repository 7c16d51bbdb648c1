//! A whole model as a Hugging Face folder: `config.json`, `model.safetensors`, `tokenizer.json`, and what the base has beside them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use lora_core::atomic::{WriteError, write_file};
use lora_core::peft::stream_tensors;
use lora_data::{ProblemType, Task};
use lora_models::heads::Decoder;
use lora_models::{Checkpoint, HeadKind, Transformer};
use serde_json::{Map, Value, json};

use crate::files::output::json_text;

/// Name of the settings' file.
pub const MODEL_CONFIG_FILE: &str = "config.json";
/// Name of the weights' file.
pub const WEIGHT_FILE: &str = "model.safetensors";
/// Name of the tokenizer's file.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// What lies beside weights and tokenizer, and stays as it is: how a chat is written, what special tokens are, how it is sampled.
pub const AUXILIARY_FILES: [&str; 4] = [
    "chat_template.jinja",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "generation_config.json",
];

/// What a model's folder holds beside its weights.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    config: Value,
    tokenizer: Option<Cow<'static, [u8]>>,
    /// Those of [`AUXILIARY_FILES`] that the base has.
    auxiliary_files: Vec<(&'static str, Vec<u8>)>,
}

impl ModelFolder {
    /// Config and tokenizer of a checkpoint, for a model with the head of a task.
    pub fn of(checkpoint: &Checkpoint, task: &Task) -> Self {
        Self {
            config: config_of(&checkpoint.config, task),
            tokenizer: checkpoint.tokenizer.clone(),
            auxiliary_files: auxiliary_files_in(&checkpoint.origin),
        }
    }

    /// Writes the folder, all weights in f32, so that nothing that was learnt is rounded away; the config last, for a folder
    /// with a config is a whole one.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Panics
    ///
    /// Never: the config came from JSON.
    pub fn write(&self, folder: &Path, model: &Transformer) -> Result<(), WriteError> {
        // One tensor at a time, so that a model is not in memory twice.
        let mut shapes = BTreeMap::new();
        model.visit_tensors(&mut |name, param| {
            shapes.insert(name.to_owned(), param.file_shape());
        });
        stream_tensors(&folder.join(WEIGHT_FILE), &shapes, |write| {
            model.visit_tensors(&mut |name, param| {
                param.visit_file_pieces(&mut |piece| write(name, piece));
            });
        })?;
        if let Some(tokenizer) = &self.tokenizer {
            write_file(&folder.join(TOKENIZER_FILE), tokenizer)?;
        }
        for (name, content) in &self.auxiliary_files {
            write_file(&folder.join(name), content)?;
        }
        let mut config = self.config.clone();
        if let Some(decoder) = model.head.decoder() {
            // A base that ties them may have been trained or adapted in one of the two alone.
            config["tie_word_embeddings"] = json!(matches!(decoder, Decoder::Tied(_)));
        }
        let config = json_text(&config).expect("a JSON value can be written");
        write_file(&folder.join(MODEL_CONFIG_FILE), config.as_bytes())
    }
}

/// What cannot be read is taken for not there: a model is whole without.
fn auxiliary_files_in(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let read = |name: &'static str| Some((name, std::fs::read(folder.join(name)).ok()?));
    AUXILIARY_FILES.into_iter().filter_map(read).collect()
}

/// The base model's config for the task: the class of the model, names of classes, and the precision.
fn config_of(config: &Value, task: &Task) -> Value {
    let mut config = config.as_object().cloned().unwrap_or_default();
    let ending = match HeadKind::from(task) {
        HeadKind::SequenceClassification { .. } => Some("ForSequenceClassification"),
        HeadKind::TokenClassification { .. } => Some("ForTokenClassification"),
        HeadKind::QuestionAnswering => Some("ForQuestionAnswering"),
        HeadKind::MaskedLm | HeadKind::CausalLm => None,
    };
    let class = config
        .get("architectures")
        .and_then(|classes| classes[0].as_str());
    if let (Some(class), Some(ending)) = (class, ending) {
        let stem = class.split("For").next().unwrap_or(class);
        let stem = ["LMHeadModel", "PreTrainedModel", "Model"]
            .iter()
            .find_map(|end| stem.strip_suffix(end))
            .unwrap_or(stem);
        let class = format!("{stem}{ending}");
        config.insert("architectures".into(), json!([class]));
    }
    for key in ["torch_dtype", "dtype"] {
        if config.contains_key(key) {
            config.insert(key.into(), json!("float32"));
        }
    }
    let names = match task {
        Task::Regression => vec!["LABEL_0".to_owned()],
        task => match task.labels() {
            Some(labels) => labels.names().to_vec(),
            None => return Value::Object(config),
        },
    };
    // Transformers has no problem type for tags, and takes this one's loss.
    let problem = match task.problem_type() {
        ProblemType::TokenClassification => ProblemType::SingleLabelClassification,
        other => other,
    };
    let by_class = names.iter().enumerate();
    let id2label: Map<_, _> = by_class
        .clone()
        .map(|(class, name)| (class.to_string(), json!(name)))
        .collect();
    let label2id: Map<_, _> = by_class
        .map(|(class, name)| (name.clone(), json!(class)))
        .collect();
    config.insert("id2label".into(), Value::Object(id2label));
    config.insert("label2id".into(), Value::Object(label2id));
    config.insert("problem_type".into(), json!(problem.name()));
    Value::Object(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_the_weights_is_found_where_there_is_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("chat_template.jinja"), "{{ messages }}").expect("a file");
        std::fs::write(folder.path().join("notes.md"), "mine").expect("a file");
        let found = auxiliary_files_in(folder.path());
        assert_eq!(found, [("chat_template.jinja", b"{{ messages }}".to_vec())]);
        assert!(auxiliary_files_in(Path::new("minilm-l6")).is_empty());
    }

    #[test]
    fn the_config_names_the_classes_and_the_class_of_the_model() {
        let base = json!({ "architectures": ["BertModel"], "torch_dtype": "float16", "hidden_size": 12 });
        let config = config_of(&base, &Task::Regression);
        assert_eq!(config["architectures"], json!(["BertForSequenceClassification"]));
        assert_eq!(config["torch_dtype"], "float32");
        assert_eq!(config["hidden_size"], 12);
        assert_eq!(config["id2label"], json!({ "0": "LABEL_0" }));
    }
}
