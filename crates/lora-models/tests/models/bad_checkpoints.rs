//! A checkpoint that does not hold together is refused in one sentence that names file, key or tensor.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use lora_models::{Checkpoint, HeadKind, HeadOptions, LoadError, Transformer};
use serde_json::{Value, json};
use tempfile::TempDir;

fn golden(case: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.join("tests/golden/models").join(case).join("base")
}

/// A copy of a case's base model, to be spoiled.
fn copy(case: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(golden(case)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn refused(folder: &Path) -> String {
    let loaded = Checkpoint::open(folder).and_then(|checkpoint| {
        let kind = HeadKind::TokenClassification { outputs: 4 };
        Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &Device::default())
    });
    loaded.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn an_index_that_leads_out_of_the_folder_is_refused() {
    let folder = copy("bert_sharded");
    edit(&folder.path().join("model.safetensors.index.json"), |index| {
        index["weight_map"]["classifier.bias"] = json!("../elsewhere.safetensors");
    });
    let sentence = refused(folder.path());
    assert!(sentence.contains("`../elsewhere.safetensors`"), "{sentence}");
}

#[test]
fn a_missing_shard_is_named() {
    let folder = copy("bert_sharded");
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    let sentence = refused(folder.path());
    for part in [
        "index.json names the shard `model-00002-of-00003.safetensors`",
        "fetch it again",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn a_tensor_of_the_index_that_no_shard_holds_is_named() {
    let folder = copy("bert_sharded");
    edit(&folder.path().join("model.safetensors.index.json"), |index| {
        index["weight_map"]["bert.ghost"] = json!("model-00001-of-00003.safetensors");
    });
    let sentence = refused(folder.path());
    assert!(sentence.contains("bert.ghost"), "{sentence}");
}

#[test]
fn a_tensor_that_two_shards_hold_is_named() {
    let folder = copy("bert_sharded");
    let shard = |number: u8| {
        folder
            .path()
            .join(format!("model-0000{number}-of-00003.safetensors"))
    };
    fs::copy(shard(1), folder.path().join("again.safetensors")).unwrap();
    edit(&folder.path().join("model.safetensors.index.json"), |index| {
        index["weight_map"]["again"] = json!("again.safetensors");
    });
    let loaded = Checkpoint::open(folder.path());
    assert!(
        matches!(loaded, Err(LoadError::DuplicateTensor { .. })),
        "{loaded:?}"
    );
}

#[test]
fn a_pickle_cut_short_is_refused() {
    let folder = copy("distilbert_bin");
    let path = folder.path().join("pytorch_model.bin");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let sentence = refused(folder.path());
    assert!(sentence.contains("pytorch_model.bin: cut short"), "{sentence}");
}

#[test]
fn settings_that_are_not_supported_are_named() {
    for (key, value, words) in [
        ("hidden_act", json!("quick_gelu"), "`quick_gelu`"),
        (
            "num_attention_heads",
            json!(5),
            "5 attention heads do not divide 12 features",
        ),
        ("num_attention_heads", json!(0), "0 attention heads"),
        (
            "position_embedding_type",
            json!("relative_key"),
            "position_embedding_type is `relative_key`",
        ),
        (
            "model_type",
            json!("deberta"),
            "model_type is `deberta`; supported: bert, ",
        ),
        ("hidden_size", json!(24), "has shape"),
    ] {
        let folder = copy("bert_tokens");
        edit(&folder.path().join("config.json"), |config| config[key] = value);
        let sentence = refused(folder.path());
        assert!(sentence.contains(words), "{key}: {sentence}");
    }
}

#[test]
fn a_layer_that_the_weights_lack_is_named() {
    let folder = copy("bert_tokens");
    edit(&folder.path().join("config.json"), |config| {
        config["num_hidden_layers"] = json!(3);
    });
    let sentence = refused(folder.path());
    assert!(
        sentence.contains("lacks 16") && sentence.contains("bert.encoder.layer.2."),
        "{sentence}"
    );
}

#[test]
fn a_config_that_promises_more_than_memory_holds_is_refused_at_once() {
    let folder = copy("bert_tokens");
    edit(&folder.path().join("config.json"), |config| {
        config["num_hidden_layers"] = json!(1_000_000_000);
    });
    let sentence = refused(folder.path());
    assert!(
        sentence.contains("num_hidden_layers is `1000000000`; supported: a size"),
        "{sentence}"
    );

    // Tables that are not there have any size, beyond what can be counted too.
    for vocab_size in [1_u64 << 40, u64::MAX] {
        let folder = copy("bert_tokens");
        let path = folder.path().join("model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let left = tensors
            .iter()
            .filter(|(name, _)| !name.ends_with("word_embeddings.weight"));
        fs::write(&path, safetensors::serialize(left, None).unwrap()).unwrap();
        edit(&folder.path().join("config.json"), |config| {
            config["vocab_size"] = json!(vocab_size);
        });
        let sentence = refused(folder.path());
        assert!(sentence.contains("vocab_size is"), "{sentence}");
    }
}

#[test]
fn a_head_for_other_classes_starts_from_the_seed_and_is_reported() {
    let checkpoint = Checkpoint::open(&golden("electra_seqcls")).unwrap();
    let kind = HeadKind::SequenceClassification { outputs: 7 };
    let (_, report) =
        Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &Device::default()).unwrap();
    assert_eq!(
        report.initialized,
        ["classifier.out_proj.weight", "classifier.out_proj.bias"]
    );
    // An adapter may bring them; without it the model is of no use.
    assert!(report.expect_all_in(|_| true).is_ok());
    let refused = report.expect_all_in(|name| name.ends_with("weight")).unwrap_err();
    assert!(
        matches!(&refused, LoadError::NewWeights { names, .. } if names == &["classifier.out_proj.bias"]),
        "{refused}"
    );
}
