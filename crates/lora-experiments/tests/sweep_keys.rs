//! What the cells of a sweep are known by: results files of earlier programs must be found again by every later one.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_experiments::sweep::{Sweep, file};

const SWEEP: &str = "\
base:
  model_name_or_path: minilm-l6
  max_seq_length: 8
  learning_rate: 2e-3
  max_steps: 2
  per_device_train_batch_size: 2
  layers_to_transform: [5]
  eval_strategy: \"no\"
tasks:
  - {name: snippets, shifted: {split: tweets}, rows: [4], validation_rows: 4, test_rows: 4}
  - {name: own, data: {train_file: FOLDER/train.csv, test_file: FOLDER/test.csv}, rows: [4], validation_rows: 4}
methods:
  - name: LoRA
    predictions: [mean, {deep_ensemble: {members: 2}}]
  - name: dropout
    train: {mask_rescale: rescaled, mask_grouping: example}
    grid: {mask_probability: [0.5]}
    predictions: [{ensemble: {members: 2}}]
seeds: [1]
";

/// As the program of the commit c363f26 wrote them, before there were tasks of other rows than texts.
const TRAININGS: [&str; 6] = [
    "28bf09fc56de1627",
    "7305f03c33771796",
    "51cacc936d5d01ea",
    "062b7334ef5d771c",
    "cb200fe8da64749a",
    "df054de95f8c6b89",
];
const CELLS: [&str; 6] = [
    "cce381bb49755c4b",
    "ff2c8355fd54a68e",
    "c7e4161155a339f9",
    "80ac17a451a70bd0",
    "00de36d0ecf3a55e",
    "38aab2a09a992f4a",
];

#[test]
fn cells_of_texts_have_the_keys_that_they_always_had() {
    let (trainings, cells) = keys_of(SWEEP);
    assert_eq!(trainings, TRAININGS);
    assert_eq!(cells, CELLS);
}

#[test]
fn scores_on_the_way_and_a_fixed_budget_leave_known_keys_as_they_are() {
    let more = format!("{SWEEP}stopping: [never, early]\ncurve: {{epochs: [1], rows: 2}}\n");
    let (trainings, cells) = keys_of(&more);
    assert_eq!(trainings, TRAININGS);
    // Every trial twice: without early stopping, under a new key, then as always.
    assert_eq!(cells.len(), 2 * CELLS.len());
    for (pair, known) in cells.chunks(2).zip(CELLS) {
        assert_ne!(pair[0], known);
        assert_eq!(pair[1], known);
    }
}

/// The keys of trainings and cells.
fn keys_of(sweep: &str) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.yaml");
    let rows = |what: &str, count: usize, end: &str| {
        let row = |row: usize| format!("{what} {row}{end},{}\n", ["a", "b"][row % 2]);
        format!("text,label\n{}", (0..count).map(row).collect::<String>())
    };
    for (name, text) in [
        (
            "sweep.yaml",
            sweep.replace("FOLDER", &folder.path().display().to_string()),
        ),
        ("train.csv", rows("row", 10, " of the file")),
        ("test.csv", rows("test row", 4, "")),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = file::read(&path).unwrap();
    let plan = Sweep::open(&path, file, None).unwrap().plan;
    let trainings = plan.trainings.into_iter().map(|training| training.key);
    let cells = plan.trials.into_iter().map(|cell| cell.key);
    (trainings.collect(), cells.collect())
}
