//! `--dtype`: what a model computes in.

use serde_json::Value;

use crate::language_model::write_tiny_llama;
use crate::workspace::Workspace;

fn largest_difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs
        .map(|(found, expected)| (found - expected).abs())
        .fold(0.0, f64::max)
}

/// One rounding is 2^-9 of a number in bf16 and 2^-12 in f16; a dozen of them are allowed for.
#[test]
fn sixteen_bits_change_probabilities_by_as_many_digits_as_they_lack() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    let probabilities = |dtype: &str| {
        let predict = [
            "predict",
            "--adapter",
            "out",
            "--quiet",
            "--json",
            "--dtype",
            dtype,
        ];
        let texts = ["a gripping film", "dull", "a slow and gripping tale"];
        workspace
            .lora_works(&[&predict[..], &texts].concat())
            .probabilities()
    };
    let exact = probabilities("f32");
    for (dtype, rounding) in [("bf16", 1.0 / 512.0), ("f16", 1.0 / 4096.0)] {
        let difference = largest_difference(&probabilities(dtype), &exact);
        assert!(difference > 0.0, "{dtype} computed in f32");
        assert!(difference < 12.0 * rounding, "{dtype}: {difference}");
    }
    let eval = [
        "eval",
        "--adapter",
        "out",
        "--data",
        "dev.csv",
        "--dtype",
        "bf16",
        "--json",
        "--quiet",
    ];
    let scored: Value = serde_json::from_str(&workspace.lora_works(&eval).stdout).unwrap();
    assert_eq!(scored["dtype"], "bf16");
}

#[test]
fn a_text_is_continued_in_sixteen_bits() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    for dtype in ["bf16", "f16"] {
        let said = workspace.lora_works(&[
            "generate",
            "--model",
            "llama",
            "--prompt",
            "say red",
            "--max-new-tokens",
            "4",
            "--dtype",
            dtype,
            "--json",
        ]);
        let document: Value = serde_json::from_str(&said.stdout).unwrap();
        assert!(!document["tokens"].as_array().unwrap().is_empty(), "{dtype}");
    }
}
