//! `lora report`: numbers that follow from planted results by hand, and choices that test rows have no part in.

use serde_json::{Value, json};

use crate::workspace::Workspace;

/// A cell on two test rows. `validation` is its loss on validation rows; the losses of the test rows are in thousandths of nats.
pub fn cell(method: &str, settings: &Value, seed: u64, validation: f64, losses: [u32; 2]) -> Value {
    let nll = f64::from(losses[0] + losses[1]) / 2000.0;
    let scores = |nll: f64| {
        json!({"n": 2, "classes": 2, "accuracy": 0.5, "balanced_accuracy": 0.5, "f1": 0.5, "matthews": 0.0, "nll": nll,
            "brier": 0.5, "ece": nll / 10.0, "adaptive_ece": 0.2, "mce": 0.3, "binning": {"bins": 15, "edges": "left_open"}})
    };
    json!({"cell": {
        "key": format!("{method} {settings} {seed}"), "task": "planted", "rows": 64, "method": method, "prediction": "mean",
        "seed": seed, "data_seed": 0, "settings": settings, "trainings": [format!("training {seed}")],
        "outcome": {"done": {
            "metric": "accuracy", "training_seconds": 1.0, "predicting_seconds": 0.5, "peak_memory": null, "temperature": null,
            "train": scores(0.25), "validation": {"plain": scores(validation)}, "test": {"plain": scores(nll)},
            "test_rows": {"plain": {"unit": 0.001, "losses": losses, "confidence": [9000, 6000], "correct": "10"}},
        }},
    }})
}

/// Writes a results file of these cells.
pub fn write(workspace: &Workspace, cells: &[Value]) {
    let header = json!({"header": {"format": "lora-sweep", "version": 1}});
    let lines: Vec<String> = std::iter::once(&header)
        .chain(cells)
        .map(Value::to_string)
        .collect();
    workspace.write("planted.jsonl", lines.join("\n") + "\n");
}

/// Three seeds of plain LoRA, and of masks with each of these probabilities and losses (as in [`cell`]).
pub fn lora_and_masks(masks: &[(f64, [u32; 2])]) -> Vec<Value> {
    let mut cells = Vec::new();
    for seed in [1, 2, 3] {
        cells.push(cell("lora", &json!({}), seed, 0.9, [700, 900]));
        for (probability, losses) in masks {
            let settings = json!({"mask_probability": probability});
            cells.push(cell("masks", &settings, seed, 0.9, *losses));
        }
    }
    cells
}

/// The rows of the first table in Markdown whose title holds these words, by method.
pub fn table<'m>(markdown: &'m str, title: &str) -> Vec<Vec<&'m str>> {
    let from = markdown
        .find(title)
        .unwrap_or_else(|| panic!("{title}: {markdown}"));
    let lines = markdown[from..]
        .lines()
        .skip(1)
        .skip_while(|line| line.is_empty());
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn settings_are_chosen_by_validation_rows_where_test_rows_would_choose_otherwise() {
    let workspace = Workspace::new();
    let mut cells = Vec::new();
    for seed in [1, 2] {
        cells.push(cell("lora", &json!({}), seed, 0.9, [700, 900]));
        // p 0.1 is best on validation rows, p 0.5 on test rows.
        cells.push(cell(
            "dropout",
            &json!({"mask_probability": 0.1}),
            seed,
            0.6,
            [600, 1000],
        ));
        cells.push(cell(
            "dropout",
            &json!({"mask_probability": 0.5}),
            seed,
            0.7,
            [100, 100],
        ));
    }
    // Best of all on validation rows, but not on every seed: it has no say.
    cells.push(cell(
        "dropout",
        &json!({"mask_probability": 0.3}),
        1,
        0.1,
        [50, 50],
    ));
    write(&workspace, &cells);
    workspace.lora_works(&["report", "planted.jsonl", "--markdown", "r.md"]);
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    let choices = table(&markdown, "choices and costs");
    assert_eq!(
        choices[3][0..4],
        ["dropout", "mask\\_probability 0.1, mean pass", "–", "3"]
    );
    // The mean of 0.6 and 1.0, not of 0.1 and 0.1.
    let scores = table(&markdown, "planted, 64 training rows: test rows");
    let nll = scores[0]
        .iter()
        .position(|heading| heading.starts_with("NLL ↓"))
        .unwrap();
    assert_eq!((scores[2][nll], scores[3][nll]), ("0.800 ±0.000", "0.800 ±0.000"));
}

#[test]
fn a_page_has_the_title_and_the_first_sentence_that_it_is_given() {
    let workspace = Workspace::new();
    write(&workspace, &[cell("lora", &json!({}), 1, 0.9, [700, 900])]);
    let words = ["--title", "One method", "--lead", "Nothing is compared here."];
    let files = [
        "report",
        "planted.jsonl",
        "--output",
        "p.html",
        "--markdown",
        "r.md",
    ];
    workspace.lora_works(&[&files[..], &words].concat());
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    assert!(markdown.starts_with("# One method\n"), "{markdown}");
    let lead = markdown.find("\n\nNothing is compared here.\n\n").unwrap();
    assert!(lead < markdown.find("Settings (p, N and so on)").unwrap());
    let page = String::from_utf8(workspace.read("p.html")).unwrap();
    assert!(page.contains("<title>One method</title>") && page.contains("Nothing is compared here."));
}

#[test]
fn means_gaps_ranks_and_verdicts_are_those_computed_by_hand() {
    let workspace = Workspace::new();
    let mut cells = Vec::new();
    for (seed, shift) in [(1, 0), (2, 200)] {
        cells.push(cell("lora", &json!({}), seed, 0.9, [700 + shift, 900 + shift]));
        cells.push(cell(
            "better",
            &json!({"r": 4}),
            seed,
            0.9,
            [400 + shift, 600 + shift],
        ));
        cells.push(cell(
            "worse",
            &json!({"r": 2}),
            seed,
            0.9,
            [800 + shift, 1000 + shift],
        ));
        cells.push(cell(
            "mixed",
            &json!({"r": 3}),
            seed,
            0.9,
            [600 + shift, 1000 + shift],
        ));
    }
    write(&workspace, &cells);
    let said = workspace.lora_works(&["report", "planted.jsonl", "--markdown", "r.md", "--csv", "r.csv"]);
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    let scores = table(&markdown, "planted, 64 training rows: test rows");
    let place = |name: &str| {
        scores[0]
            .iter()
            .position(|heading| heading.starts_with(name))
            .unwrap()
    };
    // Of 0.8 and 1.0 the mean is 0.9, and the deviation 0.1 √2; less 0.25 on training rows.
    assert_eq!(scores[2][place("NLL ↓")], "0.900 ±0.141");
    assert_eq!(scores[2][place("NLL, test − train")], "0.650 ±0.141");
    assert_eq!(scores[2][place("ECE")], "0.090 ±0.014");
    // Confident and right first: the risks are 0 and 1/2.
    assert_eq!(scores[2][place("AURC")], "0.250 ±0.000");
    // Every row and seed differs by the same: the interval has no width.
    let against = place("NLL − reference's");
    assert_eq!(scores[3][against], "-0.300 [-0.300, -0.300]");
    assert!(scores[3][against + 1].starts_with("wins"), "{:?}", scores[3]);
    assert!(scores[4][against + 1].starts_with("loses"), "{:?}", scores[4]);
    assert!(scores[5][against + 1].starts_with("ties"), "{:?}", scores[5]);
    // 0.3 below and 0.1 above the reference's loss of 0.9, in per cent of it; ranks say nothing on one task.
    let changes = table(&markdown, "Test loss against lora");
    let changes: Vec<[&str; 2]> = changes[2..4].iter().map(|row| [row[0], row[1]]).collect();
    assert_eq!(
        changes,
        [["better", "-33.3 [-33.3, -33.3]"], ["worse", "11.1 [11.1, 11.1]"]]
    );
    assert!(
        said.stdout
            .contains("better against lora: lower loss on planted 64."),
        "{}",
        said.stdout
    );
    let csv = String::from_utf8(workspace.read("r.csv")).unwrap();
    assert!(
        csv.contains(",worse,mean pass,1,early,2,") && csv.contains(",1.1,"),
        "{csv}"
    );
}

#[test]
fn a_page_replaces_a_page_and_other_files_stay() {
    let workspace = Workspace::new();
    write(&workspace, &[cell("lora", &json!({}), 1, 0.9, [700, 900])]);
    let report = ["report", "planted.jsonl", "--output", "page.html"];
    workspace.lora_works(&report);
    workspace.lora_works(&report);
    workspace.write("notes.md", "precious");
    let before = workspace.everything();
    for arguments in [
        &["report", "planted.jsonl", "--output", "planted.jsonl"][..],
        &["report", "planted.jsonl", "--markdown", "notes.md"],
        &["report", "planted.jsonl", "--csv", "planted.jsonl", "--overwrite"],
    ] {
        let said = workspace.lora(arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.stderr);
        assert_eq!(workspace.everything(), before, "{arguments:?}");
    }
}

/// A call of a sweep with one method of this name.
fn run(method: &str) -> Value {
    json!({"run": {
        "sweep": {
            "base": {"model_name_or_path": "model", "learning_rate": 0.02}, "tasks": [{"name": "planted"}],
            "methods": [{"name": method, "predictions": ["mean"]}], "seeds": [1, 2],
        },
        "made_by": {"program": "lora", "versions": [["lora", "0.0.7"]], "command": format!("lora sweep {method}"), "platform": "a machine"},
        "jobs": 2,
    }})
}

#[test]
fn files_with_other_methods_are_experiments_of_their_own_and_settings_are_shown() {
    let workspace = Workspace::new();
    let header = json!({"header": {"format": "lora-sweep", "version": 1}});
    for (file, method, seed) in [
        ("a.results.jsonl", "lora", 1),
        ("b.jsonl", "lora", 2),
        ("c.jsonl", "other", 1),
    ] {
        let lines = [
            header.clone(),
            run(method),
            cell(method, &json!({}), seed, 0.9, [700, 900]),
        ];
        let lines = lines.map(|line| line.to_string());
        workspace.write(file, lines.join("\n") + "\n");
    }
    let files = ["report", "a.results.jsonl", "b.jsonl", "c.jsonl"];
    workspace.lora_works(
        &[
            &files[..],
            &["--output", "page.html", "--markdown", "r.md", "--csv", "r.csv"],
        ]
        .concat(),
    );
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    assert!(
        markdown.contains("lora report a.results.jsonl b.jsonl c.jsonl"),
        "{markdown}"
    );
    // The seeds of the first two belong together; the third is not compared with them.
    let first = table(&markdown, "planted, 64 training rows: test rows");
    assert_eq!(first.len(), 3, "{first:?}");
    for heading in [
        "## a and b: planted, 64 training rows",
        "## c: planted, 64 training rows",
    ] {
        assert!(markdown.contains(heading), "{heading}");
    }
    for part in [
        "mean ± std over 2 seeds",
        "computed on a machine with lora 0.0.7",
        "lora sweep other",
        "learning_rate: 0.02",
    ] {
        assert!(markdown.contains(part), "{part}");
    }
    let csv = String::from_utf8(workspace.read("r.csv")).unwrap();
    let experiments: Vec<&str> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(experiments, ["a and b", "a and b", "c"]);
}

#[test]
fn another_method_may_be_the_one_that_others_are_compared_with() {
    let workspace = Workspace::new();
    write(&workspace, &lora_and_masks(&[(0.1, [600, 800])]));
    let report = ["report", "planted.jsonl", "--markdown", "r.md", "--overwrite"];
    for (arguments, method, difference) in [
        (&report[..], "masks", "-0.100"),
        (
            &[&report[..], &["--reference", "masks"]].concat(),
            "lora",
            "0.100",
        ),
    ] {
        workspace.lora_works(arguments);
        let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
        let rows = table(&markdown, "planted, 64 training rows: test rows");
        let row = rows[2..].iter().find(|row| row[0] == method).unwrap();
        assert!(row[2].starts_with(difference), "{rows:?}");
    }
    let said = workspace.lora(&["report", "planted.jsonl", "--reference", "mask"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("the results have lora, masks"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_comparison_does_not_go_where_one_on_another_file_is() {
    let workspace = Workspace::new();
    let header = json!({"header": {"format": "lora-sweep", "version": 1}});
    let mut run = run("LoRA");
    run["run"]["sweep"]["tasks"][0]["data"] = json!({"data_file": "other.csv"});
    workspace.write("runs/compare/results.jsonl", format!("{header}\n{run}\n"));
    workspace.write("mine.csv", "text,label\n");
    let before = workspace.everything();
    let said = workspace.lora(&["compare", "mine.csv"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("holds the comparison on `other.csv`"),
        "{}",
        said.stderr
    );
    assert_eq!(workspace.everything(), before);
}
