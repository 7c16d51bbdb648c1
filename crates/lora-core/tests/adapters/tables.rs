//! An adapted table of embeddings computes what an adapted linear computes on one-hot vectors.

use burn::module::Param;
use burn::tensor::{Int, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::random::Draw;
use lora_core::sampler::AdapterShape;
use lora_core::{
    ConfigError, Form, LoraConfig, LoraDropout, LoraEmbedding, LoraLinear, MaskAxes, MaskSampler, Pass,
    PassNoise, Rescale, TargetModules,
};

use crate::support::{assert_close, device, normal, numbers};

const COUNT: usize = 9;
const FEATURES: usize = 5;
const IDS: [[i32; 4]; 5] = [
    [0, 3, 3, 8],
    [1, 2, 5, 0],
    [7, 7, 4, 6],
    [8, 0, 1, 2],
    [3, 4, 5, 6],
];

fn config(rescale: Rescale) -> LoraConfig {
    LoraConfig::new(2, 5.0, TargetModules::names(["words"])).with_dropout(0.4, rescale)
}

/// Both conventions, with masks on every choice of axes.
fn all_configs() -> Vec<LoraConfig> {
    let mut configs = Vec::new();
    for rescale in [Rescale::Plain, Rescale::Rescaled] {
        for axes in [
            MaskAxes::RowsAndColumns,
            MaskAxes::Rows,
            MaskAxes::Columns,
            MaskAxes::Rank,
        ] {
            let dropout = LoraDropout::new(0.4, rescale).on(axes);
            configs.push(LoraConfig {
                dropout: Some(dropout),
                ..config(rescale)
            });
        }
    }
    configs
}

/// A table, and a linear with the same weight and the same adapter.
fn both(config: &LoraConfig) -> (LoraEmbedding, LoraLinear) {
    let weight = normal("weight", [COUNT, FEATURES]);
    let mut embedding = LoraEmbedding::new("words", weight.clone());
    let mut linear = LoraLinear::new("words", weight, None);
    for layer in [&mut embedding.table, &mut linear] {
        layer.attach(config, 3).unwrap();
        let Some(Adapter::LowRank(adapter)) = &mut layer.adapter else {
            unreachable!("the form is LoRA")
        };
        adapter.a = Param::from_tensor(normal("a", [COUNT, 2]));
        adapter.b = Param::from_tensor(normal("b", [2, FEATURES]));
    }
    (embedding, linear)
}

fn ids() -> Tensor<2, Int> {
    Tensor::from_data(TensorData::from(IDS), &device())
}

fn one_hot() -> Tensor<3> {
    let rows = IDS.iter().flatten();
    let values: Vec<f32> = rows
        .flat_map(|id| (0..COUNT).map(move |place| f32::from(u8::from(place as i32 == *id))))
        .collect();
    Tensor::from_data(TensorData::new(values, [5, 4, COUNT]), &device())
}

/// Masks of the table for so many groups of rows.
fn masks(config: &LoraConfig, groups: u64) -> PassNoise {
    let sampler = MaskSampler {
        seed: 7,
        dropout: config.dropout,
        input_dropout: 0.0,
    };
    let shape = AdapterShape {
        path: "words".to_owned(),
        d_input: COUNT,
        d_output: FEATURES,
        rank: 2,
    };
    let draws: Vec<Draw> = (0..groups).map(Draw::Member).collect();
    sampler.draw(&draws, &[shape], &device())
}

#[test]
fn a_table_is_a_linear_on_one_hot_vectors_without_masks_and_under_any_number_of_groups() {
    for config in all_configs() {
        let (embedding, linear) = both(&config);
        let agree = |pass: &Pass| {
            let ours = numbers(embedding.forward(ids(), pass));
            assert_close(&ours, &numbers(linear.forward(one_hot(), pass)), 1e-6);
            ours
        };
        let mean = agree(&Pass::Mean);
        for groups in [1, 2, 5] {
            let masks = masks(&config, groups);
            assert!(
                agree(&Pass::Stochastic(&masks)) != mean,
                "the masks drop something"
            );
        }
    }
}

#[test]
fn places_that_all_rows_share_are_looked_up_once_unless_rows_differ() {
    let config = config(Rescale::Plain);
    let (embedding, _) = both(&config);
    let places = Tensor::<1, Int>::arange(0..4, &device()).unsqueeze::<2>();
    let shared = embedding.forward_shared(places.clone(), 5, &Pass::Mean);
    assert_eq!(shared.dims(), [1, 4, FEATURES]);
    let masks = masks(&config, 2);
    let pass = Pass::Stochastic(&masks);
    let rows = embedding.forward_shared(places.clone(), 5, &pass);
    assert_eq!(
        numbers(rows),
        numbers(embedding.forward(places.expand([5, 4]), &pass))
    );
}

#[test]
fn a_new_adapter_of_a_table_changes_nothing_and_the_merged_table_computes_the_mean_pass() {
    let config = config(Rescale::Plain);
    let weight = normal("weight", [COUNT, FEATURES]);
    let mut fresh = LoraEmbedding::new("words", weight);
    let before = numbers(fresh.forward(ids(), &Pass::Mean));
    fresh.table.attach(&config, 3).unwrap();
    assert_eq!(numbers(fresh.forward(ids(), &Pass::Mean)), before);

    let (mut embedding, _) = both(&config);
    let adapted = numbers(embedding.forward(ids(), &Pass::Mean));
    embedding.table.merge();
    assert_close(&numbers(embedding.forward(ids(), &Pass::Mean)), &adapted, 1e-6);
}

#[test]
fn other_forms_are_refused_on_a_table() {
    let mut embedding = LoraEmbedding::new("words", normal("weight", [COUNT, FEATURES]));
    let dora = config(Rescale::Plain).with_form(Form::WeightDecomposed);
    let refused = embedding.table.attach(&dora, 3).unwrap_err();
    assert_eq!(
        refused,
        ConfigError::Table {
            path: "words".to_owned(),
            setting: "use_dora"
        }
    );
}
