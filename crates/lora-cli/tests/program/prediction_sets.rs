//! `--coverage`: sets of classes that hold the true one with a stated probability.

use serde_json::Value;

use crate::workspace::{Workspace, recipe};

const EVAL: [&str; 5] = ["eval", "--adapter", "out", "--data", "many.csv"];

/// A training with 30 validation rows, three of which contradict what it teaches.
fn trained() -> Workspace {
    let workspace = Workspace::new();
    let row = |row: usize| {
        let (adjective, label, other) = [("gripping", "good", "bad"), ("dull", "bad", "good")][row % 2];
        format!(
            "the {adjective} story of day {row},{}\n",
            if row % 10 == 3 { other } else { label }
        )
    };
    let rows: String = (0..30).map(row).collect();
    workspace.write("many.csv", format!("text,label\n{rows}"));
    workspace.write("run.yaml", recipe(&[("validation_file", "many.csv")]));
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace
}

#[test]
fn eval_shows_coverage_and_size_and_they_are_those_of_the_sets_that_predict_gives() {
    let workspace = trained();
    for flags in [
        &["--members", "0"][..],
        &[][..],
        &["--conformity", "aps"],
        &["--conformity=raps", "--per-class"],
    ] {
        let wanted = [&["--coverage", "0.8", "--json"], flags].concat();
        let scores: Value =
            serde_json::from_str(&workspace.lora_works(&[&EVAL[..], &wanted].concat()).stdout).unwrap();
        // The last way to predict is the one that predict takes.
        let sets = scores["prediction_sets"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        let predict = ["predict", "--adapter", "out", "--data", "many.csv"];
        let said = workspace.lora_works(&[&predict[..], &wanted].concat()).stdout;
        let truth = String::from_utf8(workspace.read("many.csv")).unwrap();
        let (mut covered, mut size, mut rows) = (0.0, 0.0, 0.0);
        for (line, truth) in said.lines().zip(truth.lines().skip(1)) {
            let row: Value = serde_json::from_str(line).unwrap();
            let set: Vec<&str> = row["prediction_set"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap())
                .collect();
            covered += f64::from(u8::from(
                set.iter().any(|name| truth.ends_with(&format!(",{name}"))),
            ));
            size += set.len() as f64;
            rows += 1.0;
        }
        let close = |what: &Value, expected: f64| (what.as_f64().unwrap() - expected).abs() < 1e-12;
        assert!(
            close(&sets["sets"]["coverage"], covered / rows),
            "{sets}, not {covered} of {rows}"
        );
        assert!(
            close(&sets["sets"]["mean_size"], size / rows),
            "{sets}, not {size} in {rows}"
        );
        // The rows are those of the fit, so that the promise holds to the row.
        assert!(covered / rows >= 0.8, "{flags:?}: {covered} of {rows}");
    }
    let table = workspace
        .lora_works(&[&EVAL[..], &["--coverage", "0.8"]].concat())
        .stdout;
    let in_one_line = table.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "LAC sets for a coverage of 0.8",
        "LAC sets hold the classes whose probability is above one threshold",
        // Of 30 rows the 25th smallest score: Beta(25, 6), whose quantiles of 2.5 and 97.5 % SciPy gives as 0.6528 and 0.9229.
        "these 30 rows hold the true class in 0.65 to 0.92 of new texts",
    ] {
        assert!(in_one_line.contains(part), "{part}: {table}");
    }
    assert!(table.contains("The same for the rows of each class"), "{table}");
}

#[test]
fn sets_are_in_words_and_in_a_column() {
    let workspace = trained();
    let said = workspace.lora_works(&[
        "predict",
        "--adapter",
        "out",
        "--coverage",
        "0.8",
        "a gripping film",
    ]);
    assert!(said.stdout.contains(" · {"), "{}", said.stdout);
    workspace.lora_works(&[
        "predict",
        "--adapter",
        "out",
        "--coverage",
        "0.8",
        "--data",
        "many.csv",
        "--output",
        "new.csv",
    ]);
    let table = String::from_utf8(workspace.read("new.csv")).unwrap();
    assert!(
        table.lines().next().unwrap().ends_with(",prediction_set"),
        "{table}"
    );
    assert!(table.lines().nth(1).unwrap().contains('['), "{table}");
}

#[test]
fn what_has_no_promise_is_refused() {
    let workspace = trained();
    let refused = |more: &[&str]| {
        let said = workspace.lora(&[&["predict", "--adapter", "out", "a gripping film"], more].concat());
        assert_eq!(said.code, Some(2), "{more:?}: {}", said.stderr);
        said.stderr
    };
    for (flags, expected) in [
        (&["--coverage", "1"][..], "above 0 and below 1"),
        (&["--per-class"], "--coverage"),
        (&["--coverage", "0.8", "--members", "5"], "an ensemble of 5"),
        (&["--coverage", "0.8", "--adaptive"], "leave one of them out"),
        (&["--coverage", "0.999"], "at least 999"),
        (&["--coverage", "0.99", "--per-class"], "of the class `"),
    ] {
        let said = refused(flags);
        assert!(said.contains(expected), "{flags:?}: {said}");
    }
    workspace.write("out/calibration.json", "{}");
    assert!(refused(&["--coverage", "0.8"]).contains("damaged"));
    std::fs::remove_file(workspace.path("out/calibration.json")).unwrap();
    assert!(refused(&["--coverage", "0.8"]).contains("calibration.json, which the adapter folder lacks"));
}

#[test]
fn calibrators_are_compared_and_used() {
    let workspace = trained();
    let scores: Value = serde_json::from_str(
        &workspace
            .lora_works(&[&EVAL[..], &["--calibrators", "--json"]].concat())
            .stdout,
    )
    .unwrap();
    let rows = scores["calibrators"].as_array().unwrap();
    for name in ["vector scaling", "Dirichlet", "isotonic"] {
        let of_name: Vec<&Value> = rows.iter().filter(|row| row["calibrator"] == name).collect();
        assert_eq!(of_name.len(), 2, "mean pass and ensemble: {rows:?}");
        assert!(
            of_name
                .iter()
                .all(|row| row["validation_gain"][1].as_f64().unwrap() > 0.0)
        );
    }
    let table = workspace
        .lora_works(&[&EVAL[..], &["--calibrators"]].concat())
        .stdout;
    assert!(
        table.contains("class-wise ECE") && table.contains("Dirichlet"),
        "{table}"
    );
    // What predict says is what eval scored.
    let truth = String::from_utf8(workspace.read("many.csv")).unwrap();
    for (flag, name) in [
        ("vector", "vector scaling"),
        ("dirichlet", "Dirichlet"),
        ("isotonic", "isotonic"),
    ] {
        let predict = [
            "predict",
            "--adapter",
            "out",
            "--data",
            "many.csv",
            "--json",
            "--calibrator",
            flag,
        ];
        let said = workspace.lora_works(&predict).stdout;
        let loss = |(line, truth): (&str, &str)| {
            let row: Value = serde_json::from_str(line).unwrap();
            -row["probabilities"][truth.rsplit(',').next().unwrap()]
                .as_f64()
                .unwrap()
                .ln()
        };
        let losses: Vec<f64> = said.lines().zip(truth.lines().skip(1)).map(loss).collect();
        let nll = losses.iter().sum::<f64>() / losses.len() as f64;
        let of_it = rows.iter().rfind(|row| row["calibrator"] == name).unwrap();
        assert!(
            (of_it["scores"]["nll"].as_f64().unwrap() - nll).abs() < 1e-9,
            "{name}: {nll}, {of_it}"
        );
    }
    for (flags, expected) in [
        (
            &["--calibrator", "vector", "--coverage", "0.8"][..],
            "cannot be used with",
        ),
        (
            &["--calibrator", "vector", "--members", "5"],
            "no vector scaling calibrator for an ensemble of 5",
        ),
    ] {
        let said = workspace.lora(&[&["predict", "--adapter", "out", "a gripping film"], flags].concat());
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
}

#[test]
fn a_training_takes_the_file_of_an_earlier_one_away() {
    let workspace = trained();
    assert!(workspace.path("out/calibration.json").exists());
    workspace.write(
        "run.yaml",
        recipe(&[("validation_file", ""), ("validation_fraction", "0")]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet", "--overwrite"]);
    assert!(!workspace.path("out/calibration.json").exists());
}

#[test]
fn an_empty_set_is_explained() {
    let workspace = trained();
    let predict = ["predict", "out", "--data", "many.csv", "--coverage"];
    // At so low a coverage only the surest rows have a class that is probable enough.
    let said = workspace.lora_works(&[&predict[..], &["0.05"]].concat());
    assert!(said.stdout.contains("{}"), "{}", said.stdout);
    assert!(
        said.stderr.contains("an empty set {}") && said.stderr.contains("higher --coverage"),
        "{}",
        said.stderr
    );
    let said = workspace.lora_works(&[&predict[..], &["0.95"]].concat());
    assert!(!said.stderr.contains("an empty set"), "{}", said.stderr);
}
