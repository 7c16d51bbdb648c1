//! A decoder that remembers keys and values computes what it computes from the whole text.

use burn::tensor::Tensor;
use lora_core::random::Draw;
use lora_core::{Adapted, MaskSampler, Rescale};
use lora_core::{LoraConfig, Pass, TargetModules};
use lora_data::{Batch, Encoded, Padding};
use lora_models::blocks::{KeyValueCache, Tokens};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

use crate::device;

const VOCABULARY: usize = 23;

/// A checkpoint folder with numbers that follow no pattern, of the names and shapes given.
fn write_checkpoint(folder: &std::path::Path, config: &Value, shapes: &[(String, Vec<usize>)]) {
    let numbers = |seed: usize, count: usize| -> Vec<u8> {
        let number = |place: usize| {
            (((seed * 7919 + place * 104_729 + 12_345) % 10_007) as f32 / 10_007.0 - 0.5) * 0.9
        };
        (0..count).flat_map(|place| number(place).to_le_bytes()).collect()
    };
    let tensors: Vec<_> = shapes
        .iter()
        .enumerate()
        .map(|(seed, (name, shape))| (name, shape, numbers(seed, shape.iter().product())))
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, (*shape).clone(), bytes).unwrap();
        ((*name).clone(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.join("model.safetensors"), bytes).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Grouped queries, and windows shorter than the text on every other layer.
fn qwen3() -> (Value, Vec<(String, Vec<usize>)>) {
    let config = json!({
        "model_type": "qwen3", "hidden_size": 12, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 10, "vocab_size": VOCABULARY,
        "max_position_embeddings": 32, "sliding_window": 3, "use_sliding_window": true,
        "layer_types": ["full_attention", "sliding_attention", "full_attention"], "tie_word_embeddings": true,
    });
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCABULARY, 12]),
        ("model.norm.weight".to_owned(), vec![12]),
    ];
    for layer in 0..3 {
        for (name, shape) in [
            ("input_layernorm", vec![12]),
            ("self_attn.q_proj", vec![24, 12]),
            ("self_attn.k_proj", vec![12, 12]),
            ("self_attn.v_proj", vec![12, 12]),
            ("self_attn.o_proj", vec![12, 24]),
            ("self_attn.q_norm", vec![6]),
            ("self_attn.k_norm", vec![6]),
            ("post_attention_layernorm", vec![12]),
            ("mlp.gate_proj", vec![10, 12]),
            ("mlp.up_proj", vec![10, 12]),
            ("mlp.down_proj", vec![12, 10]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}.weight"), shape));
        }
    }
    (config, shapes)
}

fn gpt2() -> (Value, Vec<(String, Vec<usize>)>) {
    let config = json!({
        "model_type": "gpt2", "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 16, "vocab_size": VOCABULARY,
    });
    let mut shapes = vec![
        ("transformer.wte.weight".to_owned(), vec![VOCABULARY, 12]),
        ("transformer.wpe.weight".to_owned(), vec![16, 12]),
        ("transformer.ln_f.weight".to_owned(), vec![12]),
        ("transformer.ln_f.bias".to_owned(), vec![12]),
    ];
    for layer in 0..2 {
        for (name, [d_input, d_output]) in [
            ("attn.c_attn", [12, 36]),
            ("attn.c_proj", [12, 12]),
            ("mlp.c_fc", [12, 48]),
            ("mlp.c_proj", [48, 12]),
        ] {
            shapes.push((
                format!("transformer.h.{layer}.{name}.weight"),
                vec![d_input, d_output],
            ));
            shapes.push((format!("transformer.h.{layer}.{name}.bias"), vec![d_output]));
        }
        for name in ["ln_1", "ln_2"] {
            for part in ["weight", "bias"] {
                shapes.push((format!("transformer.h.{layer}.{name}.{part}"), vec![12]));
            }
        }
    }
    (config, shapes)
}

fn load((config, shapes): &(Value, Vec<(String, Vec<usize>)>)) -> Transformer {
    let folder = tempfile::tempdir().unwrap();
    write_checkpoint(folder.path(), config, shapes);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let head = HeadOptions {
        kind: HeadKind::CausalLm,
        seed: 0,
    };
    let (model, report) = Transformer::load(&checkpoint, head, &device()).unwrap();
    assert!(
        report.left_over.is_empty() && report.initialized.is_empty(),
        "{report:?}"
    );
    model
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

/// The logits after every token, from the whole text, of a few rows alone, and with a cache that is fed in pieces.
fn assert_cache_changes_nothing(model: &Transformer, pass: &Pass) {
    use lora_core::Model as _;
    let ids = [3, 17, 5, 5, 11, 20, 1, 9];
    let encoded = Encoded {
        input_ids: ids.iter().map(|id: &i32| id.cast_unsigned()).collect(),
        token_type_ids: vec![0; ids.len()],
    };
    let batch = Batch::from_encoded(&[&encoded], Padding::with(0));
    let whole = numbers(model.forward(&batch, pass)); // [8, vocabulary]
    let mut rows = model.forward_passes(&batch, Some(&[6, 0, 3]), &[*pass], None);
    for (row, found) in [6, 0, 3].iter().zip(numbers(rows.remove(0)).chunks(VOCABULARY)) {
        for (found, expected) in found.iter().zip(&whole[row * VOCABULARY..]) {
            assert!(
                (found - expected).abs() < 1e-5,
                "row {row}: {found}, not {expected}"
            );
        }
    }
    for pieces in [vec![1; 8], vec![3, 1, 4], vec![8], vec![5, 2, 1]] {
        let mut cache = KeyValueCache::default();
        for piece in pieces {
            let start = cache.len();
            let tokens = Tokens::of_row(&ids[start..start + piece], &device());
            let logits = numbers(model.next_logits(&tokens, &mut cache, pass).unwrap());
            let last = start + piece - 1;
            let expected = &whole[last * VOCABULARY..][..VOCABULARY];
            for (found, expected) in logits.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "token {last}: {found}, not {expected}"
                );
            }
        }
        assert_eq!(cache.len(), ids.len());
    }
}

#[test]
fn a_cache_changes_no_logit_of_grouped_queries_with_windows() {
    assert_cache_changes_nothing(&load(&qwen3()), &Pass::Mean);
}

#[test]
fn a_cache_changes_no_logit_of_learned_positions() {
    assert_cache_changes_nothing(&load(&gpt2()), &Pass::Mean);
}

#[test]
fn a_cache_changes_no_logit_under_masks() {
    let config = LoraConfig::new(3, 7.0, TargetModules::all_linear()).with_dropout(0.5, Rescale::Rescaled);
    let (mut adapted, _) = Adapted::attach(load(&qwen3()), config, 5).unwrap();
    // B starts at zero, where masks would not matter.
    lora_core::Linears::visit_linears_mut(&mut adapted.model, &mut |linear| {
        if let Some(lora_core::adapter::Adapter::LowRank(adapter)) = &mut linear.adapter {
            let b = adapter.b.val();
            adapter.b = burn::module::Param::from_tensor(b.add_scalar(0.1));
        }
    });
    let sampler = MaskSampler {
        seed: 1,
        dropout: adapted.dropout(),
        input_dropout: 0.0,
    };
    let masks = sampler.draw(&[Draw::Member(0)], &adapted.adapter_shapes(), &device());
    assert_cache_changes_nothing(&adapted.model, &Pass::Stochastic(&masks));
}
