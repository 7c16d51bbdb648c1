//! Every family and head computes what Transformers and PEFT compute, to 1e-4 in f32, from every layout of files; see
//! `golden/make_families.py`.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use lora_core::Pass;
use lora_core::peft::{AdapterFolder, write_tensors};
use lora_core::tensors::{HostTensor, TensorFile};
use lora_data::{Batch, Targets};
use lora_models::{Checkpoint, FamilyConfig, HeadKind, HeadOptions, Transformer};
use tempfile::TempDir;

use crate::device;

fn folders(kind: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(kind);
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.collect();
    folders.sort();
    folders
}

fn model(folder: &Path) -> Transformer {
    let checkpoint = Checkpoint::open(&folder.join("base")).unwrap();
    let class = checkpoint.config["architectures"][0].as_str().unwrap().to_owned();
    let kind = HeadKind::of_architecture(&class, checkpoint.outputs()).unwrap();
    let (model, report) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &device()).unwrap();
    assert!(
        report.initialized.is_empty(),
        "{}: {:?}",
        folder.display(),
        report.initialized
    );
    assert!(
        report.left_over.is_empty(),
        "{}: {:?}",
        folder.display(),
        report.left_over
    );
    model
}

fn batch(case: &TensorFile) -> Batch {
    let (shape, input_ids) = case.read_integers("input_ids").unwrap().unwrap();
    let (_, mask) = case.read_integers("attention_mask").unwrap().unwrap();
    let narrow = |values: Vec<i64>| values.into_iter().map(|value| value as i32).collect::<Vec<_>>();
    let segments = case.read_integers("token_type_ids").unwrap();
    let segments = segments.map(|(_, values)| narrow(values));
    Batch {
        batch: shape[0],
        seq: shape[1],
        token_type_ids: segments.unwrap_or_else(|| vec![0; input_ids.len()]),
        input_ids: narrow(input_ids),
        attention_mask: mask.into_iter().map(|keep| keep as f32).collect(),
        targets: Targets::None,
        rows: (0..shape[0]).collect(),
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

fn assert_close(what: &str, ours: &[f32], expected: &HostTensor, is_judged: impl Fn(usize) -> bool) {
    assert_eq!(ours.len(), expected.values.len(), "{what}");
    for (index, (found, expected)) in ours.iter().zip(&expected.values).enumerate() {
        assert!(
            !is_judged(index) || (found - expected).abs() < 1e-4,
            "{what}[{index}]: {found}, expected {expected}"
        );
    }
}

/// Hidden states of every layer and logits, padded places too, but for models with windows: there padding may see nothing but
/// padding, and its outputs have no meaning.
fn assert_outputs(folder: &Path, model: &Transformer, prefix: &str) {
    let case = TensorFile::open(&folder.join("io.safetensors")).unwrap();
    let input = batch(&case);
    let has_windows = folder.to_str().unwrap().contains("modernbert");
    let mask = &input.attention_mask;
    let is_real = |index: usize, rows: usize, width: usize| match rows {
        _ if !has_windows => true,
        rows if rows == mask.len() => mask[index / width] == 1.0,
        // Starts and ends of answers.
        rows if rows == 2 * input.batch => mask[index % mask.len()] == 1.0,
        _ => true,
    };
    let named = |name: &str| case.read(&format!("{prefix}{name}")).unwrap();
    let mut hidden = Vec::new();
    let logits = model.observed_forward(&input, &Pass::Mean, &mut |state| {
        hidden.push(numbers(state.clone()));
    });
    for (layer, ours) in hidden.iter().enumerate() {
        let name = format!("hidden.{layer}");
        assert_close(
            &format!("{} {name}", folder.display()),
            ours,
            &named(&name).unwrap(),
            |index| is_real(index, mask.len(), ours.len() / mask.len()),
        );
    }
    assert!(
        named(&format!("hidden.{}", hidden.len())).is_none(),
        "the reference has more layers"
    );
    let expected = named("logits").unwrap_or_else(|| {
        let (mut starts, ends) = (named("start_logits").unwrap(), named("end_logits").unwrap());
        starts.values.extend(ends.values);
        starts
    });
    let [rows, width] = logits.dims();
    let logits = numbers(logits);
    assert_close(
        &format!("{} logits", folder.display()),
        &logits,
        &expected,
        |index| is_real(index, rows, width),
    );
}

#[test]
fn every_family_and_head_equals_transformers_from_every_layout_of_files() {
    let folders = folders("models");
    assert_eq!(folders.len(), 43, "{folders:?}");
    for folder in folders {
        assert_outputs(&folder, &model(&folder), "");
    }
}

#[test]
fn adapters_of_every_family_equal_peft() {
    let folders = folders("adapters");
    assert_eq!(folders.len(), 28, "{folders:?}");
    for folder in folders {
        let model = model(&folder);
        assert_outputs(&folder, &model, "base.");
        let adapted = AdapterFolder::read(&folder.join("adapter"))
            .unwrap()
            .attach_to(model)
            .unwrap();
        assert_outputs(&folder, &adapted.model, "");
    }
}

/// A copy of a case's base model with other names before those of its backbone.
fn with_prefix(folder: &Path, [from, to]: [&str; 2]) -> TempDir {
    let copy = TempDir::new().unwrap();
    let base = copy.path().join("base");
    fs::create_dir(&base).unwrap();
    fs::copy(folder.join("base/config.json"), base.join("config.json")).unwrap();
    let file = TensorFile::open(&folder.join("base/model.safetensors")).unwrap();
    let renamed = file.names().map(|name| {
        let tensor = file.read(name).unwrap().unwrap();
        match name.strip_prefix(from) {
            Some(rest) => (format!("{to}{rest}"), tensor),
            None => (name.to_owned(), tensor),
        }
    });
    write_tensors(&base.join("model.safetensors"), renamed).unwrap();
    copy
}

#[test]
fn below_question_answering_qwens_modules_are_called_as_in_transformers_whatever_the_file_calls_them() {
    // Transformers 5.24: `Qwen2ForQuestionAnswering` has its decoder at `transformer`, `Qwen2ForCausalLM` at `model`, and `Qwen2Model` is
    // saved without either. The adapter is PEFT's.
    let folder = folders("adapters")
        .into_iter()
        .find(|folder| folder.ends_with("qwen2_qa_lora"))
        .unwrap();
    for prefix in ["model.", ""] {
        let copy = with_prefix(&folder, ["transformer.", prefix]);
        let model = model(copy.path());
        assert_outputs(&folder, &model, "base.");
        let read = AdapterFolder::read(&folder.join("adapter")).unwrap();
        let adapted = read.attach_to(model).unwrap();
        assert_outputs(&folder, &adapted.model, "");
    }
}

#[test]
fn a_head_below_which_modules_are_called_otherwise_does_not_share_the_backbone() {
    let folder = folders("adapters")
        .into_iter()
        .find(|folder| folder.ends_with("qwen2_qa_lora"))
        .unwrap();
    let mut checkpoint = Checkpoint::open(&folder.join("base")).unwrap();
    let head = |kind| HeadOptions { kind, seed: 0 };
    let table = |model: &Transformer| model.backbone.token_table().path().to_owned();
    let tokens = head(HeadKind::TokenClassification { outputs: 2 });
    let (tags, _) = Transformer::load(&checkpoint, tokens, &device()).unwrap();
    assert_eq!(table(&tags), "model.embed_tokens");
    let spans = head(HeadKind::QuestionAnswering);
    let (answers, _) = tags.with_head(&checkpoint, spans, None, &device()).unwrap();
    assert_eq!(table(&answers), "transformer.embed_tokens");
    assert_outputs(&folder, &answers, "base.");
    // Transformers 5.24: `MistralForQuestionAnswering` has `model`, as all heads on Mistral.
    checkpoint.config["model_type"] = "mistral".into();
    let mistral = FamilyConfig::read(&checkpoint).unwrap();
    assert_eq!(mistral.prefixes(spans.kind), ["model."; 2]);
}
