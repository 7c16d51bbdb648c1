//! Hidden states below everything that is trained are computed once for each row, in every family, and serve every later pass.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::path::Path;

use burn::tensor::{Device, Tensor};
use lora_core::{
    Adapted, Adapter, BiasMode, FrozenStates, HostTensor, Linears, LoraConfig, LoraDropout, MaskSampler,
    Model, Pass, Rescale, Targets as Modules, seeded_normal,
};
use lora_data::{Batch, Encoded, Padding};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

/// Two layers each.
const CASES: [&str; 9] = [
    "bert_relu_seqcls",
    "debertav2_seqcls",
    "debertav3_tokens",
    "distilbert_seqcls",
    "electra_seqcls",
    "xlmr_seqcls",
    "llama_yarn",
    "qwen2_yarn",
    "gpt2_causal",
];

#[cfg(feature = "flex")]
fn device() -> Device {
    Device::flex()
}

#[cfg(all(feature = "ndarray", not(feature = "flex")))]
#[expect(deprecated, reason = "a second opinion on numbers")]
fn device() -> Device {
    Device::ndarray()
}

fn load(case: &str) -> Transformer {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/models")
        .join(case)
        .join("base");
    let checkpoint = Checkpoint::open(&base).unwrap();
    let outputs = checkpoint.outputs();
    let kind = match case.rsplit_once('_').unwrap().1 {
        "seqcls" => HeadKind::Sequence { outputs },
        "tokens" => HeadKind::Tokens { outputs },
        "qa" => HeadKind::Spans,
        _ => HeadKind::CausalLm,
    };
    Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, &device())
        .unwrap()
        .0
}

fn on_layer_1() -> LoraConfig {
    let mut config = LoraConfig::new(2, 5.0, Modules::all_linear());
    config.targets.layers = Some(vec![1]);
    config
}

/// With factors B that are not 0.
fn attach(model: Transformer, config: LoraConfig) -> Adapted<Transformer> {
    let (mut adapted, _) = Adapted::attach(model, config, 7).unwrap();
    adapted.model.visit_linears_mut(&mut |linear| {
        let name = format!("{}.b", linear.path());
        if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
            let shape = factors.b.dims();
            let values = seeded_normal(2, &name, shape[0] * shape[1], 0.3);
            let b = HostTensor {
                shape: shape.to_vec(),
                values,
            };
            factors.b = factors.b.clone().map(|_| b.on::<2>(&device()));
        }
    });
    adapted
}

fn lengths() -> Vec<usize> {
    (0..6).map(|row| 3 + row * 2 % 5).collect()
}

/// Some rows of a data set of six; `first_id` makes another data set.
fn batch(rows: &[usize], first_id: u32) -> Batch {
    let encoded = |row: &usize| Encoded {
        input_ids: (0..lengths()[*row])
            .map(|place| ((row * 11 + place * 5) % 17) as u32 + first_id)
            .collect(),
        token_type_ids: vec![0; lengths()[*row]],
    };
    let encoded: Vec<Encoded> = rows.iter().map(encoded).collect();
    Batch::from_encoded(&encoded.iter().collect::<Vec<_>>(), Padding::with(1)).with_rows(rows.to_vec())
}

fn numbers(tensors: Vec<Tensor<2>>) -> Vec<f32> {
    tensors
        .into_iter()
        .flat_map(|tensor| tensor.into_data().try_into_vec::<f32>().unwrap())
        .collect()
}

#[test]
fn a_row_goes_through_the_frozen_layers_once() {
    for case in CASES {
        let adapted = attach(load(case), on_layer_1());
        let states = FrozenStates::below(&adapted, &lengths()).unwrap();
        assert_eq!(states.layers(), 1, "{case}");
        let sampler = MaskSampler {
            seed: 5,
            dropout: Some(LoraDropout::new(0.4, Rescale::Plain)),
            input_dropout: 0.0,
        };
        let masks: Vec<_> = (0..2)
            .map(|member| sampler.members(member..member + 1, &adapted.adapter_shapes(), &device()))
            .collect();
        let members: Vec<Pass> = masks.iter().map(Pass::Masked).collect();
        let of = |rows: &[usize], first_id, passes: &[Pass], states| {
            let batch = batch(rows, first_id);
            // All the places that padding cannot change: the first tokens of each row.
            let first_and_third = |row: usize| [row * batch.seq, row * batch.seq + 2];
            let places = (!case.ends_with("seqcls"))
                .then(|| (0..rows.len()).flat_map(first_and_third).collect::<Vec<_>>());
            numbers(
                adapted
                    .model
                    .forward_passes(&batch, places.as_deref(), passes, states),
            )
        };
        for passes in [&[Pass::Mean][..], &members] {
            states.forget();
            let plain = of(&[4, 0, 2], 2, passes, None);
            assert_eq!(of(&[4, 0, 2], 2, passes, Some(&states)), plain, "{case}: first");
            // What is known is not looked at again: other tokens change nothing.
            assert_ne!(of(&[4, 0, 2], 3, passes, None), plain, "{case}");
            assert_eq!(of(&[4, 0, 2], 3, passes, Some(&states)), plain, "{case}: known");
            // One row is new, so all are computed.
            assert_eq!(
                of(&[1, 4], 2, passes, Some(&states)),
                of(&[1, 4], 2, passes, None),
                "{case}: new"
            );
        }
        // In another order and with other padding.
        let plain = of(&[0, 1, 2], 2, &members, None);
        let known = of(&[0, 1, 2], 3, &members, Some(&states));
        for (known, plain) in known.iter().zip(&plain) {
            assert!((known - plain).abs() < 1e-5, "{case}: {known} and {plain}");
        }
    }
}

#[test]
fn nothing_is_kept_where_the_lowest_layer_or_an_embedding_is_trained() {
    let mut biases = on_layer_1();
    biases.bias = BiasMode::All;
    let mut tables = on_layer_1();
    tables.targets = Modules::names(["word_embeddings"]);
    let saved = on_layer_1().with_modules_to_save(["embeddings.LayerNorm"]);
    let lowest = LoraConfig::new(2, 5.0, Modules::names(["query"]));
    for config in [biases, tables, saved, lowest] {
        let adapted = attach(load("bert_relu_seqcls"), config.clone());
        assert!(FrozenStates::below(&adapted, &lengths()).is_none(), "{config:?}");
    }
    // Outputs at padding matter to answers in a context.
    let adapted = attach(load("distilbert_qa"), on_layer_1());
    assert!(FrozenStates::below(&adapted, &lengths()).is_none());
    // A head is above all layers.
    let adapted = attach(
        load("bert_relu_seqcls"),
        on_layer_1().with_modules_to_save(["classifier"]),
    );
    assert_eq!(FrozenStates::below(&adapted, &lengths()).unwrap().layers(), 1);
}

#[test]
#[should_panic(expected = "hidden states of another model")]
fn states_of_another_model_are_refused() {
    let [one, other] = [(); 2].map(|()| attach(load("bert_relu_seqcls"), on_layer_1()));
    let states = FrozenStates::below(&one, &lengths());
    let _ = other.above(states.as_ref());
}
