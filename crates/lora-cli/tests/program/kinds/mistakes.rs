//! Mistakes: one sentence that names the place and the mend, exit code 2, nothing written.

use crate::bad_input::check;
use crate::language_model::write_tiny_llama;
use crate::workspace::{Workspace, recipe};

/// How the recipe differs from one that works, a file, and what the message must name.
type Mistake = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<(&'static str, &'static str)>,
    &'static [&'static str],
);

const OWN: (&str, &str) = ("validation_file", "");

const IN_TRAINING: &[Mistake] = &[
    (
        "a misspelled task",
        &[("train_file", ""), OWN, ("task_name", "mprc"), ("data_dir", ".")],
        None,
        &["run.yaml`, line", "no task `mprc`", "did you mean `mrpc`?"],
    ),
    (
        "a task without folder",
        &[("train_file", ""), OWN, ("task_name", "mrpc")],
        None,
        &["task_name is mrpc, but data_dir is not given", "lora tasks mrpc"],
    ),
    (
        "a folder without task",
        &[("train_file", ""), OWN, ("data_dir", ".")],
        None,
        &["data_dir is given without task_name"],
    ),
    (
        "a task and files",
        &[OWN, ("task_name", "mrpc"), ("data_dir", ".")],
        None,
        &["train_file and task_name are both given"],
    ),
    (
        "another kind of problem",
        &[
            ("train_file", ""),
            OWN,
            ("task_name", "squad"),
            ("data_dir", "."),
            ("problem_type", "regression"),
        ],
        None,
        &["problem_type is regression, but squad has questions about a context"],
    ),
    (
        "a folder that holds another set",
        &[
            ("train_file", ""),
            OWN,
            ("task_name", "mrpc"),
            ("data_dir", "model"),
        ],
        None,
        &["no file for the split `train` of task `mrpc`", "`train.tsv`"],
    ),
    (
        "a task that has no training rows",
        &[
            ("train_file", ""),
            OWN,
            ("task_name", "mmlu"),
            ("data_dir", "model"),
        ],
        None,
        &["mmlu has no training rows"],
    ),
    (
        "a folder that is a file",
        &[
            ("train_file", ""),
            OWN,
            ("task_name", "sst2"),
            ("data_dir", "train.csv"),
        ],
        None,
        &["`train.csv` is a file; give the folder"],
    ),
    (
        "a setting of questions beside texts",
        &[("doc_stride", "4")],
        None,
        &["line", "doc_stride is a setting of question answering"],
    ),
    (
        "windows that do not move on",
        &[
            ("train_file", "q.jsonl"),
            OWN,
            ("problem_type", "question_answering"),
            ("doc_stride", "24"),
        ],
        None,
        &["doc_stride is 24, but a window has 24 tokens"],
    ),
    (
        "an answer that is not in its context",
        &[
            ("train_file", "q.jsonl"),
            OWN,
            ("problem_type", "question_answering"),
        ],
        Some((
            "q.jsonl",
            "{\"question\": \"who ?\", \"context\": \"ada\", \"answer\": \"ada\"}\n{\"question\": \"who ?\", \"context\": \"ada\", \"answer\": \"ben\"}\n",
        )),
        &["q.jsonl`, line 2", "does not hold the answer `ben`"],
    ),
    (
        "a context without room",
        &[
            ("train_file", "q.jsonl"),
            OWN,
            ("problem_type", "question_answering"),
            ("max_seq_length", "6"),
            ("validation_fraction", "0"),
        ],
        Some((
            "q.jsonl",
            "{\"question\": \"who is it ?\", \"context\": \"ada\", \"answer\": \"ada\"}\n",
        )),
        &["max_seq_length 6 leaves", "raise the maximal length"],
    ),
    (
        "a word without tag",
        &[
            ("train_file", "w.conll"),
            OWN,
            ("problem_type", "token_classification"),
        ],
        Some(("w.conll", "ada B-PER\nlives\n")),
        &["w.conll`, line 2: 1 column, expected 2", "fix the line"],
    ),
    (
        "a tag that is new in the validation rows",
        &[
            ("train_file", "w.conll"),
            ("validation_file", "v.conll"),
            ("problem_type", "token_classification"),
        ],
        Some(("v.conll", "ada B-PER\n\nben B-PERS\n")),
        &["v.conll`, line 3", "label `B-PERS`", "did you mean `B-PER`?"],
    ),
    (
        "a column of texts beside tagged words",
        &[
            ("train_file", "w.conll"),
            OWN,
            ("problem_type", "token_classification"),
            ("label_column", "pos_tags"),
        ],
        None,
        &[
            "run.yaml`, line",
            "label_column would change nothing",
            "lora tasks words",
        ],
    ),
    (
        "a format of files beside a benchmark",
        &[
            ("train_file", ""),
            OWN,
            ("task_name", "mrpc"),
            ("data_dir", "."),
            ("data_format", "csv"),
        ],
        None,
        &["data_format would change nothing: the columns of mrpc"],
    ),
    (
        "more tags than words",
        &[
            ("train_file", "w.jsonl"),
            OWN,
            ("problem_type", "token_classification"),
        ],
        Some(("w.jsonl", "{\"tokens\": [\"ada\"], \"tags\": [\"O\", \"O\"]}\n")),
        &["w.jsonl`, line 1: 1 word and 2 tags"],
    ),
    (
        "lists in a CSV",
        &[
            ("train_file", "w.csv"),
            OWN,
            ("problem_type", "token_classification"),
        ],
        Some(("w.csv", "tokens,tags\nada,O\n")),
        &["w.csv`: a CSV holds no lists", "JSONL with `tokens` and `tags`"],
    ),
    (
        "an answer that names no choice",
        &[
            ("train_file", "c.jsonl"),
            OWN,
            ("problem_type", "multiple_choice"),
            ("model_name_or_path", "llama"),
        ],
        Some((
            "c.jsonl",
            "{\"question\": \"what ?\", \"choices\": [\"a\", \"b\"], \"answer\": \"E\"}\n",
        )),
        &["c.jsonl`, line 1", "names none of the 2 choices"],
    ),
    (
        "a tokenizer that has no letters",
        &[
            ("train_file", "c.jsonl"),
            OWN,
            ("problem_type", "multiple_choice"),
            ("model_name_or_path", "llama"),
            ("max_seq_length", "16"),
            ("validation_fraction", "0"),
        ],
        Some((
            "c.jsonl",
            "{\"question\": \"what ?\", \"choices\": [\"a\", \"b\"], \"answer\": \"A\"}\n",
        )),
        &["one and the same token"],
    ),
    (
        "an encoder for choices",
        &[
            ("train_file", "c.jsonl"),
            OWN,
            ("problem_type", "multiple_choice"),
            ("validation_fraction", "0"),
        ],
        Some((
            "c.jsonl",
            "{\"question\": \"what ?\", \"choices\": [\"a\", \"b\"], \"answer\": \"A\"}\n",
        )),
        &["run.yaml`, line 1", "is an encoder"],
    ),
];

#[test]
fn mistakes_in_a_training_are_refused_before_anything_is_written() {
    let workspace = Workspace::new();
    write_tiny_llama(&workspace.path("llama"));
    workspace.write("w.conll", "ada B-PER\nlives O\n");
    for (what, changes, file, message) in IN_TRAINING {
        workspace.write("run.yaml", recipe(changes));
        let before = file
            .map(|(name, _)| workspace.path(name))
            .filter(|path| path.exists());
        let kept = before.map(|path| (path.clone(), std::fs::read(path).unwrap()));
        if let Some((name, content)) = file {
            workspace.write(name, content);
        }
        check(what, &workspace, &["train", "--config", "run.yaml"], message);
        if let Some((path, content)) = kept {
            std::fs::write(path, content).unwrap();
        }
    }
}

#[test]
fn mistakes_with_an_adapter_are_refused() {
    let workspace = Workspace::new();
    workspace.write("sst2/dev.tsv", "sentence\tlabel\na film\t1\n");
    workspace.write("sst2/test.tsv", "sentence\na film\n");
    workspace.write(
        "q.jsonl",
        "{\"question\": \"who ?\", \"context\": \"ada\", \"answer\": \"ada\"}\n",
    );
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "1"]);
    let mistakes: [(&str, &[&str], &[&str]); 9] = [
        ("neither data nor task", &["eval"], &["--data"]),
        (
            "a task without folder",
            &["eval", "--task-name", "sst2"],
            &["--data-dir"],
        ),
        (
            "a misspelled task",
            &["eval", "--task-name", "sts2", "--data-dir", "sst2"],
            &["did you mean `sst2`?"],
        ),
        (
            "a misspelled split",
            &[
                "eval",
                "--task-name",
                "sst2",
                "--data-dir",
                "sst2",
                "--split",
                "tset",
            ],
            &["did you mean `test`?"],
        ),
        (
            "a split without labels",
            &[
                "eval",
                "--task-name",
                "sst2",
                "--data-dir",
                "sst2",
                "--split",
                "test",
            ],
            &["the split `test` of sst2 has no labels"],
        ),
        (
            "labels of another task",
            &["eval", "--task-name", "sst2", "--data-dir", "sst2"],
            &["the adapter's labels are bad, good, those of sst2 are negative, positive"],
        ),
        (
            "an adapter for another kind",
            &["eval", "--task-name", "squad", "--data-dir", "q.jsonl"],
            &["`out` is for single_label_classification, but squad has questions about a context"],
        ),
        (
            "shots where there are none",
            &[
                "eval",
                "--task-name",
                "sst2",
                "--data-dir",
                "sst2",
                "--shots",
                "5",
            ],
            &["the adapter's labels"],
        ),
        (
            "a context for a classifier",
            &["predict", "--context", "ada", "who ?"],
            &["--context is the text that questions are about"],
        ),
    ];
    for (what, command, message) in mistakes {
        let (subcommand, rest) = command.split_first().unwrap();
        let arguments = [&[*subcommand, "--adapter", "out"], rest].concat();
        let said = workspace.lora(&arguments);
        assert_eq!(said.code, Some(2), "{what}: {}", said.stderr);
        for part in message {
            assert!(
                said.stderr.contains(part),
                "{what}: no `{part}` in {}",
                said.stderr
            );
        }
    }
    let column = "eval --adapter out --task-name sst2 --data-dir sst2 --label-column label";
    let column: Vec<&str> = column.split(' ').collect();
    let nothing = "--label-column would change nothing: the columns of sst2";
    check("a column for a benchmark", &workspace, &column, &[nothing]);
    let output = ["predict", "--adapter", "out", "a film", "--output", "out.json"];
    check(
        "the official form for a classifier",
        &workspace,
        &output,
        &["written as .jsonl or .csv"],
    );
}
