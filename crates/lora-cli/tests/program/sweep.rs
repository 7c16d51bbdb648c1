//! `lora sweep`: every cell once, whatever happens on the way, with the same numbers however many trainings run at once.

use serde_json::Value;

use crate::workspace::Workspace;

const SWEEP: &str = "\
base:
  model_name_or_path: model
  learning_rate: 2e-2
  max_steps: 6
  per_device_train_batch_size: 8
  max_seq_length: 24
  r: 2
tasks:
  - name: films
    data: {train_file: train.csv, test_file: dev.csv}
    rows: [12]
    shifted: {out_of_scope: other.csv}
methods:
  - name: lora
    predictions: [mean, {deep_ensemble: {members: 2}}]
  - name: dropout
    grid: {mask_probability: [0.3, 0.5]}
    predictions: [mean, full_update, {ensemble: {members: [1, 3]}}]
seeds: [1, 2]
validation_rows: 8
";

/// lora: 2 seeds with mean and deep ensemble; dropout: 2 probabilities, 2 seeds, 4 predictions.
pub const CELLS: usize = 2 * 2 + 2 * 2 * 4;

pub fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("sweep.yaml", SWEEP);
    workspace.write("other.csv", "text\nthe weather of tomorrow\nnine plus nine\n");
    workspace
}

/// The cells of results files by key, without what a clock says.
pub fn cells_of(workspace: &Workspace, files: &[String]) -> Vec<(String, Value)> {
    let mut cells = Vec::new();
    for file in files {
        let text = String::from_utf8(workspace.read(file)).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        cells.extend(lines.filter_map(|mut line| {
            let mut cell = line.get_mut("cell")?.take();
            let done = cell["outcome"]["done"].as_object_mut().unwrap();
            for clock in ["training_seconds", "predicting_seconds", "peak_memory"] {
                done.remove(clock).unwrap();
            }
            Some((cell["key"].as_str().unwrap().to_owned(), cell))
        }));
    }
    cells.sort_by(|left, right| left.0.cmp(&right.0));
    cells
}

fn cells(workspace: &Workspace, file: &str) -> Vec<(String, Value)> {
    cells_of(workspace, &[file.to_owned()])
}

#[test]
fn a_killed_sweep_goes_on_where_it_was_with_the_same_numbers_for_any_number_of_jobs() {
    let workspace = workspace();
    let run = ["sweep", "--config", "sweep.yaml", "--results"];
    let first = workspace.lora_works(&[&run[..], &["one.jsonl"]].concat());
    assert!(
        first
            .stderr
            .contains(&format!("{CELLS} trials to compute, with 7 trainings")),
        "{}",
        first.stderr
    );
    let whole = cells(&workspace, "one.jsonl");
    assert_eq!(whole.len(), CELLS);
    // Members that wait for their ensemble are gone with it.
    assert!(!workspace.path("one.jsonl.members").exists());
    let detection = &whole[0].1["outcome"]["done"]["shifted"]["detection"]["plain"];
    assert_eq!(detection[0][1]["out_of_scope"], 2);

    // As a kill leaves it: some lines, and half of one.
    let bytes = workspace.read("one.jsonl");
    workspace.write("two.jsonl", &bytes[..bytes.len() * 2 / 3]);
    let kept = String::from_utf8_lossy(&bytes[..bytes.len() * 2 / 3])
        .matches("{\"cell\":")
        .count()
        - 1;
    let dry = || {
        let said = workspace.lora_works(&[&run[..], &["two.jsonl", "--dry-run", "--json"]].concat());
        let plan: Value = serde_json::from_str(&said.stdout).unwrap();
        (
            plan["cells"].as_u64().unwrap(),
            plan["trainings"].as_u64().unwrap(),
        )
    };
    let (cells_left, trainings_left) = dry();
    assert_eq!(cells_left, (CELLS - kept) as u64);
    assert!((1..7).contains(&trainings_left), "{trainings_left}");
    let second = workspace.lora_works(&[&run[..], &["two.jsonl", "--jobs", "2"]].concat());
    assert!(
        second.stderr.contains("was truncated when a sweep was killed"),
        "{}",
        second.stderr
    );
    assert!(
        second
            .stderr
            .contains(&format!("{kept} of {CELLS} trials are done and skipped")),
        "{}",
        second.stderr
    );
    assert_eq!(cells(&workspace, "two.jsonl"), whole);

    let third = workspace.lora_works(&[&run[..], &["two.jsonl"]].concat());
    assert!(
        third
            .stderr
            .contains(&format!("{CELLS} of {CELLS} trials are done")),
        "{}",
        third.stderr
    );
    assert_eq!(cells(&workspace, "two.jsonl").len(), CELLS);
    assert_eq!(dry(), (0, 0));

    // The page of real cells, with curves over p and N.
    workspace.lora_works(&["report", "one.jsonl", "--markdown", "r.md", "--csv", "r.csv"]);
    let page = String::from_utf8(workspace.read("one.html")).unwrap();
    for part in [
        "p of the masks",
        "N, members",
        "Risk and coverage",
        "AUROC, confidence",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(
        String::from_utf8(workspace.read("r.csv"))
            .unwrap()
            .lines()
            .count(),
        CELLS + 1
    );
}

#[test]
fn a_failed_cell_is_recorded_and_tried_again_only_when_asked() {
    let workspace = workspace();
    // Linears that the model does not have: known only when adapters are put on it.
    let text = SWEEP
        .replace(
            "    grid: {mask_probability: [0.3, 0.5]}",
            "    train: {mask_probability: 0.3, target_modules: [nothing]}",
        )
        .replace("seeds: [1, 2]", "seeds: [1]");
    workspace.write("sweep.yaml", text);
    let run = ["sweep", "--config", "sweep.yaml", "--results", "r.jsonl"];
    let said = workspace.lora(&run);
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("4 of the trials failed"), "{}", said.stderr);
    let lines = |workspace: &Workspace| {
        String::from_utf8(workspace.read("r.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    let before = lines(&workspace);
    let again = workspace.lora(&run);
    assert_eq!(
        (again.code, lines(&workspace)),
        (Some(1), before),
        "{}",
        again.stderr
    );
    assert!(
        again.stderr.contains("4 trials failed earlier and are skipped"),
        "{}",
        again.stderr
    );
    let retried = workspace.lora(&[&run[..], &["--retry-failed"]].concat());
    assert!(
        retried.code == Some(1) && lines(&workspace) > before,
        "{}",
        retried.stderr
    );
    // What was done is shown all the same, and what failed is counted.
    let report = workspace.lora_works(&["report", "r.jsonl"]);
    assert!(report.stdout.contains("4 trials failed"), "{}", report.stdout);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let workspace = workspace();
    let before = workspace.everything();
    let said = workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--dry-run", "--json"]);
    let plan: Value = serde_json::from_str(&said.stdout).unwrap();
    // lora with seeds 1, 2 and 3 (the second member of seed 2), dropout with two probabilities and two seeds.
    assert_eq!(
        (plan["trainings"].as_u64(), plan["cells"].as_u64()),
        (Some(7), Some(CELLS as u64))
    );
    let steps = &plan["table"]["rows"][0]["cells"][1]["mean"];
    assert_eq!(steps.as_f64(), Some(18.0));
    assert_eq!(workspace.everything(), before);
}

#[test]
fn a_bad_sweep_is_refused_with_file_key_and_mend_before_anything_is_written() {
    let workspace = workspace();
    let mistakes = [
        ("seeds: [1, 2]", "seeds: []", "seeds is empty"),
        ("rows: [12]", "rows: []", "rows of a task is empty"),
        ("seeds: [1, 2]", "seeds: [1, 1]", "seed 1 stands twice"),
        (
            "validation_rows: 8",
            "validation_row: 8",
            "line 20: unknown field `validation_row`",
        ),
        (
            "validation_rows: 8",
            "validation_rows: 8\nreference: plain",
            "reference is plain, which is no method",
        ),
        ("  r: 2", "  r: 0", "base: rank is 0"),
        ("  r: 2", "  rr: 2", "base: unknown key `rr`"),
        ("  r: 2", "  seed: 2", "seed is not set here"),
        (
            "grid: {mask_probability: [0.3, 0.5]}",
            "grid: {mask_probability: 0.3}",
            "expected a list of values",
        ),
        (
            "predictions: [mean, {deep",
            "predictions: [median, {deep",
            "line 15",
        ),
        (
            "{deep_ensemble: {members: 2}}",
            "{ensemble: {members: 2}}",
            "differ in nothing",
        ),
        (
            "{deep_ensemble: {members: 2}}",
            "{deep_ensemble: {members: 0}}",
            "predictions[1]: members is 0",
        ),
        (
            "rows: [12]",
            "rows: [17]",
            "rows is 17, but of the 24 rows 16 are left",
        ),
        (
            "data: {train_file: train.csv, test_file: dev.csv}",
            "data: {train_file: train.csv}",
            "no test rows",
        ),
        (
            "data: {train_file: train.csv, test_file: dev.csv}",
            "data: {r: 2}",
            "`r` is no key for files",
        ),
        (
            "data: {train_file: train.csv, test_file: dev.csv}",
            "data_dir: x",
            "no task `films`",
        ),
        (
            "  - name: dropout",
            "  - name: lora",
            "two methods have the name lora",
        ),
    ];
    for (from, to, part) in mistakes {
        let text = SWEEP.replacen(from, to, 1);
        assert_ne!(text, SWEEP, "{from}");
        workspace.write("sweep.yaml", text);
        let before = workspace.everything();
        let said = workspace.lora(&["sweep", "--config", "sweep.yaml"]);
        assert_eq!(said.code, Some(2), "{to}: {}", said.stderr);
        assert!(
            said.stderr.contains("sweep.yaml") && said.stderr.contains(part),
            "{to}: {}",
            said.stderr
        );
        assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
        assert_eq!(workspace.everything(), before, "{to}");
    }
    for (arguments, part) in [
        (
            &["sweep", "--config", "none.yaml"][..],
            "cannot read the sweep's file `none.yaml`",
        ),
        (&["report", "train.csv"], "holds no results of a sweep"),
        (
            &["report", "none.jsonl"],
            "cannot use the results file `none.jsonl`",
        ),
        (&["compare", "dev.csv"], "has 7 rows, too few"),
    ] {
        let said = workspace.lora(arguments);
        assert!(
            said.code == Some(2) && said.stderr.contains(part),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn a_sweep_that_is_no_text_is_refused_by_line_and_byte() {
    let workspace = Workspace::new();
    workspace.write("latin.yaml", b"base: {}\n# caf\xe9\n");
    let said = workspace.lora(&["sweep", "--config", "latin.yaml"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    assert!(
        said.stderr.contains("`latin.yaml`, line 2: byte 0xE9"),
        "{}",
        said.stderr
    );
}
