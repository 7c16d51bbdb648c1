//! Adapters of one model beside another model.

use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use super::check;
use crate::workspace::Workspace;

/// A folder as PEFT writes it for a GPT-2 of 6 features and one layer, with a head for two classes.
fn write_gpt2_adapter(workspace: &Workspace, folder: &str, base: &Value) {
    let config = json!({
        "peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": base, "r": 2, "lora_alpha": 4,
        "lora_dropout": 0.0, "bias": "none", "target_modules": ["c_attn"], "modules_to_save": ["score"],
        "fan_in_fan_out": true,
    });
    workspace.write(&format!("{folder}/adapter_config.json"), config.to_string());
    let prefix = "base_model.model.";
    let tensors = [
        (
            format!("{prefix}transformer.h.0.attn.c_attn.lora_A.weight"),
            vec![2, 6],
        ),
        (
            format!("{prefix}transformer.h.0.attn.c_attn.lora_B.weight"),
            vec![18, 2],
        ),
        (format!("{prefix}score.weight"), vec![2, 6]),
    ];
    let bytes = 0.25_f32.to_le_bytes().repeat(36);
    let views = tensors.iter().map(|(name, shape)| {
        let count: usize = shape.iter().product();
        let view = TensorView::new(Dtype::F32, shape.clone(), &bytes[..4 * count]).unwrap();
        (name, view)
    });
    let content = safetensors::serialize(views, None).unwrap();
    workspace.write(&format!("{folder}/adapter_model.safetensors"), content);
}

#[test]
fn adapters_of_two_models_are_not_combined() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    write_gpt2_adapter(&workspace, "gpt2", &json!("org/tiny-gpt2"));
    write_gpt2_adapter(&workspace, "unnamed", &Value::Null);
    let combine = |other| ["combine", "out", other, "--head-from", "out", "--output", "both"];
    let alone = [
        "`bert.encoder.layer.0.attention.self.query` (16 → 16)",
        "`transformer.h.0.attn.c_attn` (6 → 18)",
    ];
    for (other, message) in [
        (
            "gpt2",
            &["different base models, `model` and `org/tiny-gpt2`"][..],
        ),
        ("unnamed", &["no linear in common", "base_model_name_or_path"]),
    ] {
        check(other, &workspace, &combine(other), &[message, &alone].concat());
    }
}

#[test]
fn an_adapter_on_another_model_than_its_own_names_both() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--max-steps", "2", "--quiet"]);
    write_gpt2_adapter(&workspace, "gpt2", &json!("org/tiny-gpt2"));
    write_gpt2_adapter(&workspace, "unnamed", &Value::Null);
    let predict = |adapter, base| ["predict", "--adapter", adapter, "--base", base, "x"];
    check(
        "a head of another name",
        &workspace,
        &predict("gpt2", "model"),
        &[
            "`score.weight`",
            "no `classifier.weight`",
            "`org/tiny-gpt2`",
            "--model",
        ],
    );
    check(
        "the same with labels",
        &workspace,
        &[&predict("gpt2", "model")[..], &["--labels", "bad,good"]].concat(),
        &[
            "`gpt2` was trained on `org/tiny-gpt2` and does not fit `model`",
            "--model",
        ],
    );
    check(
        "the same without a name",
        &workspace,
        &[&predict("unnamed", "model")[..], &["--labels", "bad,good"]].concat(),
        &[
            "`unnamed` names no base model and does not fit `model`",
            "--model",
        ],
    );
    check(
        "other sizes",
        &workspace,
        &predict("out", "minilm-l6"),
        &[
            "`out` was trained on `model` and does not fit `minilm-l6`",
            "--model",
            "shape",
        ],
    );
}

#[test]
fn a_model_that_is_not_there_is_refused_with_what_there_is() {
    let workspace = Workspace::new();
    write_gpt2_adapter(&workspace, "gpt2", &json!("org/tiny-gpt2"));
    for (name, message) in [
        (
            "minilm-l7",
            &["did you mean `minilm-l6`, the embedded model?"][..],
        ),
        (
            "smollm2",
            &[
                "no embedded model `smollm2` (minilm-l6 is one)",
                "`smollm2` is no folder here",
                "HF_HUB_OFFLINE",
            ],
        ),
        (
            "gpt2",
            &[
                "`gpt2` is an adapter, not a model: it is put on `org/tiny-gpt2`",
                "lora merge",
            ],
        ),
    ] {
        let train = ["train", "--config", "run.yaml", "--model-name-or-path", name];
        check(name, &workspace, &train, message);
    }
}
