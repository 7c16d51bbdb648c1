//! What inputs are made of: reference cases of the repository, and small texts of each form.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

/// Where tiny models of each family are.
pub(crate) const MODELS: &str = "crates/lora-models/tests/golden/models";

/// A file of the repository.
pub(crate) fn file(path: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn of_files(paths: &[&str]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| file(path)).collect()
}

pub(crate) fn of_text(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// The first lines of a file.
pub(crate) fn lines_of(path: &str, count: usize) -> Vec<u8> {
    let content = file(path);
    let lines = content.split_inclusive(|byte| *byte == b'\n').take(count);
    lines.flatten().copied().collect()
}

/// `config.json` of a model of each family.
pub(crate) fn configs() -> Vec<Vec<u8>> {
    let models = [
        "modernbert_seqcls",
        "debertav2_seqcls",
        "distilbert_seqcls",
        "electra_seqcls",
        "gpt2_causal",
        "llama_yarn",
        "qwen2_yarn",
        "bert_relu_seqcls",
        "roberta_qa",
    ];
    models
        .map(|model| file(&format!("{MODELS}/{model}/base/config.json")))
        .to_vec()
}

/// The chat templates of the reference cases.
pub(crate) fn of_chats() -> Vec<Vec<u8>> {
    let cases: Value = serde_json::from_slice(&file("crates/lora-models/tests/golden/chat/turns.json"))
        .expect("reference cases");
    let cases = cases["cases"].as_array().expect("a list of cases");
    let templates = cases.iter().filter_map(|case| case["template"].as_str());
    templates.map(|template| template.as_bytes().to_vec()).collect()
}

/// A few lines of results: of one training, and of two trials.
pub(crate) fn results() -> Vec<Vec<u8>> {
    ["movies-64", "posteriors-256"]
        .map(|name| lines_of(&format!("configs/here/{name}.results.jsonl"), 5))
        .to_vec()
}

/// Values of [`POSTERIORS`]' first.
pub(crate) fn posterior_tensors() -> Vec<u8> {
    let name = "bert.encoder.layer.0.attention.self.query.lora_A.weight";
    let (matrix, columns) = (floats(3 * 12), floats(2 * 3 * 12));
    tensors(&[
        (format!("{name}.deviations"), Dtype::F32, vec![3, 12], &matrix),
        (format!("{name}.mean"), Dtype::F32, vec![3, 12], &matrix),
        (format!("{name}.columns"), Dtype::F32, vec![2, 3, 12], &columns),
    ])
}

/// Tensors of the first of [`CHECKPOINTS`].
pub(crate) fn state_tensors() -> Vec<u8> {
    let (single, double) = (floats(6), floats(8));
    tensors(&[
        (
            "trainer.trained.a.lora_A.weight".to_owned(),
            Dtype::F32,
            vec![2, 3],
            &single,
        ),
        (
            "trainer.adamw.a.moment_1".to_owned(),
            Dtype::F64,
            vec![4],
            &double,
        ),
    ])
}

/// Positive numbers, as bytes.
fn floats(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|index| (0.5 + index as f32).to_le_bytes())
        .collect()
}

fn tensors(of: &[(String, Dtype, Vec<usize>, &[u8])]) -> Vec<u8> {
    let views = of.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.clone(), bytes);
        (name, view.expect("bytes of the shape"))
    });
    serialize(views, None).expect("tensors of different names")
}

pub(crate) const ADAPTER_CONFIGS: &[&str] = &[
    "xtask/golden/training/tiny_bert_dora/adapter/adapter_config.json",
    "xtask/golden/adapters/tiny_bert_adalora/adapter/adapter_config.json",
    "xtask/golden/adapters/bert_seqcls_rslora_patterns/adapter/adapter_config.json",
    "xtask/golden/adapters/tiny_bert_embeddings/adapter/adapter_config.json",
];

pub(crate) const TOKENIZERS: &[&str] = &[
    r###"{"version": "1.0", "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 2},
"padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": 8, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
"added_tokens": [{"id": 0, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
"normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
"pre_tokenizer": {"type": "BertPreTokenizer"},
"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
"pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
"special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}}},
"decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
"vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "the": 3, "el": 4, "##be": 5, "a": 6}}}"###,
    r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "\\w+|[^\\w\\s]+"}, "behavior": "Isolated", "invert": false},
"post_processor": null, "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
"model": {"type": "Unigram", "unk_id": 0, "byte_fallback": false, "vocab": [["<unk>", 0.0], ["▁", -2.0], ["a", -3.5], ["Elbe", -7.25]]}}"#,
];

pub(crate) const TOKENIZER_CONFIGS: &[&str] = &[
    r#"{"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "add_bos_token": true, "add_eos_token": false,
"legacy": false, "add_prefix_space": true, "do_lower_case": false, "model_max_length": 1000000000000000019884624838656,
"chat_template": "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] | trim }}{% endfor %}"}"#,
    r#"{"chat_template": [{"name": "default", "template": "{{ messages | tojson }}"}, {"name": "tool_use", "template": ""}]}"#,
];

pub(crate) const LORA_DROPOUT: &[&str] = &[
    r#"{"format": 1, "probability": 0.5, "rescale": "rescaled", "alpha": 5.0, "alpha_pattern": [],
"ensemble": {"members": 8, "seed": 3, "average": "probabilities"}}"#,
    r#"{"format": 2, "probability": 0.25, "rescale": "plain", "axes": "rows", "alpha": 6.666666666666667}"#,
];

pub(crate) const POSTERIORS: &[&str] = &[
    r#"{"format": 1, "method": "swag", "columns": 2, "settings": {"collections": 4}}"#,
    r#"{"format": 1, "method": "tfb", "columns": 0}"#,
];

pub(crate) const TASK_FILES: &[&str] = &[
    r#"{"format": 1, "problem_type": "single_label_classification", "id2label": {"0": "no", "1": "yes"}, "max_seq_length": 64,
"header": true, "text_column": "text", "text_pair_column": null, "label_column": 1, "base_model": "minilm-l6",
"temperature": {"mean": 1.25, "ensemble": 0.9}, "ensemble": {"members": 8, "seed": 3, "average": "logits"}, "inference": "ensemble"}"#,
    r#"{"format": 1, "problem_type": "question_answering", "max_seq_length": 384, "text_column": "question",
"text_pair_column": "context", "label_column": "answers", "base_model": "org/base", "doc_stride": 128, "max_answer_length": 30,
"no_answer_threshold": {"mean": -0.5, "ensemble": null}}"#,
];

pub(crate) const CALIBRATIONS: &[&str] = &[
    r#"{"format": 1, "mean": {"conformal": [{"score": {"score": "lac"}, "seed": null, "by_class": [[0.1, 0.4], [0.2]]},
{"score": {"score": "raps", "penalty": 0.1, "free": 1}, "seed": 3, "by_class": [[0.5], [0.25, 0.75]]}], "calibrators": []},
"ensemble": {"members": 8, "average": "logits", "calibration": {"conformal": []}}}"#,
];

pub(crate) const CSV: &[&str] = &[
    "text,label\n\"a, \"\"b\"\"\nc\",yes\nd,no\n",
    "sentence;sentence2;score\r\nÄ;b;1.5\r\nc;;2\r\n",
    "0,1,2\nx,0;1,3\n",
];

pub(crate) const TSV: &[&str] = &["text\tlabel\na b\tyes\nc\tno\n", "a\t1\t\tFine.\nb\t0\t*\tNot.\n"];

pub(crate) const JSONL: &[&str] = &[
    "{\"text\": \"a\", \"label\": \"yes\"}\n{\"label\": 0, \"text\": \"b\\n\"}\n",
    "{\"text\": \"a\", \"text_pair\": null, \"labels\": [\"x\", \"y\"]}\n{\"text\": \"b\", \"labels\": []}\n",
];

pub(crate) const JSON: &[&str] = &[
    r#"[{"text": "a", "label": 1}, {"text": "b", "label": 0.5}]"#,
    r#"{"version": "1", "data": [{"text": "a", "label": true, "more": {"x": [1, 2]}}]}"#,
];

pub(crate) const COMPLETIONS: &[&str] = &[
    "{\"prompt\": \"Name a river.\", \"completion\": \"The Elbe.\"}\n",
    "{\"instruction\": \"Add.\", \"input\": \"1 2\", \"output\": \"3\"}\n",
];

pub(crate) const SQUAD: &[&str] = &[
    r#"{"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "Die Mühle was built in 1871.",
"qas": [{"id": "1", "question": "When?", "answers": [{"text": "1871", "answer_start": 23}], "is_impossible": false},
{"id": "2", "question": "Why?", "answers": [], "is_impossible": true}]}]}]}"#,
    r#"{"id": "1", "question": "When?", "context": "Built in 1871.", "answers": {"text": ["1871"], "answer_start": [9]}}"#,
    r#"{"question": "When?", "context": "Built in 1871.", "answer": "1871"}"#,
];

pub(crate) const CONLL: &[&str] = &[
    "-DOCSTART- -X- O O\n\nAna NNP I-NP B-PER\nLund NNP I-NP I-PER\nruns VBZ I-VP O\n\nHamburg NNP I-NP B-LOC\n",
    "{\"tokens\": [\"Ana\", \"runs\"], \"tags\": [\"B-PER\", \"O\"]}\n",
];

pub(crate) const BENCHMARKS: &[&str] = &[
    "DESC:manner How did it end ?\nNUM:date When ?\n",
    r#"{"train": [["book a table", "restaurant"], ["hello", "oos"]], "oos_train": [["x", "oos"]]}"#,
    r#"{"question": "is it", "passage": "It is.", "answer": true}"#,
    r#"{"id": "1", "question": {"stem": "Which?", "choices": [{"text": "a", "label": "A"}, {"text": "b", "label": "2"}]}, "answerKey": "A"}"#,
    "Which?,one,two,three,four,C\n",
    "question,choices,answer\nWhich?,\"[\"\"a\"\",\"\"b\"\"]\",1\n",
    "gj04\t1\t\tFine sentence.\ncj99\t0\t*\tNot.\n",
    r#"{"premise": "a", "hypothesis": "b", "label": 2}"#,
];

pub(crate) const RUN_TOML: &[&str] = &[
    "model_name_or_path = \"minilm-l6\"\ntrain_file = \"train.csv\"\noutput_dir = \"out\"\nr = 8\nlora_alpha = 16.0\n\
     target_modules = [\"query\", \"value\"]\nrank_pattern = { \"layer.0\" = 4 }\n",
];

pub(crate) const RUN_JSON: &[&str] = &[
    r#"{"model_name_or_path": "minilm-l6", "train_file": "train.csv", "output_dir": "out", "mask_probability": 0.5,
"problem_type": "regression", "learning_rate": 1e-3, "swag": {"start": 0.5}, "max_steps": 10}"#,
];

pub(crate) const CHECKPOINTS: &[&str] = &[
    r#"{"format": 1, "made_by": {"program": "lora 0.1.0", "versions": [["burn", "0.22.1"]], "command": "lora train", "platform": "linux"},
"step": 12, "seconds": 3.5, "config": {"r": 8}, "test_rows": "a1", "state": {"trainer.step": 12, "fit.best": null}}"#,
];

pub(crate) const PREDICT_CALLS: &[&str] = &[
    r#"{"text": "a", "text_pair": "b", "adapter": "x", "coverage": 0.9, "conformity": "raps", "per_class": true}"#,
    r#"{"texts": ["a", {"text": "b", "text_pair": "c"}], "adapter": null}"#,
];

pub(crate) const LOAD_CALLS: &[&str] = &[r#"{"name": "x", "folder": "/adapters/x"}"#];
