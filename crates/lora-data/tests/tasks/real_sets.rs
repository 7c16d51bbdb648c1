//! Row counts of the real sets, where the folder that holds them lies beside the checkout; their licences forbid carrying them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use lora_data::tasks::{ChoiceQuestion, ReadSplit, find};
use lora_data::{Target, Targets};

use super::{classes, read_path};

/// The folder with the sets, or `None` and a line that says why nothing is tested.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn sets() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no folder shared/data beside the checkout");
    None
}

/// Reads a split and compares the number of its rows and of those left out.
fn expect(set: &str, task: &str, split: &str, rows: usize, left_out: usize) -> Option<ReadSplit> {
    let read = read_path(task, split, &sets()?.join(set));
    assert_eq!(
        (read.rows.len(), read.left_out),
        (rows, left_out),
        "{task} {split}"
    );
    Some(read)
}

/// The same, and the number that the table announces is the one that is found.
fn as_announced(set: &str, task: &str, split: &str) -> Option<ReadSplit> {
    let rows = find(task).unwrap().split(split).unwrap().rows.unwrap();
    expect(set, task, split, rows, 0)
}

#[test]
fn glue_has_the_rows_that_the_table_announces() {
    for (set, task, split) in [
        ("cola", "cola", "train"),
        ("cola", "cola", "validation"),
        ("cola", "cola", "validation_in_domain"),
        ("cola", "cola", "validation_out_of_domain"),
        ("cola/glue", "cola", "test"),
        ("sst2", "sst2", "train"),
        ("sst2", "sst2", "validation"),
        ("sst2", "sst2", "test"),
        ("mrpc", "mrpc", "validation"),
        ("mrpc", "mrpc", "test"),
        ("rte", "rte", "train"),
        ("rte", "rte", "validation"),
        ("rte", "rte", "test"),
        ("stsb", "stsb", "train"),
        ("stsb", "stsb", "validation"),
        ("stsb", "stsb", "test"),
    ] {
        as_announced(set, task, split);
    }
    // This copy of the file has lost one pair.
    expect("mrpc", "mrpc", "train", 3_667, 0);
}

#[test]
fn the_originals_have_the_labels_that_glue_keeps_back() {
    let Some(sets) = sets() else { return };
    let mrpc = read_path("mrpc", "test", &sets.join("mrpc"))
        .into_texts()
        .unwrap();
    let equivalent = classes(&mrpc)
        .iter()
        .filter(|name| **name == "equivalent")
        .count();
    assert_eq!(equivalent, 1_147);
    let stsb = read_path("stsb", "test", &sets.join("stsb"))
        .into_texts()
        .unwrap();
    assert_eq!(stsb.examples[0].target, Some(Target::Value(2.5)));
    let hidden = read_path("mrpc", "test", &sets.join("mrpc/test.tsv"))
        .into_texts()
        .unwrap();
    assert_eq!(hidden.targets().unwrap(), Targets::None);
}

#[test]
fn trec_and_clinc150_have_the_rows_that_the_table_announces() {
    for task in ["trec", "trec-fine"] {
        as_announced("trec", task, "train");
        as_announced("trec", task, "test");
    }
    for split in find("clinc150").unwrap().splits {
        let Some(read) = as_announced("clinc150", "clinc150", split.name) else {
            return;
        };
        as_announced("clinc150", "clinc150-small", split.name);
        assert_eq!(read.into_texts().unwrap().task.outputs(), 150);
    }
}

#[test]
fn squad_has_its_questions() {
    as_announced("squad", "squad", "validation");
    // 439 of the 442 articles.
    expect("squad", "squad", "train", 87_433, 0);
    let Some(second) = as_announced("squad", "squad-v2", "validation") else {
        return;
    };
    let spans = second.into_spans().unwrap();
    assert_eq!(
        spans
            .questions
            .iter()
            .filter(|question| question.answers.is_empty())
            .count(),
        5_945
    );
}

#[test]
fn choices_have_the_rows_that_the_table_announces() {
    let commonsense = "llm_adapters_commonsense";
    for (set, task, split) in [
        (commonsense, "boolq", "train"),
        (commonsense, "boolq", "validation"),
        (commonsense, "obqa", "train"),
        (commonsense, "obqa", "test"),
        (commonsense, "arc-easy", "train"),
        (commonsense, "arc-easy", "test"),
        (commonsense, "arc-challenge", "train"),
        (commonsense, "arc-challenge", "test"),
        (commonsense, "winogrande", "validation"),
        ("mmlu", "mmlu", "dev"),
        ("mmlu", "mmlu", "test"),
    ] {
        as_announced(set, task, split);
    }
    // Two questions fewer than on the hub.
    expect("mmlu", "mmlu", "validation", 1_529, 0);
    // The CSV form has lost the choices of questions that number them, and the fifth of those that have five.
    expect("arc_csv", "arc-easy", "train", 2_147, 104);
    expect("arc_csv", "arc-easy", "validation", 549, 21);
    expect("arc_csv", "arc-challenge", "train", 1_096, 23);
    expect("arc_csv", "arc-challenge", "validation", 294, 5);
}

#[test]
fn both_forms_of_arc_hold_the_same_questions() {
    let Some(sets) = sets() else { return };
    let csv = read_path("arc-easy", "train", &sets.join("arc_csv"))
        .into_choices()
        .unwrap();
    let json = read_path("arc-easy", "train", &sets.join("llm_adapters_commonsense"))
        .into_choices()
        .unwrap();
    let plain = |question: &ChoiceQuestion| {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        (
            words(&question.question),
            words(&question.choices[question.answer.unwrap()]),
        )
    };
    let of_json: HashSet<_> = json.iter().map(plain).collect();
    let same = csv.iter().filter(|question| of_json.contains(&plain(question)));
    assert!(same.count() > 2_100);
}

#[test]
fn every_subject_of_mmlu_has_five_questions_to_show() {
    let Some(sets) = sets() else { return };
    let read = |split| {
        read_path("mmlu", split, &sets.join("mmlu"))
            .into_choices()
            .unwrap()
    };
    let (dev, test) = (read("dev"), read("test"));
    let style = find("mmlu").unwrap().prompt_style().unwrap();
    let prompts = lora_data::tasks::prompts(&test, style, &dev, 5).unwrap();
    assert!(
        prompts
            .iter()
            .all(|prompt| prompt.text.matches("\nAnswer:").count() >= 6 && prompt.answer.is_some())
    );
}

#[test]
fn alpaca_has_its_rows_without_two_empty_answers() {
    let Some(sets) = sets() else { return };
    let read = read_path("alpaca", "train", &sets.join("alpaca/alpaca_5000.json"));
    assert_eq!((read.rows.len(), read.left_out), (4_998, 2));
    let instructions = read.into_instructions().unwrap();
    assert_eq!(
        instructions
            .iter()
            .filter(|instruction| !instruction.input.is_empty())
            .count(),
        1_943
    );
}
