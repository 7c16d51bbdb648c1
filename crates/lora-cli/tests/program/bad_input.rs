//! Bad input: one sentence that names the place and the mend, exit code 2, nothing written.

use crate::workspace::{Said, Workspace, recipe};

/// One mistake: how the folder or the recipe differs from one that works, and what the message must name.
struct Mistake {
    what: &'static str,
    changes: &'static [(&'static str, &'static str)],
    files: fn(&Workspace),
    message: &'static [&'static str],
}

const NOTHING: fn(&Workspace) = |_| {};

const IN_TRAINING: &[Mistake] = &[
    Mistake {
        what: "a missing model",
        changes: &[("model_name_or_path", "./no-model")],
        files: NOTHING,
        message: &["run.yaml`, line", "`./no-model`", "give a folder that exists"],
    },
    Mistake {
        what: "a hub id without network",
        changes: &[("model_name_or_path", "organization/name")],
        files: NOTHING,
        message: &["`organization/name`", "HF_HUB_OFFLINE"],
    },
    Mistake {
        what: "a model folder without weights",
        changes: &[],
        files: |workspace| std::fs::remove_file(workspace.path("model/model.safetensors")).unwrap(),
        message: &["holds no model.safetensors", "a model folder has"],
    },
    Mistake {
        what: "a model file that was cut short",
        changes: &[],
        files: |workspace| {
            let bytes = workspace.read("model/model.safetensors");
            workspace.write("model/model.safetensors", &bytes[..bytes.len() / 2]);
        },
        message: &[
            "model.safetensors is not a valid safetensors file",
            "fetch or write it again",
        ],
    },
    Mistake {
        what: "a model file that is no model",
        changes: &[],
        files: |workspace| workspace.write("model/model.safetensors", "version https://git-lfs\noid"),
        message: &["model.safetensors is not a valid safetensors file"],
    },
    Mistake {
        what: "a model configuration that is no JSON",
        changes: &[],
        files: |workspace| workspace.write("model/config.json", "{\"model_type\": \"bert\",\n}"),
        message: &["config.json", "line 2"],
    },
    Mistake {
        what: "a family that is not known",
        changes: &[],
        files: |workspace| workspace.write("model/config.json", r#"{"model_type": "mamba"}"#),
        message: &["`mamba`", "supported: bert"],
    },
    Mistake {
        what: "a tokenizer that is no JSON",
        changes: &[],
        files: |workspace| workspace.write("model/tokenizer.json", "{"),
        message: &["tokenizer.json", "not a tokenizer"],
    },
    Mistake {
        what: "texts longer than the model's positions",
        changes: &[("max_seq_length", "41")],
        files: NOTHING,
        message: &["max_seq_length is 41", "at most 40", "lower max_seq_length"],
    },
    Mistake {
        what: "a missing data file",
        changes: &[("train_file", "nowhere.csv")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "`nowhere.csv`: there is no such file",
            "check the path",
        ],
    },
    Mistake {
        what: "a wrong column",
        changes: &[("text_column", "txet")],
        files: NOTHING,
        message: &["`train.csv`", "no text column `txet`", "did you mean `text`?"],
    },
    Mistake {
        what: "a label that training does not have",
        changes: &[("validation_file", "dev.csv")],
        files: |workspace| workspace.write("dev.csv", "text,label\na film,good\nanother,god\n"),
        message: &["`dev.csv`, line 3", "label `god`", "did you mean `good`?"],
    },
    Mistake {
        what: "a line that is not UTF-8",
        changes: &[],
        files: |workspace| workspace.write("train.csv", b"text,label\na caf\xe9,good\nb,bad\n"),
        message: &["`train.csv`, line 2", "0xE9", "save the file as UTF-8"],
    },
    Mistake {
        what: "an empty file",
        changes: &[],
        files: |workspace| workspace.write("train.csv", ""),
        message: &["`train.csv`: the file is empty"],
    },
    Mistake {
        what: "one class only",
        changes: &[],
        files: |workspace| workspace.write("train.csv", "text,label\na,good\nb,good\n"),
        message: &["`train.csv`", "every row has the label `good`"],
    },
    Mistake {
        what: "too few rows to split",
        changes: &[("train_file", ""), ("data_file", "train.csv")],
        files: |workspace| workspace.write("train.csv", "text,label\na,good\nb,bad\n"),
        message: &["2 rows cannot be split", "give more rows"],
    },
    Mistake {
        what: "rank 0",
        changes: &[("r", "0")],
        files: NOTHING,
        message: &["run.yaml`, line", "rank is 0 in r", "8 is usual"],
    },
    Mistake {
        what: "a mask probability of 1",
        changes: &[("mask_probability", "1")],
        files: NOTHING,
        message: &["run.yaml`, line", "mask_probability is 1", "0.5 is the paper's"],
    },
    Mistake {
        what: "a target that matches nothing",
        changes: &[("target_modules", "[queri]")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "target_modules [queri] matches none",
            "attention.self.query",
        ],
    },
    Mistake {
        what: "one target of two that matches nothing",
        changes: &[("target_modules", "[query, valeu]")],
        files: NOTHING,
        message: &["run.yaml`, line", "`valeu`", "value"],
    },
    Mistake {
        what: "an unknown key",
        changes: &[("learning_rte", "1")],
        files: NOTHING,
        message: &[
            "run.yaml`, line 13",
            "unknown key `learning_rte`",
            "did you mean `learning_rate`?",
        ],
    },
    Mistake {
        what: "a word where a number belongs",
        changes: &[("learning_rate", "fast")],
        files: NOTHING,
        message: &["run.yaml`, line", "learning_rate is \"fast\""],
    },
    Mistake {
        what: "a metric of another task",
        changes: &[("metric_for_best_model", "pearson")],
        files: NOTHING,
        message: &["metric_for_best_model is `pearson`", "accuracy"],
    },
    Mistake {
        what: "a device that was not built",
        changes: &[("device", "rocm")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "device `rocm` is not in this build",
            "--features rocm",
        ],
    },
    Mistake {
        what: "a file in the place of the output folder",
        changes: &[("output_dir", "train.csv")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "output_dir is `train.csv`",
            "is a file",
            "choose another folder",
        ],
    },
    Mistake {
        what: "an output folder below a file",
        changes: &[("output_dir", "train.csv/out")],
        files: NOTHING,
        message: &["`train.csv` is a file", "choose another folder"],
    },
    Mistake {
        what: "an output folder with other files in it",
        changes: &[("output_dir", "model"), ("overwrite_output_dir", "true")],
        files: NOTHING,
        message: &[
            "output_dir `model` holds files",
            "choose a new or an empty folder",
        ],
    },
];

fn check(what: &str, workspace: &Workspace, arguments: &[&str], message: &[&str]) {
    let before = workspace.everything();
    let said = workspace.lora(arguments);
    assert_one_sentence(what, &said);
    for part in message {
        assert!(
            said.stderr.contains(part),
            "{what}: no `{part}` in: {}",
            said.stderr
        );
    }
    assert!(workspace.everything() == before, "{what}: something was written");
}

fn assert_one_sentence(what: &str, said: &Said) {
    assert_eq!(said.code, Some(2), "{what}: {}", said.stderr);
    assert_eq!(said.stdout, "", "{what}");
    let errors: Vec<&str> = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{what}: {}", said.stderr);
    assert_eq!(
        said.stderr.lines().last(),
        errors.first().copied(),
        "{what}: the sentence is the last line"
    );
    for word in ["panic", "this is a bug", "backtrace", "thread '"] {
        assert!(!said.stderr.contains(word), "{what}: {}", said.stderr);
    }
}

#[test]
fn every_mistake_before_training_is_one_sentence_and_leaves_nothing() {
    for Mistake {
        what,
        changes,
        files,
        message,
    } in IN_TRAINING
    {
        let workspace = Workspace::new();
        workspace.write("run.yaml", recipe(changes));
        files(&workspace);
        check(what, &workspace, &["train", "--config", "run.yaml"], message);
    }
}

#[test]
fn a_configuration_that_does_not_parse_is_refused_by_file_and_line() {
    let workspace = Workspace::new();
    workspace.write("a.yaml", "r: 4\nseed: [1\n");
    workspace.write("b.toml", "r = 4\nseed = = 1\n");
    workspace.write("c.json", "{\n\"r\": 4,,\n}");
    workspace.write("d.ini", "r = 4\n");
    workspace.write("e.yaml", b"r: \xff\n");
    let files = [
        ("a.yaml", "not valid YAML"),
        ("b.toml", "line 2: not valid TOML"),
        ("c.json", "line 2: not valid JSON"),
        ("d.ini", "end it in .yaml, .toml or .json"),
        ("e.yaml", "is not UTF-8"),
        ("missing.yaml", "cannot read the configuration file"),
    ];
    for (file, message) in files {
        check(file, &workspace, &["train", "--config", file], &[file, message]);
    }
}

#[test]
fn a_wrong_flag_is_named_as_a_flag() {
    let workspace = Workspace::new();
    let train = ["train", "--config", "run.yaml"];
    for (flag, value, message) in [
        ("--r", "0", "flag --r: rank is 0"),
        (
            "--mask-probability",
            "1",
            "flag --mask-probability: mask_probability is 1",
        ),
        (
            "--rank-pattern",
            "query",
            "flag --rank-pattern: `query` is no list of pairs",
        ),
        (
            "--output-dir",
            "train.csv",
            "flag --output-dir: output_dir is `train.csv`",
        ),
    ] {
        check(
            flag,
            &workspace,
            &[&train[..], &[flag, value]].concat(),
            &[message],
        );
    }
}

#[test]
fn an_unknown_flag_is_refused_with_a_suggestion() {
    let said = Workspace::new().lora(&["train", "--learning-rte", "1"]);
    assert_eq!(said.code, Some(2));
    assert!(said.stderr.contains("--learning-rate"), "{}", said.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_takes_no_files_is_refused_before_training() {
    // Nobody, not even an administrator, can make a file there.
    let workspace = Workspace::new();
    check(
        "a read-only folder",
        &workspace,
        &["train", "--config", "run.yaml", "--output-dir", "/proc/lora-run"],
        &[
            "output_dir `/proc/lora-run` cannot be written to",
            "choose a folder that you may write to",
        ],
    );
}

#[test]
fn mistakes_with_an_adapter_are_one_sentence_and_leave_nothing() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace.write("odd.csv", "text,label\na film,splendid\n");
    workspace.write("other.csv", "review,label\na film,good\n");
    workspace.write("empty.csv", "");
    workspace.write("latin.csv", b"text,label\na caf\xe9,good\n");
    std::fs::create_dir_all(workspace.path("hollow")).unwrap();
    let eval = |data: &'static str| vec!["eval", "--adapter", "out", "--data", data];
    let cases: [(&str, Vec<&str>, &[&str]); 13] = [
        (
            "no adapter",
            vec!["eval", "--adapter", "nowhere", "--data", "train.csv"],
            &["nowhere", "adapter_config.json"],
        ),
        (
            "an unknown label",
            eval("odd.csv"),
            &["`odd.csv`, line 2", "`splendid`", "`bad`, `good`"],
        ),
        (
            "a wrong column",
            eval("other.csv"),
            &["`other.csv`", "no text column `text`", "`review`"],
        ),
        (
            "an empty file",
            eval("empty.csv"),
            &["`empty.csv`: the file is empty"],
        ),
        ("no UTF-8", eval("latin.csv"), &["`latin.csv`, line 2", "UTF-8"]),
        (
            "another base",
            vec![
                "eval",
                "--adapter",
                "out",
                "--data",
                "train.csv",
                "--base",
                "minilm-l6",
            ],
            &["adapter_model.safetensors", "shape"],
        ),
        (
            "labels that do not fit the head",
            vec![
                "eval",
                "--adapter",
                "out",
                "--data",
                "train.csv",
                "--labels",
                "a,b,c",
            ],
            &["head for 2 outputs", "3 labels", "--labels"],
        ),
        (
            "a report below a file",
            vec![
                "eval",
                "--adapter",
                "out",
                "--data",
                "train.csv",
                "--report",
                "train.csv/page.html",
            ],
            &["cannot write train.csv/page.html"],
        ),
        (
            "an output without form",
            vec!["predict", "--adapter", "out", "--output", "a.txt", "x"],
            &["`a.txt`", ".jsonl or .csv"],
        ),
        (
            "an empty text",
            vec!["predict", "--adapter", "out", "fine", " "],
            &["text 2 is empty"],
        ),
        (
            "no text on the standard input",
            vec!["predict", "--adapter", "out", "-"],
            &["there is no text"],
        ),
        (
            "nothing to inspect",
            vec!["inspect", "hollow"],
            &["`hollow` holds neither adapter_config.json nor config.json"],
        ),
        (
            "an earlier run",
            vec!["train", "--config", "run.yaml"],
            &["output_dir `out` holds an earlier run", "--overwrite"],
        ),
    ];
    for (what, arguments, message) in cases {
        check(what, &workspace, &arguments, message);
    }
    let tensors = workspace.read("out/adapter_model.safetensors");
    workspace.write("out/adapter_model.safetensors", &tensors[..tensors.len() - 7]);
    check(
        "a cut adapter",
        &workspace,
        &eval("train.csv"),
        &["adapter_model.safetensors is not a valid safetensors file"],
    );
    workspace.write("out/adapter_model.safetensors", tensors);
    workspace.write("out/task.json", "{");
    check(
        "a damaged task file",
        &workspace,
        &eval("train.csv"),
        &["task.json` is damaged", "--labels"],
    );
}
