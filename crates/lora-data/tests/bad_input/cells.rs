//! Cells without a text, labels without a meaning.

use lora_data::{LabelNames, LabelRule, ReadOptions, read_file};

use super::{case, check, known, sentence_of, with};

#[test]
fn cells_without_a_text() {
    check(vec![
        case(
            "empty.tsv",
            "text\tlabel\na\t0\n \t1\n",
            &["line 3: the text in `text` is empty", "remove the row"],
        ),
        case(
            "pair.csv",
            "premise,hypothesis,label\na,b,0\nc,,1\n",
            &["line 3: the text in `hypothesis` is empty"],
        ),
        case(
            "null.jsonl",
            "{\"text\": \"a\", \"label\": 0}\n{\"text\": null, \"label\": 1}\n",
            &["line 2: `text` has no value"],
        ),
        case(
            "key.jsonl",
            "{\"text\": \"a\", \"label\": 0}\n{\"label\": 1}\n",
            &["line 2: `text` has no value"],
        ),
        case(
            "type.json",
            "[{\"text\": \"a\", \"label\": 0},\n{\"text\": 5, \"label\": 1}]",
            &["line 2: `text` is a number", "expected a string"],
        ),
    ]);
}

#[test]
fn labels_that_mean_nothing() {
    let reviews = "text\tlabel\na\tgood\nb\tpostive\n";
    check(vec![
        with(
            case(
                "unknown.tsv",
                reviews,
                &[
                    "line 2: label `good` in `label` is not known",
                    "the labels are `negative`, `positive`",
                ],
            ),
            |options| options.labels = known(&["negative", "positive"]),
        ),
        with(
            case(
                "slip.tsv",
                reviews,
                &["line 3: label `postive`", "did you mean `positive`?"],
            ),
            |options| {
                options.labels = known(&["good", "positive"]);
            },
        ),
        with(
            case(
                "range.tsv",
                "text\tlabel\na\t2\n",
                &["line 2: label `2`", "`no`, `yes`"],
            ),
            |options| {
                options.labels = known(&["no", "yes"]);
            },
        ),
        case(
            "absent.csv",
            "text,label\na,0\nb,\n",
            &["line 3: `label` has no value", "remove the row"],
        ),
        case(
            "nan.csv",
            "text,label\na,0.0\nb,nan\nc,1.0\nd,1.0\n",
            &["line 3: `label` has no value"],
        ),
        case(
            "null.jsonl",
            "{\"text\": \"a\", \"label\": null}\n",
            &["line 1: `label` has no value"],
        ),
        case(
            "list.jsonl",
            "{\"text\": \"a\", \"label\": [0, 1]}\n",
            &[
                "line 1: `label` is a list",
                "one label",
                "problem_type multi_label_classification",
            ],
        ),
        case(
            "one.csv",
            "text,label\na,x\nb,x\n",
            &["every row has the label `x`", "at least two classes"],
        ),
        case(
            "decimal.tsv",
            "text\tscore\na\t3\nb\t3.8\n",
            &["line 3: label `3.8` in `score` is a decimal", "choose regression"],
        ),
    ]);
}

#[test]
fn targets_that_are_no_numbers() {
    let regression = |options: &mut ReadOptions| options.labels = LabelRule::Values;
    check(vec![
        with(
            case(
                "word.csv",
                "text,score\na,1\nb,high\n",
                &[
                    "line 3: `high` in `score` is not a finite number",
                    "choose classification",
                ],
            ),
            regression,
        ),
        with(
            case("nan.csv", "text,score\na,NaN\n", &["line 2: `NaN` in `score`"]),
            regression,
        ),
        with(
            case("large.csv", "text,score\na,1e39\n", &["line 2: `1e39`"]),
            regression,
        ),
        with(
            case(
                "comma.tsv",
                "text\tscore\na\t3,5\n",
                &["line 2: `3,5`", "write it like 3.5"],
            ),
            regression,
        ),
        with(
            case(
                "true.jsonl",
                "{\"text\": \"a\", \"score\": true}\n",
                &["line 1: `true` in `score`"],
            ),
            regression,
        ),
        with(
            case("none.csv", "text,score\na,\n", &["line 2: `score` has no value"]),
            regression,
        ),
    ]);
}

#[test]
fn many_labels_are_not_all_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.csv");
    std::fs::write(&path, "text,label\na,unheard of\n").unwrap();
    let names: Vec<String> = (0..150).map(|index| format!("intent {index}")).collect();
    let labels = LabelRule::Known(LabelNames::new(names).unwrap());
    let sentence = sentence_of(
        &read_file(
            &path,
            &ReadOptions {
                labels,
                ..ReadOptions::default()
            },
        )
        .unwrap_err(),
    );
    assert!(sentence.contains("`intent 11`, and 138 more"), "{sentence}");
}
