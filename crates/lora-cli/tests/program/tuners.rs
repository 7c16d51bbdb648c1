//! Tuners beside LoRA, from training to prediction.

use serde_json::Value;

use crate::workspace::{Workspace, ending_in, recipe};

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// The recipe without LoRA's keys.
fn tuned(tuning: &str) -> String {
    recipe(&[
        ("tuning", tuning),
        ("max_steps", "6"),
        ("r", ""),
        ("lora_alpha", ""),
        ("mask_probability", ""),
        ("ensemble_members", ""),
        ("temperature_scaling", "false"),
    ])
}

/// Probabilities of two texts.
fn probabilities(workspace: &Workspace, folder: &str) -> Vec<f64> {
    let said = workspace.lora_works(&[
        "predict",
        "--adapter",
        folder,
        "--max-seq-length",
        "24",
        "--json",
        "--quiet",
        "a fine film",
        "dull",
    ]);
    said.probabilities()
}

#[test]
fn every_tuner_trains_evaluates_predicts_and_is_inspected_and_leaves_no_file_of_another() {
    let workspace = Workspace::new();
    let files: [(&str, &[&str]); 4] = [
        ("full", &["config.json", "model.safetensors", "tokenizer.json"]),
        ("bitfit", &["tuning.json", "tuned.safetensors"]),
        ("houlsby", &["tuning.json", "tuned.safetensors"]),
        ("pfeiffer", &["tuning.json", "tuned.safetensors"]),
    ];
    let all = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tuning.json",
        "tuned.safetensors",
    ];
    for (tuning, own) in files {
        workspace.write("run.yaml", tuned(tuning));
        // All into one folder, so that each follows another.
        let train = ["train", "--config", "run.yaml", "--overwrite-output-dir"];
        let said = workspace.lora_works(&train);
        assert!(said.stderr.contains("trainable params: "), "{}", said.stderr);
        for file in all {
            assert_eq!(
                workspace.path("out").join(file).is_file(),
                own.contains(&file),
                "{tuning}: {file}"
            );
        }
        let run = json(&workspace.read("out/run.json"));
        assert_eq!(run["config"]["tuning"], tuning);

        let score = [
            "eval",
            "--adapter",
            "out",
            "--data",
            "dev.csv",
            "--json",
            "--quiet",
        ];
        let scores = json(workspace.lora_works(&score).stdout.as_bytes());
        let results = json(&workspace.read("out/results.json"));
        let trained = &results["scores"]["validation"][0]["scores"];
        let again = &scores["methods"][0]["scores"];
        let loss = |scores: &Value| scores["nll"].as_f64().unwrap();
        assert!(
            (loss(trained) - loss(again)).abs() < 1e-6,
            "{tuning}: {trained}, {again}"
        );
        assert_eq!(probabilities(&workspace, "out").len(), 4);

        let shown = json(
            workspace
                .lora_works(&["inspect", "out", "--json", "--quiet"])
                .stdout
                .as_bytes(),
        );
        if tuning == "full" {
            assert_eq!(shown["kind"], "model");
        } else {
            assert_eq!(shown["form"], tuning);
            assert_eq!(shown["trainable_params"], run["trainable_params"]);
        }
    }
}

#[test]
fn a_tensor_that_is_not_finite_is_noticed_without_the_base_model() {
    let workspace = Workspace::new();
    for (tuning, file) in [
        ("full", "model.safetensors"),
        ("bitfit", "tuned.safetensors"),
        ("houlsby", "tuned.safetensors"),
    ] {
        workspace.write("run.yaml", tuned(tuning));
        workspace.lora_works(&["train", "--config", "run.yaml", "--overwrite", "--quiet"]);
        let path = format!("out/{file}");
        let tensors = workspace.read(&path);
        workspace.write(&path, ending_in(f32::NAN, &tensors));
        std::fs::rename(workspace.path("model"), workspace.path("elsewhere")).unwrap();
        let said = workspace.lora(&["inspect", "out"]);
        std::fs::rename(workspace.path("elsewhere"), workspace.path("model")).unwrap();
        assert_eq!(said.code, Some(2), "{tuning}: {}", said.stderr);
        for part in [file, "NaN"] {
            assert!(said.stderr.contains(part), "{tuning}: {}", said.stderr);
        }
    }
}

#[test]
fn biases_are_merged_and_the_other_forms_are_refused_in_words() {
    let workspace = Workspace::new();
    workspace.write("run.yaml", tuned("bitfit"));
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    let trained = probabilities(&workspace, "out");
    workspace.lora_works(&["merge", "--adapter", "out", "--output", "merged"]);
    // The merged folder is a whole model, and is taken as one.
    for (found, expected) in probabilities(&workspace, "merged").iter().zip(&trained) {
        assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
    }
    let refused = workspace.lora(&["merge", "--adapter", "merged", "--output", "twice"]);
    assert!(
        refused.stderr.contains("whole model already"),
        "{}",
        refused.stderr
    );
    let refused = workspace.lora(&["export", "--adapter", "out", "--output", "plain"]);
    assert!(
        refused.stderr.contains("trained with tuning bitfit"),
        "{}",
        refused.stderr
    );
}

#[test]
fn keys_of_another_tuner_are_refused_with_their_place() {
    let workspace = Workspace::new();
    for (tuning, line, part) in [
        (
            "bitfit",
            "mask_probability: 0.5",
            "mask_probability is a setting of LoRA (tuning lora), but tuning is bitfit",
        ),
        ("full", "r: 4", "r is a setting of LoRA"),
        (
            "houlsby",
            "mask_grouping: example",
            "mask_grouping is a setting of LoRA",
        ),
        (
            "full",
            "bottleneck_size: 8",
            "bottleneck_size is a setting of bottleneck adapters",
        ),
        ("houlsby", "bottleneck_size: 0", "bottleneck_size is 0"),
    ] {
        let text = format!("{}\n{line}\n", tuned(tuning));
        workspace.write("run.yaml", &text);
        let refused = workspace.lora(&["train", "--config", "run.yaml"]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
        let number = text.lines().position(|found| found == line).unwrap() + 1;
        assert!(
            refused.stderr.contains(&format!("line {number}")),
            "{}",
            refused.stderr
        );
    }
}
