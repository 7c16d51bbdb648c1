//! Hidden states below everything that is trained are computed once for each row, in every family, and serve every later pass.

use std::path::Path;

use burn::tensor::Tensor;
use lora_core::adapter::Adapter;
use lora_core::random::seeded_normal;
use lora_core::tensors::HostTensor;
use lora_core::{
    Adapted, BiasMode, Linears, LoraConfig, LoraDropout, MaskSampler, Model, Pass, Rescale,
    TargetModules as Modules,
};
use lora_data::{Batch, Encoded, Padding};
use lora_models::blocks::layer_of;
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

use crate::device;

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

fn load(case: &str) -> Transformer {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/models")
        .join(case)
        .join("base");
    let checkpoint = Checkpoint::open(&base).unwrap();
    let outputs = checkpoint.outputs();
    let kind = match case.rsplit_once('_').unwrap().1 {
        "seqcls" => HeadKind::SequenceClassification { outputs },
        "tokens" => HeadKind::TokenClassification { outputs },
        "qa" => HeadKind::QuestionAnswering,
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

/// Some rows of a data set of six.
fn batch(rows: &[usize]) -> Batch {
    let encoded = |row: &usize| Encoded {
        input_ids: (0..lengths()[*row])
            .map(|place| ((row * 11 + place * 5) % 17) as u32 + 2)
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
        let states = adapted.frozen_states(&lengths()).unwrap();
        assert_eq!(states.layers(), 1, "{case}");
        let sampler = MaskSampler {
            seed: 5,
            dropout: Some(LoraDropout::new(0.4, Rescale::Plain)),
            input_dropout: 0.0,
        };
        let masks: Vec<_> = (0..2)
            .map(|member| sampler.members(member..member + 1, &adapted.adapter_shapes(), &device()))
            .collect();
        let members: Vec<Pass> = masks.iter().map(Pass::Stochastic).collect();
        // The same model with other numbers in its lowest layer, which nobody notices who does not go through it.
        let mut other = adapted.clone();
        other.model.visit_linears_mut(&mut |linear| {
            if layer_of(linear.path()) == Some(0) {
                linear.base.weight = linear.base.weight.clone().map(|weight| weight.mul_scalar(0.5));
            }
        });
        let of = |adapted: &Adapted<Transformer>, rows: &[usize], passes: &[Pass], states| {
            let batch = batch(rows);
            // Places that padding cannot change.
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
            let plain = of(&adapted, &[4, 0, 2], passes, None);
            assert_eq!(
                of(&adapted, &[4, 0, 2], passes, Some(&states)),
                plain,
                "{case}: first"
            );
            assert_ne!(of(&other, &[4, 0, 2], passes, None), plain, "{case}");
            assert_eq!(
                of(&other, &[4, 0, 2], passes, Some(&states)),
                plain,
                "{case}: known"
            );
            // One row is new, so all are computed.
            let with_a_new_one = of(&adapted, &[1, 4], passes, None);
            assert_eq!(
                of(&adapted, &[1, 4], passes, Some(&states)),
                with_a_new_one,
                "{case}: new"
            );
            assert_eq!(states.known(), 4, "{case}");
        }
        // In another order and with other padding.
        let plain = of(&adapted, &[0, 1, 2], &members, None);
        let known = of(&other, &[0, 1, 2], &members, Some(&states));
        for (known, plain) in known.iter().zip(&plain) {
            assert!((known - plain).abs() < 1e-5, "{case}: {known} and {plain}");
        }
        // Rows of another data set with the same numbers are not known.
        let mut other_rows = batch(&[0, 1, 2]);
        other_rows.input_ids[0] += 1;
        let plain = numbers(adapted.model.forward_passes(&other_rows, None, &members, None));
        let found = numbers(
            adapted
                .model
                .forward_passes(&other_rows, None, &members, Some(&states)),
        );
        assert_eq!(found, plain, "{case}: another data set");
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
        assert!(adapted.frozen_states(&lengths()).is_none(), "{config:?}");
    }
    // Outputs at padding matter to answers in a context.
    let adapted = attach(load("distilbert_qa"), on_layer_1());
    assert!(adapted.frozen_states(&lengths()).is_none());
    // A head is above all layers.
    let adapted = attach(
        load("bert_relu_seqcls"),
        on_layer_1().with_modules_to_save(["classifier"]),
    );
    assert_eq!(adapted.frozen_states(&lengths()).unwrap().layers(), 1);
}

#[test]
#[should_panic(expected = "hidden states of another model")]
fn states_of_another_model_are_refused() {
    let [one, other] = [(); 2].map(|()| attach(load("bert_relu_seqcls"), on_layer_1()));
    let states = one.frozen_states(&lengths());
    let _ = other.with_states(states.as_ref());
}

#[test]
#[should_panic(expected = "layers that are trained")]
fn states_of_layers_that_are_trained_by_now_are_refused() {
    let upper = attach(load("bert_relu_seqcls"), on_layer_1());
    let states = upper.frozen_states(&lengths());
    let (both, _) = Adapted::attach(
        upper.detach(),
        LoraConfig::new(2, 5.0, Modules::names(["query"])),
        1,
    )
    .unwrap();
    let _ = both.with_states(states.as_ref());
}
