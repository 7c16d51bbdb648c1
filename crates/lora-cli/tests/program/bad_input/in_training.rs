//! Mistakes in files and settings of a training.

use super::check;
use crate::workspace::{Workspace, recipe};

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
        message: &[
            "line 13: max_seq_length is 41",
            "at most 40",
            "lower max_seq_length",
        ],
    },
    Mistake {
        what: "texts of special tokens alone",
        changes: &[("max_seq_length", "4")],
        files: NOTHING,
        message: &["line 13: max_seq_length 4 leaves no room", "give at least 5"],
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
        changes: &[
            ("train_file", ""),
            ("validation_file", ""),
            ("data_file", "train.csv"),
        ],
        files: |workspace| workspace.write("train.csv", "text,label\na,good\nb,bad\n"),
        message: &["2 rows cannot be split", "give more rows"],
    },
    Mistake {
        what: "the file of the training rows given as the one of all rows",
        changes: &[("train_file", ""), ("data_file", "train.csv")],
        files: |_| {},
        message: &[
            "validation_file and data_file are both given",
            "give train_file (--train-file)",
        ],
    },
    Mistake {
        what: "fields between other separators",
        changes: &[],
        files: |workspace| workspace.write("train.csv", "text:label\na:good\nb:bad\n"),
        message: &["`train.csv`", "the columns are `text:label`", "--text-column"],
    },
    Mistake {
        what: "no header and no index",
        changes: &[("header", "false")],
        files: NOTHING,
        message: &[
            "`train.csv`",
            "must be given by index",
            "--text-column 0 --label-column 1",
        ],
    },
    Mistake {
        what: "decimal labels with a slip among them",
        changes: &[],
        files: |workspace| workspace.write("train.csv", "text,label\na,1.5\nb,n/a\nc,2.5\nd,3.5\n"),
        message: &["most labels are decimal numbers", "`train.csv`, line 3", "`n/a`"],
    },
    Mistake {
        what: "a label of its own for every row",
        changes: &[],
        files: |workspace| {
            let rows: Vec<String> = (0..30).map(|row| format!("a film,id{row}")).collect();
            workspace.write("train.csv", format!("text,label\n{}", rows.join("\n")));
        },
        message: &["30 different labels in 30 rows", "label_column", "problem_type"],
    },
    Mistake {
        what: "two columns of one name",
        changes: &[],
        files: |workspace| workspace.write("train.csv", "text,text,label\na,b,good\nc,d,bad\n"),
        message: &["`train.csv`", "two columns are named `text`"],
    },
    Mistake {
        what: "adapters larger than their model",
        changes: &[("r", "100000")],
        files: NOTHING,
        message: &["run.yaml`, line", "with r 100000 the adapters hold", "8 is usual"],
    },
    Mistake {
        what: "a target name that was read as a pattern",
        changes: &[("target_modules", "query")],
        files: NOTHING,
        message: &["target_modules `query` matches none", "stands in a list: [query]"],
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
        what: "a mask probability that is no number",
        changes: &[("mask_probability", "often")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "mask_probability is \"often\"",
            "a number or auto",
        ],
    },
    Mistake {
        what: "plain masks whose probability is to be found",
        changes: &[("mask_probability", "auto"), ("mask_rescale", "plain")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "masks are plain",
            "set mask_rescale to rescaled",
        ],
    },
    Mistake {
        what: "a mask probability to be found without evaluations",
        changes: &[("mask_probability", "auto"), ("eval_strategy", "no")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "nothing is evaluated",
            "eval_strategy to epoch or steps",
        ],
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
        message: &["run.yaml`, line", "`valeu`", "did you mean `value`?"],
    },
    Mistake {
        what: "ranks for a linear that is not there",
        changes: &[("rank_pattern", "{qurey: 3}")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "rank_pattern holds `qurey`",
            "did you mean `query`?",
        ],
    },
    Mistake {
        what: "alphas for a linear that is not adapted",
        changes: &[("alpha_pattern", "{key: 3}")],
        files: NOTHING,
        message: &["alpha_pattern holds `key`", "query, value"],
    },
    Mistake {
        what: "an unknown key",
        changes: &[("learning_rte", "1")],
        files: NOTHING,
        message: &[
            "run.yaml`, line 14",
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
        what: "MLflow without a server",
        changes: &[("report_to", "mlflow")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "no server is given",
            "mlflow_tracking_uri",
            "MLFLOW_TRACKING_URI",
        ],
    },
    Mistake {
        what: "a server of MLflow that is none",
        changes: &[("report_to", "mlflow"), ("mlflow_tracking_uri", "mlruns")],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "mlflow_tracking_uri is `mlruns`",
            "http://127.0.0.1:5000",
        ],
    },
    Mistake {
        what: "a password in the address of a server",
        changes: &[
            ("report_to", "mlflow"),
            ("mlflow_tracking_uri", "https://jane:pw@example.org"),
        ],
        files: NOTHING,
        message: &[
            "run.yaml`, line",
            "holds a name or a password",
            "MLFLOW_TRACKING_TOKEN",
        ],
    },
    Mistake {
        what: "an experiment that nothing goes to",
        changes: &[("mlflow_experiment_name", "reviews")],
        files: NOTHING,
        message: &["run.yaml`, line", "nothing goes to MLflow", "report_to: mlflow"],
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
