//! A checkpoint's own output layer serves labels by their names: reordered where they stand in another order, new where they
//! differ.

use std::path::Path;

use burn::tensor::Tensor;
use lora_core::{Linears, Model, Pass};
use lora_data::{Batch, LabelNames, Targets};
use lora_models::{Checkpoint, HeadKind, HeadOptions, LoadReport, SavedHead, Transformer};
use serde_json::{Map, Value, json};

use crate::device;

const NAMES: [&str; 4] = ["north", "east", "south", "west"];
const HEADS: [(&str, HeadKind); 5] = [
    (
        "bert_relu_seqcls",
        HeadKind::SequenceClassification { outputs: 4 },
    ),
    ("xlmr_seqcls", HeadKind::SequenceClassification { outputs: 4 }),
    (
        "modernbert_seqcls",
        HeadKind::SequenceClassification { outputs: 4 },
    ),
    ("bert_tokens", HeadKind::TokenClassification { outputs: 4 }),
    ("modernbert_tokens", HeadKind::TokenClassification { outputs: 4 }),
];

/// A checkpoint for classes of these names.
fn checkpoint(case: &str, names: &[&str]) -> Checkpoint {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/models");
    let mut checkpoint = Checkpoint::open(&folder.join(case).join("base")).unwrap();
    let by_id: Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(id, name)| (id.to_string(), json!(name)))
        .collect();
    checkpoint.config["id2label"] = Value::Object(by_id);
    checkpoint
}

fn load(checkpoint: &Checkpoint, kind: HeadKind, labels: &[&str]) -> (Transformer, LoadReport) {
    let labels = LabelNames::new(labels.iter().copied()).unwrap();
    let head = HeadOptions { kind, seed: 3 };
    Transformer::load_for_labels(checkpoint, head, Some(&labels), &device()).unwrap()
}

/// Rows of logits, each as pairs of a label and its logit, by label.
fn by_label(model: &Transformer, labels: &[&str]) -> Vec<Vec<(String, f32)>> {
    let batch = Batch {
        batch: 2,
        seq: 3,
        input_ids: vec![5, 9, 11, 7, 4, 3],
        token_type_ids: vec![0; 6],
        attention_mask: vec![1.0; 6],
        targets: Targets::None,
        rows: vec![0, 1],
    };
    let logits: Tensor<2> = model.forward(&batch, &Pass::Mean);
    let numbers: Vec<f32> = logits.into_data().convert::<f32>().try_into_vec().unwrap();
    let row = |row: &[f32]| {
        let mut pairs: Vec<(String, f32)> = labels
            .iter()
            .map(|label| (*label).to_owned())
            .zip(row.to_vec())
            .collect();
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        pairs
    };
    numbers.chunks(labels.len()).map(row).collect()
}

#[test]
fn labels_in_another_order_have_the_logits_that_they_had() {
    let order = ["west", "north", "south", "east"];
    for (case, kind) in HEADS {
        let checkpoint = checkpoint(case, &NAMES);
        let (as_saved, report) = load(&checkpoint, kind, &NAMES);
        assert_eq!(report.saved_head, Some(SavedHead::SameOrder), "{case}");
        let (reordered, report) = load(&checkpoint, kind, &order);
        let outputs = vec![3, 0, 2, 1];
        assert_eq!(
            report.saved_head,
            Some(SavedHead::Reordered { outputs }),
            "{case}"
        );
        assert!(report.initialized.is_empty(), "{case}");
        assert_eq!(
            by_label(&reordered, &order),
            by_label(&as_saved, &NAMES),
            "{case}"
        );
    }
}

#[test]
fn as_many_other_labels_get_a_new_output_layer() {
    for (case, kind) in HEADS {
        let checkpoint = checkpoint(case, &NAMES);
        let (model, report) = load(&checkpoint, kind, &["up", "down", "left", "right"]);
        let found = NAMES.map(str::to_owned).to_vec();
        assert_eq!(
            report.saved_head,
            Some(SavedHead::OtherClasses { found }),
            "{case}"
        );
        let output = model.heads().remove(0);
        assert_eq!(
            report.initialized,
            [format!("{output}.weight"), format!("{output}.bias")],
            "{case}"
        );
        assert!(report.left_over.is_empty(), "{case}: {:?}", report.left_over);
    }
}

#[test]
fn an_output_layer_without_names_is_taken_as_it_is_and_the_report_says_so() {
    let (case, kind) = HEADS[0];
    let checkpoint = checkpoint(case, &["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]);
    let (_, report) = load(&checkpoint, kind, &NAMES);
    assert!(report.initialized.is_empty());
    let said = report.saved_head.unwrap().to_string();
    assert!(
        said.ends_with("0 = north, 1 = east, 2 = south, 3 = west"),
        "{said}"
    );
}

#[test]
fn a_checkpoint_without_output_layer_has_nothing_to_say_of_its_classes() {
    let checkpoint = checkpoint("bert_untied_mlm", &NAMES);
    let (_, report) = load(
        &checkpoint,
        HeadKind::SequenceClassification { outputs: 4 },
        &NAMES,
    );
    assert_eq!(report.saved_head, None);
    assert!(report.initialized.contains(&"classifier.weight".to_owned()));
}

#[test]
fn ids_with_a_gap_are_refused_by_key() {
    let mut checkpoint = checkpoint("bert_tokens", &NAMES);
    checkpoint.config["id2label"] = json!({"0": "north", "2": "south"});
    let labels = LabelNames::new(["north", "south"]).unwrap();
    let head = HeadOptions {
        kind: HeadKind::TokenClassification { outputs: 2 },
        seed: 0,
    };
    let error = Transformer::load_for_labels(&checkpoint, head, Some(&labels), &device()).unwrap_err();
    assert!(error.to_string().contains("id2label"), "{error}");
}
