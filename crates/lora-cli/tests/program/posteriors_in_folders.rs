//! Posteriors in adapter folders: written by `train` and `bayesianize`, drawn from by `eval` and `predict`.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

/// A training without masks; `changes` as in [`recipe`].
fn trained(changes: &[(&str, &str)]) -> Workspace {
    let workspace = Workspace::new();
    let plain = [("mask_probability", ""), ("ensemble_members", "")];
    workspace.write("run.yaml", recipe(&[&plain[..], changes].concat()));
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace
}

fn predict(workspace: &Workspace, adapter: &str, more: &[&str]) -> Vec<f64> {
    let arguments = ["predict", "--adapter", adapter, "--data", "train.csv", "--json"];
    workspace
        .lora_works(&[&arguments[..], more].concat())
        .probabilities()
}

/// Members are not the mean pass and follow from the seed; `eval` scores eight of them where no number is given.
fn assert_draws(workspace: &Workspace, adapter: &str) {
    let members = predict(workspace, adapter, &["--members", "8"]);
    let mean = predict(workspace, adapter, &["--members", "0"]);
    let other = predict(workspace, adapter, &["--members", "8", "--seed", "77"]);
    assert_ne!(members, mean);
    assert_ne!(members, other);
    let said = workspace.lora_works(&["eval", "--adapter", adapter, "--data", "train.csv", "--json"]);
    let scores: Value = serde_json::from_str(&said.stdout).unwrap();
    let methods = scores["methods"].as_array().unwrap();
    assert!(methods.iter().any(|method| method["members"] == 8), "{methods:?}");
}

#[test]
fn blob_and_swag_are_written_by_a_training() {
    for (key, value, method) in [
        ("blob", "{}", "blob"),
        ("swag", "{start: 0.5, every: 3, columns: 4}", "swag"),
    ] {
        let workspace = trained(&[(key, value)]);
        let text = workspace.read("out/posterior.json");
        let file: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(file["method"], method);
        assert_draws(&workspace, "out");
        // Another training in the same folder takes it away.
        workspace.write("run.yaml", recipe(&[]));
        workspace.lora_works(&["train", "--config", "run.yaml", "--quiet", "--overwrite"]);
        assert!(!workspace.path("out/posterior.json").exists());
        assert!(!workspace.path("out/posterior.safetensors").exists());
    }
}

#[test]
fn bayesianize_turns_a_plain_adapter_into_an_ensemble() {
    let workspace = trained(&[]);
    let bayesianize = ["bayesianize", "--adapter", "out", "--data", "dev.csv", "--output"];
    let said = workspace.lora_works(&[&bayesianize[..], &["tfb", "--tolerance", "0.2"]].concat());
    // The largest σ is tried first; ten halvings and both ends are the most.
    assert!(
        said.stderr.contains("round 1 of at most 12: σ = 1.00000, loss"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("7 rows are few"), "{}", said.stderr);
    for part in ["σ =", "written: tfb"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let card = String::from_utf8(workspace.read("tfb/README.md")).unwrap();
    assert!(card.contains("adapter's factors (TFB, σ = "), "{card}");
    // The validation rows of the training are the right ones, its training rows are not.
    let caution = "the adapter was trained on the rows of";
    assert!(!said.stderr.contains(caution), "{}", said.stderr);
    let seen = ["bayesianize", "--adapter", "out", "--data", "train.csv"];
    let seen = workspace.lora_works(&[&seen[..], &["--output", "seen", "--members", "2"]].concat());
    assert!(seen.stderr.contains(caution), "{}", seen.stderr);
    assert_draws(&workspace, "tfb");
    // The mean pass, and what PEFT reads, are the adapter's own.
    assert_eq!(
        predict(&workspace, "tfb", &["--members", "0"]),
        predict(&workspace, "out", &["--members", "0"])
    );
    for file in ["adapter_model.safetensors", "adapter_config.json"] {
        assert_eq!(
            workspace.read(&format!("tfb/{file}")),
            workspace.read(&format!("out/{file}"))
        );
    }
    let laplace = [
        "laplace",
        "--method",
        "laplace",
        "--train-file",
        "train.csv",
        "--members",
        "8",
    ];
    workspace.lora_works(&[&bayesianize[..], &laplace].concat());
    assert_draws(&workspace, "laplace");
    // A folder that is taken, a tolerance of nothing, and what has no factors.
    for (arguments, expected) in [
        (&["tfb"][..], "exists already"),
        (&["new", "--tolerance", "0"], "--tolerance"),
        (&["new", "--method", "laplace"], "--train-file"),
    ] {
        let said = workspace.lora(&[&bayesianize[..], arguments].concat());
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    let said = workspace.lora(&["predict", "--adapter", "out", "--members", "3", "a gripping film"]);
    assert!(said.stderr.contains("lora bayesianize"), "{}", said.stderr);
}

#[test]
fn the_better_of_mean_pass_and_ensemble_is_used_and_said() {
    let workspace = trained(&[]);
    let said = workspace.lora_works(&[
        "bayesianize",
        "out",
        "--data",
        "dev.csv",
        "--output",
        "tfb",
        "--tolerance",
        "0.2",
    ]);
    let task: Value = serde_json::from_slice(&workspace.read("tfb/task.json")).unwrap();
    let used = task["inference"].as_str().unwrap();
    let (words, other) = match used {
        "mean" => ("the mean pass", "ensemble"),
        _ => ("the ensemble", "mean"),
    };
    let stdout = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        stdout.contains(&format!("lora predict uses {words}, whose NLL")),
        "{stdout}"
    );
    assert!(
        stdout.contains(&format!("--inference {other} uses the other")),
        "{stdout}"
    );
    assert!(stdout.contains("95 % of paired draws"), "{stdout}");
    // The one with the lower loss of those that are used: the last of its kind, which has a temperature if there is one.
    let scores = workspace
        .lora_works(&["eval", "tfb", "--data", "dev.csv", "--json"])
        .stdout;
    let scores: Value = serde_json::from_str(&scores).unwrap();
    let methods = scores["methods"].as_array().unwrap();
    let loss = |is_ensemble: bool| {
        let mut of_kind = methods.iter().rev();
        let method = of_kind
            .find(|method| method["average"].is_null() != is_ensemble)
            .unwrap();
        method["scores"]["nll"].as_f64().unwrap()
    };
    assert_eq!(used == "ensemble", loss(true) < loss(false), "{methods:?}");
    // It is what predict takes unasked, and it says so.
    let chosen = workspace.lora_works(&["predict", "tfb", "--data", "train.csv", "--json"]);
    assert!(
        chosen.stderr.contains(&format!("predicted by {words}")),
        "{}",
        chosen.stderr
    );
    assert_eq!(
        chosen.probabilities(),
        predict(&workspace, "tfb", &["--inference", used])
    );
    assert_ne!(
        chosen.probabilities(),
        predict(&workspace, "tfb", &["--inference", other])
    );
    let card = String::from_utf8(workspace.read("tfb/README.md")).unwrap();
    assert!(
        card.contains("## Scores") && card.contains("validation rows"),
        "{card}"
    );
}

#[test]
fn a_posterior_that_was_lost_is_missed() {
    let workspace = trained(&[("blob", "{}")]);
    for file in ["posterior.json", "posterior.safetensors"] {
        let bytes = workspace.read(&format!("out/{file}"));
        std::fs::remove_file(workspace.path(&format!("out/{file}"))).unwrap();
        for command in [
            &["predict", "out", "a dull film"][..],
            &["eval", "out", "--data", "train.csv"],
        ] {
            let said = workspace.lora(command);
            assert_eq!(said.code, Some(2), "{}", said.stderr);
            assert!(said.stderr.contains(file), "{}", said.stderr);
        }
        workspace.write(&format!("out/{file}"), bytes);
    }
    workspace.lora_works(&["predict", "out", "a dull film"]);
    // What is exported has none, and needs none.
    workspace.lora_works(&["export", "out", "--output", "plain"]);
    workspace.lora_works(&["predict", "plain", "a dull film"]);
}

#[test]
fn settings_that_have_no_gaussian_are_refused() {
    for (changes, expected) in [
        (&[("swag", "{every: 30}")][..], "at least 2"),
        (&[("swag", "{columns: 1}")], "columns"),
        (&[("swag", "{}"), ("blob", "{}")], "one of them"),
    ] {
        let workspace = Workspace::new();
        let plain = [("mask_probability", ""), ("ensemble_members", "")];
        workspace.write("run.yaml", recipe(&[&plain[..], changes].concat()));
        let said = workspace.lora(&["train", "--config", "run.yaml", "--quiet"]);
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
        assert!(!workspace.path("out").exists());
    }
}
