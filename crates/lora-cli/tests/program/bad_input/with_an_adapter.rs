//! Mistakes with an adapter that is there.

use super::{check, check_said};
use crate::workspace::{Workspace, ending_in};

/// What is wrong, the command, and what the message must name.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "no adapter",
        &["eval", "--adapter", "nowhere", "--data", "train.csv"],
        &["there is no folder `nowhere`", "as lora train and PEFT write it"],
    ),
    (
        "a text in the place of the adapter",
        &["predict", "a gripping film"],
        &[
            "the first word is the adapter folder",
            "lora predict DIR \"a gripping film\"",
        ],
    ),
    (
        "a slip in the name of the adapter",
        &["predict", "outt"],
        &["there is no folder `outt`", "did you mean `out`?"],
    ),
    (
        "the standard input without a format",
        &["eval", "out", "--data", "-"],
        &["the format cannot be told", "--data-format csv"],
    ),
    (
        "an unknown label",
        &["eval", "--adapter", "out", "--data", "odd.csv"],
        &["`odd.csv`, line 2", "`splendid`", "`bad`, `good`"],
    ),
    (
        "a wrong column",
        &["eval", "--adapter", "out", "--data", "other.csv"],
        &["`other.csv`", "no text column `text`", "--text-column review"],
    ),
    (
        "a file of rows in the place of a text",
        &["predict", "out", "a film", "train.csv"],
        &["`train.csv` is a file", "--data train.csv", "put -- before them"],
    ),
    (
        "the name of a file that is not there in the place of a text",
        &["predict", "out", "nosuch.csv"],
        &[
            "`nosuch.csv` is no text but the name of a file, which is not there",
            "put -- before them",
        ],
    ),
    (
        "a workbook in the place of a text",
        &["predict", "out", "sheet.xlsx"],
        &["`sheet.xlsx` is an Excel workbook, which is not read; save the sheet as CSV"],
    ),
    (
        "a compressed file",
        &["predict", "out", "--data", "train.csv.gz"],
        &["`train.csv.gz` is a compressed file, which is not read; unpack it first"],
    ),
    (
        "an empty file",
        &["eval", "--adapter", "out", "--data", "empty.csv"],
        &["`empty.csv`: the file is empty"],
    ),
    (
        "no UTF-8",
        &["eval", "--adapter", "out", "--data", "latin.csv"],
        &["`latin.csv`, line 2", "UTF-8"],
    ),
    (
        "another base",
        &[
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
        &[
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
        &[
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
        "a report in the place of the data",
        &[
            "eval",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--report",
            "train.csv",
        ],
        &["--report `train.csv`", "end the name in .html"],
    ),
    (
        "a report over a page of somebody else",
        &[
            "eval",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--report",
            "mine.html",
        ],
        &["--report `mine.html` exists already", "no report of this program"],
    ),
    (
        "a report in a folder that is not there",
        &[
            "eval",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--report",
            "nowhere/page.html",
        ],
        &["there is no folder `nowhere`", "make it first"],
    ),
    (
        "predictions over what is read",
        &[
            "predict",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--output",
            "train.csv",
            "--overwrite",
        ],
        &["--output `train.csv` is the file that is read"],
    ),
    (
        "predictions over another file",
        &[
            "predict",
            "--adapter",
            "out",
            "--data",
            "train.csv",
            "--output",
            "dev.csv",
        ],
        &["--output `dev.csv` exists already", "--overwrite"],
    ),
    (
        "predictions in a folder that is not there",
        &["predict", "--adapter", "out", "--output", "nowhere/a.csv", "x"],
        &["there is no folder `nowhere`"],
    ),
    (
        "a demo over a training",
        &["demo", "--fast", "--output", "out"],
        &[
            "output_dir `out` holds a training",
            "never written over by a demo",
        ],
    ),
    (
        "no text at all",
        &["predict", "--adapter", "out"],
        &["give texts as arguments", "--data"],
    ),
    (
        "an output without form",
        &["predict", "--adapter", "out", "--output", "a.txt", "x"],
        &["`a.txt`", ".jsonl or .csv"],
    ),
    (
        "an empty text",
        &["predict", "--adapter", "out", "--strict", "fine", " "],
        &["text 2 is empty"],
    ),
    (
        "no text on the standard input",
        &["predict", "--adapter", "out", "-"],
        &["there is no text"],
    ),
    (
        "nothing to inspect",
        &["inspect", "hollow"],
        &["`hollow` holds neither adapter_config.json nor config.json"],
    ),
    (
        "more members than the memory holds",
        &["predict", "out", "--members", "100000000000", "a film"],
        &["100000000000 members", "at most 10000"],
    ),
    (
        "an earlier run",
        &["train", "--config", "run.yaml"],
        &["output_dir `out` holds an earlier run", "--overwrite"],
    ),
];

const EVAL: &[&str] = &["eval", "--adapter", "out", "--data", "train.csv"];

#[test]
fn mistakes_with_an_adapter_are_one_sentence_and_leave_nothing() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace.write("odd.csv", "text,label\na film,splendid\n");
    workspace.write("other.csv", "review,label\na film,good\n");
    workspace.write("empty.csv", "");
    workspace.write("sheet.xlsx", "PK");
    workspace.write("mine.html", "<!doctype html><p>mine");
    workspace.write("latin.csv", b"text,label\na caf\xe9,good\n");
    std::fs::create_dir_all(workspace.path("hollow")).unwrap();
    for (what, arguments, message) in CASES {
        check(what, &workspace, arguments, message);
    }
    workspace.lora_works(&["predict", "out", "--", "train.csv"]);
    let masks = workspace.read("out/lora_dropout.json");
    std::fs::remove_file(workspace.path("out/lora_dropout.json")).unwrap();
    check(
        "masks that are gone",
        &workspace,
        EVAL,
        &[
            "task.json asks for an ensemble of 3",
            "lora_dropout.json is missing",
        ],
    );
    workspace.write("out/lora_dropout.json", masks);
    let tensors = workspace.read("out/adapter_model.safetensors");
    workspace.write("out/adapter_model.safetensors", &tensors[..tensors.len() - 7]);
    check(
        "a cut adapter",
        &workspace,
        EVAL,
        &["adapter_model.safetensors is not a valid safetensors file"],
    );
    workspace.write("out/adapter_model.safetensors", tensors);
    workspace.write("out/task.json", "{");
    check(
        "a damaged task file",
        &workspace,
        EVAL,
        &["task.json` is damaged", "--labels"],
    );
}

#[test]
fn damaged_numbers_are_refused_by_file_and_name() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    let tensors = workspace.read("out/adapter_model.safetensors");
    let merge = ["merge", "out", "--output", "merged"];
    let names_the_tensor = "adapter_model.safetensors: tensor `base_model.model.";
    workspace.write("out/adapter_model.safetensors", ending_in(f32::NAN, &tensors));
    for command in [
        &merge[..],
        &["export", "out", "--output", "plain"],
        &["inspect", "out"],
        EVAL,
    ] {
        check(
            "a weight that is no number",
            &workspace,
            command,
            &[names_the_tensor, "holds NaN"],
        );
    }
    let header = 8 + u64::from_le_bytes(tensors[..8].try_into().unwrap()) as usize;
    let huge = 1e30_f32.to_le_bytes().repeat((tensors.len() - header) / 4);
    workspace.write(
        "out/adapter_model.safetensors",
        [&tensors[..header], &huge].concat(),
    );
    let before = workspace.everything();
    let said = workspace.lora(&merge);
    check_said(
        "an update beyond f32",
        &workspace,
        &before,
        &said,
        1,
        &["would hold inf"],
    );
    workspace.write("out/adapter_model.safetensors", tensors);
    let base = workspace.read("model/model.safetensors");
    workspace.write("model/model.safetensors", ending_in(f32::INFINITY, &base));
    let message = ["model.safetensors: tensor `pooler.dense.weight` holds inf"];
    for command in [&merge[..], &["inspect", "model"]] {
        check("a base weight that is not finite", &workspace, command, &message);
    }
    workspace.write("model/model.safetensors", base);
    let tokenizer = String::from_utf8(workspace.read("model/tokenizer.json")).unwrap();
    workspace.write("model/tokenizer.json", tokenizer.replace(":30521}", ":30522}"));
    let message = ["tokenizer.json`: the token `##～` has the id 30522", "30522 rows"];
    check("a token beyond the table", &workspace, EVAL, &message);
    workspace.write("model/tokenizer.json", tokenizer);
    let task = String::from_utf8(workspace.read("out/task.json")).unwrap();
    let mut damaged: serde_json::Value = serde_json::from_str(&task).unwrap();
    damaged["temperature"]["mean"] = serde_json::json!(-1);
    workspace.write("out/task.json", damaged.to_string());
    check(
        "a damaged temperature",
        &workspace,
        EVAL,
        &["out/task.json`: temperature is -1"],
    );
}
