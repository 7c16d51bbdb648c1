//! DoRA, AdaLoRA and starts from the base weight: equations, merging, detaching, and LoRA Dropout on all of them.

use std::collections::HashMap;

use crate::support::{Tiny, assert_close, config, device, normal, numbers};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::linear::LinearKind;
use lora_core::{
    AdaLora, Adapted, ConfigError, Form, Init, Linears, LoraConfig, LoraDropout, LoraLinear, MaskAxes,
    MergeError, Pass, PassNoise, Rescale, TargetModules,
};
use lora_kernels::KeepMasks;

/// Every form, and LoRA with every start, with a bias on B, and with nothing special.
fn configs() -> Vec<(&'static str, LoraConfig)> {
    let adalora = AdaLora {
        init_r: 3,
        target_r: 2,
        ..AdaLora::default()
    };
    let with_init = |init| LoraConfig { init, ..config() };
    let with_bias = LoraConfig {
        lora_bias: true,
        ..config()
    };
    let dora_on_pissa = LoraConfig {
        init: Init::Pissa,
        ..config().with_form(Form::WeightDecomposed)
    };
    vec![
        ("LoRA", config()),
        ("bias on B", with_bias),
        ("DoRA", config().with_form(Form::WeightDecomposed)),
        ("AdaLoRA", config().with_form(Form::Svd(adalora))),
        ("orthogonal", with_init(Init::Orthogonal)),
        ("PiSSA", with_init(Init::Pissa)),
        ("OLoRA", with_init(Init::Olora)),
        ("DoRA on PiSSA", dora_on_pissa),
    ]
}

/// Moves every trained number away from its start, as training would.
fn disturb(model: &mut impl Linears) {
    model.visit_linears_mut(&mut |linear| {
        let name = linear.path().to_owned();
        let matrix = |param: &mut Param<Tensor<2>>, part: &str| {
            let noise = normal(&format!("{name}.{part}"), param.dims()).mul_scalar(0.3);
            *param = Param::from_tensor(param.val() + noise);
        };
        let low_rank = |adapter: &mut lora_core::adapter::LowRank| {
            matrix(&mut adapter.a, "a");
            matrix(&mut adapter.b, "b");
            if let Some(bias) = &mut adapter.bias {
                *bias = Param::from_tensor(normal(&format!("{name}.branch bias"), bias.dims()));
            }
        };
        match &mut linear.adapter {
            None => {}
            Some(Adapter::LowRank(adapter)) => low_rank(adapter),
            Some(Adapter::WeightDecomposed(adapter)) => {
                low_rank(&mut adapter.low_rank);
                let noise = normal(&format!("{name}.m"), adapter.magnitude.dims()).mul_scalar(0.1);
                adapter.magnitude = Param::from_tensor(adapter.magnitude.val() * (noise + 1.0));
            }
            Some(Adapter::Svd(adapter)) => {
                let factors = adapter.factors.as_mut().unwrap();
                matrix(&mut factors.a, "a");
                matrix(&mut factors.b, "b");
                matrix(&mut factors.e, "e");
            }
        }
    });
}

#[test]
fn training_starts_at_the_base_model_in_every_form() {
    let x = normal("x", [4, 5]);
    let before = numbers(Tiny::new().forward(x.clone(), &Pass::Mean));
    for (name, config) in configs() {
        for config in [config.clone(), config.with_dropout(0.4, Rescale::Plain)] {
            let (adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
            let after = numbers(adapted.model.forward(x.clone(), &Pass::Mean));
            assert_close(&after, &before, 2e-6);
            assert!(!name.is_empty());
        }
    }
}

#[test]
fn merging_gives_the_mean_pass_and_detaching_the_base_model() {
    let x = normal("x", [4, 5]);
    let base = numbers(Tiny::new().forward(x.clone(), &Pass::Mean));
    for (name, config) in configs() {
        let config = LoraConfig {
            modules_to_save: Vec::new(),
            ..config
        };
        for config in [config.clone(), config.with_dropout(0.4, Rescale::Plain)] {
            let (mut adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
            disturb(&mut adapted.model);
            let mean = numbers(adapted.model.forward(x.clone(), &Pass::Mean));
            let moved: f32 = mean.iter().zip(&base).map(|(a, b)| (a - b).abs()).sum();
            assert!(moved > 0.1, "{name} changed nothing");
            let merged = adapted.clone().merge().unwrap();
            merged.visit_linears(&mut |linear| assert!(linear.adapter.is_none()));
            assert_close(&numbers(merged.forward(x.clone(), &Pass::Mean)), &mean, 1e-5);
            let detached = adapted.detach();
            assert_close(&numbers(detached.forward(x.clone(), &Pass::Mean)), &base, 1e-5);
        }
    }
}

#[test]
fn a_bias_on_b_is_not_merged_into_a_linear_without_bias() {
    let config = LoraConfig {
        lora_bias: true,
        ..config()
    };
    let mut model = Tiny::new();
    model.second.base.bias = None;
    let (adapted, _) = Adapted::attach(model, config, 7).unwrap();
    let path = "net.layer.1.value".to_owned();
    assert_eq!(adapted.merge().err(), Some(MergeError::NoBias { path }));
}

#[test]
fn dora_gives_every_weight_column_its_length() {
    let config = LoraConfig::new(2, 5.0, TargetModules::names(["query"])).with_form(Form::WeightDecomposed);
    let mut linear = LoraLinear::new("layer.query", normal("w", [5, 4]), None);
    linear.attach(&config, 3).unwrap();
    let Some(Adapter::WeightDecomposed(adapter)) = &mut linear.adapter else {
        unreachable!()
    };
    adapter.low_rank.b = Param::from_tensor(normal("b", [2, 4]));
    adapter.magnitude = Param::from_tensor(Tensor::from_data([1.5_f32, 0.5, 3.0, 2.0], &device()));
    let merged = numbers(adapter.merged(linear.base.weight.val())); // [5, 4]
    for (column, expected) in [1.5_f32, 0.5, 3.0, 2.0].into_iter().enumerate() {
        let length = (0..5)
            .map(|row| merged[row * 4 + column].powi(2))
            .sum::<f32>()
            .sqrt();
        assert!((length - expected).abs() < 1e-5, "column {column}: {length}");
    }
}

/// All masks of a 3 → 2 linear of rank 2, each with its probability.
fn all_masks(path: &str, dropout: &LoraDropout) -> Vec<(PassNoise, f64)> {
    let axes = dropout.axes;
    let lengths = [
        (axes.mask_input(), 3),
        (axes.mask_output(), 2),
        (axes.mask_rank(), 2),
    ];
    let lengths = lengths.map(|(is_masked, length)| if is_masked { length } else { 0 });
    let entries: usize = lengths.iter().sum();
    let kept = dropout.kept_value() as f32;
    (0..1_u32 << entries)
        .map(|bits| {
            let mut left = bits;
            let [input, output, rank] = lengths.map(|length| {
                let mut entry = || {
                    let is_kept = left & 1 == 1;
                    left >>= 1;
                    if is_kept { kept } else { 0.0 }
                };
                let values: Vec<f32> = (0..length).map(|_| entry()).collect();
                (length > 0).then(|| Tensor::from_data(TensorData::new(values, [1, length]), &device()))
            });
            let masks = KeepMasks { input, output, rank };
            let ones = bits.count_ones() as i32;
            let p = dropout.probability;
            let likelihood = (1.0 - p).powi(ones) * p.powi(entries as i32 - ones);
            let set = PassNoise::from_masks(HashMap::from([(path.to_owned(), masks)]));
            (set, likelihood)
        })
        .collect()
}

#[test]
fn the_mean_pass_is_the_exact_expectation_over_masks_in_every_form_on_every_axis() {
    let x = normal("x", [4, 3]);
    let axes = [
        MaskAxes::RowsAndColumns,
        MaskAxes::Rows,
        MaskAxes::Columns,
        MaskAxes::Rank,
    ];
    for ((name, config), axes) in configs()
        .into_iter()
        .flat_map(|config| axes.map(|axes| (config.clone(), axes)))
    {
        if name == "AdaLoRA" && axes == MaskAxes::Rank {
            continue; // refused
        }
        for rescale in [Rescale::Plain, Rescale::Rescaled] {
            let dropout = LoraDropout::new(0.3, rescale).on(axes);
            let config = LoraConfig {
                rank: 2, // The linear has two outputs.
                dropout: Some(dropout),
                ..config.clone()
            };
            let mut model = One {
                linear: LoraLinear::new("query", normal("w", [3, 2]), Some(normal("bias", [2]))),
            };
            model.linear.attach(&config, 3).unwrap();
            disturb(&mut model);
            let mut mean = vec![0.0; 8];
            for (masks, likelihood) in all_masks("query", &dropout) {
                let output = numbers(model.linear.forward(x.clone(), &Pass::Stochastic(&masks)));
                for (sum, value) in mean.iter_mut().zip(output) {
                    *sum += likelihood * f64::from(value);
                }
            }
            let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
            let pass = numbers(model.linear.forward(x.clone(), &Pass::Mean));
            assert_close(&pass, &mean, 1e-5);
        }
    }
}

#[test]
fn adalora_refuses_masks_on_the_rank() {
    let config = LoraConfig {
        dropout: Some(LoraDropout::new(0.3, Rescale::Plain).on(MaskAxes::Rank)),
        ..config().with_form(Form::Svd(AdaLora::default()))
    };
    let message = config.validate().unwrap_err().to_string();
    assert!(
        message.contains("ADALORA") && message.contains("mask_axes rank"),
        "{message}"
    );
}

#[test]
fn adalora_is_lora_with_weighted_rows() {
    let settings = AdaLora {
        init_r: 3,
        target_r: 1,
        ..AdaLora::default()
    };
    let config = config().with_form(Form::Svd(settings));
    let mut linear = LoraLinear::new("layer.query", normal("w", [5, 4]), None);
    linear.attach(&config, 3).unwrap();
    let Some(Adapter::Svd(adapter)) = &mut linear.adapter else {
        unreachable!()
    };
    let factors = adapter.factors.as_mut().unwrap();
    factors.e = Param::from_tensor(Tensor::from_data([[2.0_f32, 0.0, -1.0]], &device()));
    let (a, b) = (numbers(factors.a.val()), numbers(factors.b.val()));
    let update = numbers(linear.delta().unwrap().weight);
    for row in 0..5 {
        for column in 0..4 {
            // α / (init_r + 1e-5) · Σ_k A_rk E_k B_kc, with α = 5.
            let sum = 2.0 * a[row * 3] * b[column] - a[row * 3 + 2] * b[8 + column];
            let expected = 5.0 / 3.000_01 * sum;
            let found = update[row * 4 + column];
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }
}

#[test]
fn trained_numbers_follow_the_closed_formulas() {
    // query 5 → 7 and value 7 → 6; the classifier 6 → 3 in full, with bias: 21.
    let trained = |config: LoraConfig| Adapted::attach(Tiny::new(), config, 1).unwrap().0.count().trained;
    let rank = 2;
    let lora = rank * (5 + 7) + rank * (7 + 6) + 21;
    assert_eq!(trained(config()), lora);
    assert_eq!(trained(config().with_form(Form::WeightDecomposed)), lora + 7 + 6);
    let adalora = AdaLora {
        init_r: 3,
        target_r: 1,
        ..AdaLora::default()
    };
    let expected = 3 * (5 + 7 + 1) + 3 * (7 + 6 + 1) + 21;
    assert_eq!(trained(config().with_form(Form::Svd(adalora))), expected);
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let bias = LoraConfig {
        lora_bias: true,
        ..config()
    };
    let pissa = LoraConfig {
        init: Init::Pissa,
        ..config()
    };
    let adalora = Form::Svd(AdaLora::default());
    for config in [
        bias.clone().with_form(Form::WeightDecomposed),
        bias.clone().with_form(adalora.clone()),
        pissa.clone().with_form(adalora),
        LoraConfig {
            lora_bias: true,
            ..pissa
        },
    ] {
        let error = Adapted::attach(Tiny::new(), config, 1).unwrap_err();
        assert!(matches!(error, ConfigError::Conflict { .. }), "{error}");
    }
    let large = LoraConfig {
        rank: 6,
        init: Init::Olora,
        ..config()
    };
    let error = Adapted::attach(Tiny::new(), large, 1).unwrap_err();
    assert!(error.to_string().contains("at most 5"), "{error}");
}

#[test]
fn a_start_that_peft_does_not_have_for_gpt2s_linears_is_refused_there() {
    // PEFT 0.21.2, `tuners/lora/layer.py`: `pissa_init` turns a weight that is stored as [inputs, outputs], `olora_init` does not.
    let attach = |init| {
        let weight = normal("c_attn", [5, 7]);
        let mut linear = LoraLinear::new("h.0.attn.c_attn", weight, None).of_kind(LinearKind::Conv1d);
        linear.attach(&LoraConfig { init, ..config() }, 1)
    };
    let path = "h.0.attn.c_attn".to_owned();
    assert_eq!(attach(Init::Olora), Err(ConfigError::Conv1d { path }));
    assert_eq!(attach(Init::Pissa), Ok(()));
}

/// A linear as a model.
#[derive(Module, Debug)]
struct One {
    linear: LoraLinear,
}

impl Linears for One {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.linear);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.linear);
    }

    fn heads(&self) -> Vec<String> {
        Vec::new()
    }
}
