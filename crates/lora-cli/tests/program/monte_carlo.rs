//! Monte Carlo dropout: PEFT's input dropout kept on at test time, as an ensemble.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

#[test]
fn predictions_depend_neither_on_the_batch_size_nor_on_padding() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[
            ("mask_probability", ""),
            ("lora_dropout", "0.4"),
            ("target_modules", "all-linear"),
        ]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    // Texts of many lengths, so that the batch size decides how far each is padded.
    let texts: Vec<String> = (1..=9).map(|words| vec!["dull"; words * 2].join(" ")).collect();
    workspace.write("texts.csv", format!("text\n{}", texts.join("\n")));
    let predict = |batch_size: &str| -> BTreeMap<String, (Vec<f64>, f64)> {
        let arguments = [
            "predict",
            "--adapter",
            "out",
            "--data",
            "texts.csv",
            "--members",
            "3",
            "--seed",
            "5",
            "--json",
            "-q",
            "--batch-size",
            batch_size,
        ];
        let lines = workspace.lora_works(&arguments).stdout;
        let of_line = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap();
            let probabilities = value["probabilities"].as_object().unwrap().values();
            (
                value["text"].as_str().unwrap().to_owned(),
                (
                    probabilities.map(|p| p.as_f64().unwrap()).collect(),
                    value["mutual_information"].as_f64().unwrap(),
                ),
            )
        };
        lines.lines().map(of_line).collect()
    };
    let alone = predict("1");
    assert_eq!(alone.len(), 9);
    // The noise is there: members differ by far more than rounding.
    assert!(alone.values().any(|(_, information)| *information > 1e-4));
    for batch_size in ["3", "8"] {
        for (text, (probabilities, information)) in predict(batch_size) {
            let (expected, expected_information) = &alone[&text];
            for (found, expected) in probabilities.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "batches of {batch_size}: {text}");
            }
            assert!((information - expected_information).abs() < 1e-5);
        }
    }
}
