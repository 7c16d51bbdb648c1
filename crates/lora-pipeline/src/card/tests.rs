//! What a card says to the hub's readers and to people, and whose README stays.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_core::gaussian::PosteriorMethod;
use lora_core::{LoraConfig, Rescale, TargetModules};
use lora_eval::calibration::Binning;
use lora_eval::{ClassProbabilities, Scores};
use serde_json::{Value, json};

use super::*;
use crate::score::TaskScores;

fn task_file(base_model: &str, inference: Option<&str>) -> TaskFile {
    serde_json::from_value(json!({
        "format": 1, "problem_type": "single_label_classification", "id2label": {"0": "no", "1": "yes: `sure`"},
        "max_seq_length": 64, "text_column": "text", "label_column": "label", "base_model": base_model,
        "temperature": {"mean": 1.25, "ensemble": null},
        "ensemble": {"members": 8, "seed": 7, "average": "probabilities"}, "inference": inference,
    }))
    .unwrap()
}

/// Three of four rows right.
fn method(name: &str, members: u64, is_scaled: bool) -> ScoredMethod {
    let probabilities =
        ClassProbabilities::new(4, 2, vec![0.75, 0.25, 0.25, 0.75, 0.75, 0.25, 0.75, 0.25]).unwrap();
    let scores = Scores::of(&probabilities, &[0, 1, 0, 1], Binning::default()).unwrap();
    ScoredMethod {
        method: name.to_owned(),
        members,
        mean_members: None,
        average: (members > 1).then(Default::default),
        temperature: if is_scaled { 1.25 } else { 1.0 },
        is_scaled,
        scores: TaskScores::Classification(scores),
        reliability: Vec::new(),
        row_losses: vec![0.5, 0.25, 0.125, 1.0],
        answers: Vec::new(),
    }
}

fn scores() -> Vec<(String, Vec<ScoredMethod>)> {
    let methods = || {
        vec![
            method("mean pass", 1, false),
            method("mean pass, T = 1.250", 1, true),
            method("ensemble of 8", 8, false),
        ]
    };
    ["training", "validation", "test"]
        .map(|split| (split.to_owned(), methods()))
        .into()
}

/// The text of a card, and the YAML at its top.
fn card(folder: &Path, task_file: &TaskFile, scores: &[(String, Vec<ScoredMethod>)]) -> (String, Value) {
    let lora = LoraConfig::new(8, 16.0, TargetModules::names(["query"])).with_dropout(0.5, Rescale::Rescaled);
    let card = ModelCard {
        folder,
        tuning: &lora.into(),
        task: &task_file.task().unwrap(),
        task_file,
        posterior: None,
        calibration: None,
        training: None,
        scores,
    };
    let text = card.text().unwrap();
    let (yaml, _) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    let metadata = serde_saphyr::from_str(yaml).unwrap();
    (text, metadata)
}

#[test]
fn the_hub_finds_library_base_task_and_the_scores_in_use() {
    let (text, metadata) = card(
        Path::new("runs/reviews"),
        &task_file("minilm-l6", Some("mean")),
        &scores(),
    );
    let base = "sentence-transformers/all-MiniLM-L6-v2";
    assert_eq!(metadata["library_name"], "peft");
    assert_eq!(metadata["base_model"], base);
    assert_eq!(metadata["pipeline_tag"], "text-classification");
    let tags = metadata["tags"].as_array().unwrap();
    for tag in [
        "lora",
        "lora-dropout",
        "calibration",
        &format!("base_model:adapter:{base}"),
    ] {
        assert!(tags.contains(&json!(tag)), "{tag} in {tags:?}");
    }
    let index = &metadata["model-index"][0];
    assert_eq!(index["name"], "reviews");
    let splits: Vec<&Value> = index["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["dataset"]["split"])
        .collect();
    assert_eq!(splits, ["validation", "test"], "not what it was trained on");
    let accuracy = &index["results"][1]["metrics"][0];
    assert_eq!(
        (&accuracy["type"], &accuracy["value"]),
        (&json!("accuracy"), &json!(0.75))
    );
    assert_eq!(accuracy["name"], "accuracy (mean pass, T = 1.250)");
    // Wilson's interval of three in four, from the formula with z = 1.95996.
    assert!(text.contains("accuracy 0.750 (0.301 to 0.954, Wilson)"), "{text}");
    assert!(
        text.contains("NLL 0.469 ("),
        "the mean of the rows' losses: {text}"
    );
    assert!(text.contains("1.2500 for the mean pass"), "{text}");
}

#[test]
fn without_a_verdict_of_validation_rows_the_ensemble_is_in_use() {
    let (_, metadata) = card(Path::new("a"), &task_file("minilm-l6", None), &scores());
    let metric = &metadata["model-index"][0]["results"][0]["metrics"][0];
    assert_eq!(metric["name"], "accuracy (ensemble of 8)");
}

#[test]
fn a_card_says_what_a_member_of_the_ensemble_is() {
    let masks = task_file("minilm-l6", None);
    let (text, _) = card(Path::new("a"), &masks, &scores());
    assert!(
        text.contains("8 members, each with masks of its own, seed 7"),
        "{text}"
    );
    let drawn = TaskFile {
        posterior: Some(PosteriorMethod::Tfb),
        ..masks
    };
    let (text, _) = card(Path::new("a"), &drawn, &scores());
    let member = "a draw from a Gaussian over the adapter's factors (TFB)";
    assert!(text.contains(member), "{text}");
}

#[test]
fn a_card_without_scores_has_no_index_and_says_how_it_is_loaded() {
    let (text, metadata) = card(Path::new("a"), &task_file("org/base", None), &[]);
    assert!(metadata.get("model-index").is_none() && !text.contains("## Scores"));
    assert_eq!(metadata["base_model"], "org/base");
    assert!(text.contains("AutoModelForSequenceClassification.from_pretrained(\"org/base\", num_labels=2"));
    assert!(text.contains("`no`, `` yes: `sure` `` (2)"), "{text}");
}

#[test]
fn a_base_in_a_folder_is_named_without_the_folders_above_it_and_not_to_the_hub() {
    for name in ["../secret/place/base", "/secret/place/base", "place/secret/base"] {
        let (text, metadata) = card(Path::new("a"), &task_file(name, None), &scores());
        assert!(metadata.get("base_model").is_none(), "{name}");
        assert!(!text.contains("secret") && text.contains("`base`"), "{text}");
    }
}

#[test]
fn a_readme_of_the_users_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(CARD_FILE);
    assert!(is_free(folder.path()));
    let (text, _) = card(folder.path(), &task_file("minilm-l6", None), &[]);
    std::fs::write(&path, &text).unwrap();
    assert!(is_free(folder.path()));
    remove_card(folder.path()).unwrap();
    assert!(!path.exists());

    std::fs::write(&path, text.replace(MARK, "")).unwrap();
    assert!(!is_free(folder.path()));
    remove_card(folder.path()).unwrap();
    assert!(path.exists());
    // What is no text is not ours either.
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(!is_free(folder.path()));
}
