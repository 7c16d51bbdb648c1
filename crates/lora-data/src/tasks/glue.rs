//! The eight tasks of GLUE that the paper uses (Wang et al. 2019).
//!
//! GLUE's TSV files follow no quoting rules: a quote is a character. CoLA's have no header but for the test set; QQP's hold lines that
//! a line break inside of a question has truncated; test sets have no labels (the hub writes −1).

use super::texts::{Headerless, Labels, TextForm};
use super::{Benchmark, Form, TaskMetric, split};

const HUB: &str = "nyu-mll/glue";

pub(super) static COLA: Benchmark = Benchmark {
    name: "cola",
    title: "CoLA: is the sentence acceptable English?",
    metric: TaskMetric::Matthews,
    hub: Some((HUB, "cola")),
    license: "sentences of published linguistics works, for research",
    folders: &["CoLA", "glue"],
    splits: &[
        split("train", 8_551, &[&["train.tsv"], &["in_domain_train.tsv"]]),
        split(
            "validation",
            1_043,
            &[&["dev.tsv"], &["in_domain_dev.tsv", "out_of_domain_dev.tsv"]],
        ),
        split("validation_in_domain", 527, &[&["in_domain_dev.tsv"]]),
        split("validation_out_of_domain", 516, &[&["out_of_domain_dev.tsv"]]),
        split("test", 1_063, &[&["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["sentence"],
        labels: Labels::Names(&["unacceptable", "acceptable"]),
        // Source, label, the author's own mark, sentence.
        headerless: Some(Headerless {
            fields: &[4],
            text: 3,
            pair: None,
            label: 1,
        }),
        ..TextForm::PLAIN
    }),
};

pub(super) static SST2: Benchmark = Benchmark {
    name: "sst2",
    title: "SST-2: is the phrase of a film review positive?",
    metric: TaskMetric::Accuracy,
    hub: Some((HUB, "sst2")),
    license: "none stated; from Rotten Tomatoes reviews, for research",
    folders: &["SST-2"],
    splits: &[
        split("train", 67_349, &[&["train.tsv"]]),
        split("validation", 872, &[&["dev.tsv"]]),
        split("test", 1_821, &[&["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["sentence"],
        labels: Labels::Names(&["negative", "positive"]),
        ..TextForm::PLAIN
    }),
};

pub(super) static MRPC: Benchmark = Benchmark {
    name: "mrpc",
    title: "MRPC: do two sentences of news mean the same?",
    metric: TaskMetric::AccuracyAndF1,
    hub: Some((HUB, "mrpc")),
    license: "Microsoft's Shared Source licence, for research",
    folders: &["MRPC"],
    splits: &[
        split("train", 3_668, &[&["train.tsv"]]),
        split("validation", 408, &[&["dev.tsv"]]),
        // The original corpus has the labels that GLUE's test file leaves out.
        split("test", 1_725, &[&["msr_paraphrase_test.txt"], &["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["#1 string", "sentence1"],
        pair: &["#2 string", "sentence2"],
        label: &["quality", "label"],
        labels: Labels::Names(&["not_equivalent", "equivalent"]),
        ..TextForm::PLAIN
    }),
};

pub(super) static QQP: Benchmark = Benchmark {
    name: "qqp",
    title: "QQP: do two questions ask the same?",
    metric: TaskMetric::AccuracyAndF1,
    hub: Some((HUB, "qqp")),
    license: "Quora's terms of service, for non-commercial use",
    folders: &["QQP"],
    splits: &[
        split("train", 363_846, &[&["train.tsv"]]),
        split("validation", 40_430, &[&["dev.tsv"]]),
        split("test", 390_965, &[&["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["question1"],
        pair: &["question2"],
        label: &["is_duplicate", "label"],
        labels: Labels::Names(&["not_duplicate", "duplicate"]),
        leaves_out_broken: true,
        ..TextForm::PLAIN
    }),
};

pub(super) static MNLI: Benchmark = Benchmark {
    name: "mnli",
    title: "MNLI: does the premise entail or contradict the hypothesis?",
    metric: TaskMetric::Accuracy,
    hub: Some((HUB, "mnli")),
    license: "mixed by source: OANC's own licence, CC BY and CC BY-SA 3.0",
    folders: &["MNLI"],
    splits: &[
        split("train", 392_702, &[&["train.tsv"]]),
        split("validation_matched", 9_815, &[&["dev_matched.tsv"]]),
        split("validation_mismatched", 9_832, &[&["dev_mismatched.tsv"]]),
        split("test_matched", 9_796, &[&["test_matched.tsv"]]),
        split("test_mismatched", 9_847, &[&["test_mismatched.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["sentence1", "premise"],
        pair: &["sentence2", "hypothesis"],
        label: &["gold_label", "label"],
        labels: Labels::Names(&["entailment", "neutral", "contradiction"]),
        ..TextForm::PLAIN
    }),
};

pub(super) static QNLI: Benchmark = Benchmark {
    name: "qnli",
    title: "QNLI: does the sentence answer the question?",
    metric: TaskMetric::Accuracy,
    hub: Some((HUB, "qnli")),
    license: "CC BY-SA 4.0 (from SQuAD)",
    folders: &["QNLI"],
    splits: &[
        split("train", 104_743, &[&["train.tsv"]]),
        split("validation", 5_463, &[&["dev.tsv"]]),
        split("test", 5_463, &[&["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["question"],
        pair: &["sentence"],
        labels: Labels::Names(&["entailment", "not_entailment"]),
        ..TextForm::PLAIN
    }),
};

pub(super) static RTE: Benchmark = Benchmark {
    name: "rte",
    title: "RTE: does the text entail the sentence?",
    metric: TaskMetric::Accuracy,
    hub: Some((HUB, "rte")),
    license: "none stated; from news and Wikipedia, for research",
    folders: &["RTE"],
    splits: &[
        split("train", 2_490, &[&["train.tsv"]]),
        split("validation", 277, &[&["dev.tsv"]]),
        split("test", 3_000, &[&["test.tsv"]]),
    ],
    form: Form::Texts(TextForm {
        text: &["sentence1"],
        pair: &["sentence2"],
        labels: Labels::Names(&["entailment", "not_entailment"]),
        ..TextForm::PLAIN
    }),
};

pub(super) static STSB: Benchmark = Benchmark {
    name: "stsb",
    title: "STS-B: how similar are two sentences, from 0 to 5?",
    metric: TaskMetric::PearsonAndSpearman,
    hub: Some((HUB, "stsb")),
    license: "mixed by source, CC BY-SA 4.0 and others",
    folders: &["STS-B"],
    splits: &[
        split(
            "train",
            5_749,
            &[&["train.tsv"], &["original/sts-train.tsv"], &["sts-train.tsv"]],
        ),
        split(
            "validation",
            1_500,
            &[&["dev.tsv"], &["original/sts-dev.tsv"], &["sts-dev.tsv"]],
        ),
        // The original benchmark has the scores that GLUE's test file leaves out.
        split(
            "test",
            1_379,
            &[&["original/sts-test.tsv"], &["sts-test.tsv"], &["test.tsv"]],
        ),
    ],
    form: Form::Texts(TextForm {
        text: &["sentence1"],
        pair: &["sentence2"],
        label: &["score", "label"],
        labels: Labels::Values,
        // Genre, file, year, number, score, two sentences, and in some lines their two sources.
        headerless: Some(Headerless {
            fields: &[7, 9],
            text: 5,
            pair: Some(6),
            label: 4,
        }),
        ..TextForm::PLAIN
    }),
};
