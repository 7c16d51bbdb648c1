//! `HiddenKey`'s noise in the models: what is dropped has no influence, in every family, and a pass without it knows nothing of it.

use std::path::Path;

use burn::tensor::{Tensor, TensorData};
use lora_core::hidden_key::HiddenKeyNoise;
use lora_core::random::{Draw, seeded_normal};
use lora_core::{LoraLinear, Model, Pass, PassNoise};
use lora_data::{Batch, Targets};
use lora_kernels::HIDDEN;
use lora_models::blocks::{
    Activation, CausalContext, CausalSelfAttention, CausalSpan, EncoderContext, FeedForward, Heads,
    SelfAttention, causal_bias,
};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

use crate::device;

const BATCH: usize = 3;
const SEQ: usize = 7;
const D_MODEL: usize = 8;
const N_HEADS: usize = 2;

fn noise(key_probability: f64, cut_probability: f64) -> PassNoise {
    PassNoise::default().with_hidden_key(HiddenKeyNoise {
        seed: 3,
        draw: Draw::Step { step: 5, sample: 1 },
        key_probability,
        cut_probability,
    })
}

fn normal<const D: usize>(name: &str, shape: [usize; D]) -> Tensor<D> {
    let values = seeded_normal(8, name, shape.iter().product(), 0.7);
    Tensor::from_data(TensorData::new(values, shape), &device())
}

fn linear(path: &str, shape: [usize; 2]) -> LoraLinear {
    LoraLinear::new(
        path,
        normal(path, shape),
        Some(normal(&format!("{path}.bias"), [shape[1]])),
    )
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

/// Which key of which row every head drops, and which one none does.
fn a_dropped_and_a_seen_key(pass: &Pass<'_>, path: &str, heads: usize) -> [(usize, usize); 2] {
    let dropped = pass.dropped_keys(path, [BATCH, heads, SEQ], &device()).unwrap();
    assert_eq!(dropped.dims(), [BATCH, heads, 1, SEQ]);
    let dropped = numbers(dropped);
    let of_heads = |row: usize, key: usize| {
        (0..heads)
            .map(|head| dropped[(row * heads + head) * SEQ + key] < 0.0)
            .collect::<Vec<_>>()
    };
    // Not the last one: later tokens are to see it.
    let places = || (0..BATCH).flat_map(|row| (0..SEQ - 1).map(move |key| (row, key)));
    [true, false].map(|wanted| {
        places()
            .find(|(row, key)| {
                of_heads(*row, *key)
                    .iter()
                    .all(|is_dropped| *is_dropped == wanted)
            })
            .unwrap()
    })
}

/// The input with another token at a place of a row.
fn moved(input: &Tensor<3>, (row, key): (usize, usize)) -> Tensor<3> {
    let mut values = numbers(input.clone());
    values[(row * SEQ + key) * D_MODEL..][..D_MODEL]
        .iter_mut()
        .for_each(|value| *value = 3.0 - *value);
    Tensor::from_data(TensorData::new(values, [BATCH, SEQ, D_MODEL]), &device())
}

/// The output of every token but those at a key.
fn beside(output: Tensor<3>, key: usize) -> Vec<f32> {
    let values = numbers(output);
    let tokens = values.chunks_exact(D_MODEL).enumerate();
    let beside = tokens.filter(|(token, _)| token % SEQ != key);
    beside.flat_map(|(_, values)| values.to_vec()).collect()
}

/// Moves a token that is dropped, then one that is seen, and asks whether others notice.
fn assert_dropped_keys_have_no_influence(
    path: &str,
    heads: usize,
    forward: &dyn Fn(Tensor<3>, &Pass) -> Tensor<3>,
) {
    let masks = noise(0.4, 0.0);
    let pass = Pass::Stochastic(&masks);
    let input = normal("input", [BATCH, SEQ, D_MODEL]);
    let [dropped, seen] = a_dropped_and_a_seen_key(&pass, path, heads);
    let of = |input: &Tensor<3>, key| beside(forward(input.clone(), &pass), key);
    assert_eq!(of(&input, dropped.1), of(&moved(&input, dropped), dropped.1));
    assert_ne!(of(&input, seen.1), of(&moved(&input, seen), seen.1));
    // The same token matters to the mean pass, and the pass with noise is another one.
    let mean = |input: &Tensor<3>| beside(forward(input.clone(), &Pass::Mean), dropped.1);
    assert_ne!(mean(&input), mean(&moved(&input, dropped)));
    assert_ne!(mean(&input), of(&input, dropped.1));
}

#[test]
fn a_dropped_key_has_no_influence_on_other_tokens_of_an_encoder() {
    let square = [D_MODEL, D_MODEL];
    let attention = SelfAttention::new(
        ["query", "key", "value", "output"].map(|path| linear(path, square)),
        N_HEADS,
    );
    let padding = || Tensor::<4>::zeros([1, 1, 1, 1], &device());
    assert_dropped_keys_have_no_influence("key", N_HEADS, &|input, pass| {
        let seen = EncoderContext::of_all(pass, padding());
        attention.forward([input.clone(), input], &seen, None)
    });
    // Padding stays hidden where all keys of a head are dropped, which then sees what it saw.
    let hidden = Tensor::<4>::zeros([1, 1, 1, SEQ], &device());
    let hidden = hidden.slice_fill([0..1, 0..1, 0..1, SEQ - 2..SEQ], HIDDEN);
    let masks = noise(1.0 - 1e-9, 0.0);
    let input = normal("input", [BATCH, SEQ, D_MODEL]);
    let of = |input: Tensor<3>, pass: &Pass| {
        let seen = EncoderContext::of_all(pass, hidden.clone());
        let all = attention.forward([input.clone(), input], &seen, None);
        numbers(all.narrow(1, 0, SEQ - 2))
    };
    let (all_dropped, none) = (
        of(input.clone(), &Pass::Stochastic(&masks)),
        of(input.clone(), &Pass::Mean),
    );
    // The scores are rounded to a thousandth there.
    let far = all_dropped.iter().zip(&none).any(|(a, b)| (a - b).abs() > 1e-2);
    assert!(!far, "{all_dropped:?} {none:?}");
    let with_other_padding = moved(&input, (0, SEQ - 1));
    assert_eq!(all_dropped, of(with_other_padding, &Pass::Stochastic(&masks)));
}

#[test]
fn a_dropped_key_has_no_influence_on_later_tokens_of_a_decoder() {
    let heads = Heads {
        query: 4,
        key_value: N_HEADS,
        d_head: 2,
    };
    let shapes = [("q", D_MODEL), ("k", 2 * N_HEADS), ("v", 2 * N_HEADS)];
    let attention = CausalSelfAttention {
        projections: shapes
            .map(|(path, width)| linear(path, [D_MODEL, width]))
            .to_vec(),
        output: linear("output", [D_MODEL, D_MODEL]),
        query_norm: None,
        key_norm: None,
        heads,
    };
    let span = CausalSpan {
        before: 0,
        seq: SEQ,
        window: None,
    };
    let seen = CausalContext {
        rotation: None,
        bias: causal_bias(span, None, &device()),
        packing: None,
    };
    assert_dropped_keys_have_no_influence("q", N_HEADS, &|input, pass| {
        attention.forward(input, &seen, None, pass)
    });
}

#[test]
fn numbers_that_are_cut_are_zero_and_the_others_keep_their_mean() {
    let block = FeedForward::new(
        linear("up", [D_MODEL, 12]),
        linear("down", [12, D_MODEL]),
        Activation::Gelu,
    );
    let input = normal("input", [BATCH, SEQ, D_MODEL]);
    let masks = noise(0.0, 0.25);
    let whole = numbers(block.forward(input.clone(), &Pass::Mean));
    let cut = numbers(block.forward(input, &Pass::Stochastic(&masks)));
    let mut zeros = 0;
    for (whole, cut) in whole.iter().zip(&cut) {
        let kept = whole / 0.75;
        assert!(
            *cut == 0.0 || (cut - kept).abs() < 1e-5 * kept.abs(),
            "{whole} {cut}"
        );
        zeros += usize::from(*cut == 0.0);
    }
    let share = zeros as f64 / whole.len() as f64;
    assert!((0.15..0.35).contains(&share), "{share}");
}

fn batch() -> Batch {
    let (batch, seq) = (3, 6);
    let ids = (0..batch * seq)
        .map(|place| 3 + (place * 5 % 11) as i32)
        .collect();
    Batch {
        batch,
        seq,
        input_ids: ids,
        token_type_ids: vec![0; batch * seq],
        attention_mask: (0..batch * seq)
            .map(|place| if place % seq < 6 - place / seq { 1.0 } else { 0.0 })
            .collect(),
        targets: Targets::None,
        rows: vec![0, 1, 2],
    }
}

#[test]
fn every_family_takes_it_the_same_for_the_same_draw_and_never_in_the_mean_pass() {
    let families = [
        (
            "bert_relu_seqcls",
            HeadKind::SequenceClassification { outputs: 3 },
        ),
        ("xlmr_seqcls", HeadKind::SequenceClassification { outputs: 3 }),
        ("electra_seqcls", HeadKind::SequenceClassification { outputs: 3 }),
        (
            "distilbert_seqcls",
            HeadKind::SequenceClassification { outputs: 3 },
        ),
        (
            "debertav2_seqcls",
            HeadKind::SequenceClassification { outputs: 3 },
        ),
        ("llama_yarn", HeadKind::CausalLm),
        ("qwen2_yarn", HeadKind::CausalLm),
        ("gpt2_causal", HeadKind::CausalLm),
    ];
    for (name, kind) in families {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/models")
            .join(name);
        let base = folder.join("base");
        let checkpoint = Checkpoint::open(if base.is_dir() { &base } else { &folder }).unwrap();
        let (model, _) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 1 }, &device()).unwrap();
        assert!(model.takes_hidden_key(), "{name}");
        let said = |pass: &Pass| numbers(model.forward(&batch(), pass));
        let of = |masks: PassNoise| said(&Pass::Stochastic(&masks));
        let mean = said(&Pass::Mean);
        assert_eq!(mean, of(PassNoise::default()), "{name}");
        for (keys, cut) in [(0.5, 0.0), (0.0, 0.5)] {
            assert_eq!(of(noise(keys, cut)), of(noise(keys, cut)), "{name}");
            assert_ne!(of(noise(keys, cut)), mean, "{name}, {keys} {cut}");
        }
    }
}
