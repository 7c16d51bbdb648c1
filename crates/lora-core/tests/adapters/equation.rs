//! The equation of an adapted linear, and what merging, masking and averaging must give.

use std::collections::HashMap;

use crate::support::{Tiny, assert_close, config, device, fill_b, normal, numbers};
use burn::tensor::Tensor;
use lora_core::adapter::Adapter;
use lora_core::{
    Adapted, LoraConfig, LoraDropout, LoraLinear, MaskAxes, MaskSampler, Pass, PassNoise, Rescale,
    TargetModules,
};
use lora_kernels::KeepMasks;

/// Both conventions with masks on every choice of axes.
fn all_dropouts() -> impl Iterator<Item = (Rescale, MaskAxes)> {
    let axes = [
        MaskAxes::RowsAndColumns,
        MaskAxes::Rows,
        MaskAxes::Columns,
        MaskAxes::Rank,
    ];
    [Rescale::Plain, Rescale::Rescaled]
        .into_iter()
        .flat_map(move |rescale| axes.map(|axes| (rescale, axes)))
}

/// 5 → 4, rank 3, alpha 8, so s = 8/3; B not zero.
fn adapted_linear(rescale: Rescale, axes: MaskAxes) -> (LoraLinear, MaskSampler) {
    let dropout = LoraDropout::new(0.3, rescale).on(axes);
    let config = LoraConfig {
        dropout: Some(dropout),
        ..LoraConfig::new(3, 8.0, TargetModules::names(["query"]))
    };
    let mut linear = LoraLinear::new("layer.query", normal("w", [5, 4]), Some(normal("bias", [4])));
    linear.attach(&config, 11).unwrap();
    let Some(Adapter::LowRank(adapter)) = &mut linear.adapter else {
        unreachable!()
    };
    adapter.b = burn::module::Param::from_tensor(normal("b", [3, 4]));
    (
        linear,
        MaskSampler {
            seed: 5,
            dropout: Some(dropout),
            input_dropout: 0.0,
        },
    )
}

fn shapes(linear: &LoraLinear) -> Vec<lora_core::sampler::AdapterShape> {
    let [d_input, d_output] = linear.dims();
    vec![lora_core::sampler::AdapterShape {
        path: linear.path().to_owned(),
        d_input,
        d_output,
        rank: 3,
    }]
}

#[test]
fn a_masked_pass_computes_the_papers_equation_on_every_axis() {
    for (rescale, axes) in all_dropouts() {
        let (linear, sampler) = adapted_linear(rescale, axes);
        let masks = sampler.members(4..5, &shapes(&linear), &device());
        let x = normal("x", [2, 3, 5]);
        let ours = numbers(linear.forward(x.clone(), &Pass::Stochastic(&masks)));

        // By hand, number by number, from the paper: W x + b + s · m_B ⊙ (B (A (m_A ⊙ x))); with m_R beside A.
        let keep = masks.keep_masks("layer.query").unwrap();
        let masked = [&keep.input, &keep.output, &keep.rank].map(Option::is_some);
        assert_eq!(masked, [axes.mask_input(), axes.mask_output(), axes.mask_rank()]);
        let entries = |mask: &Option<Tensor<2>>, length| mask.clone().map_or(vec![1.0; length], numbers);
        let (keep_input, keep_output) = (entries(&keep.input, 5), entries(&keep.output, 4));
        let keep_rank = entries(&keep.rank, 3);
        let Some(Adapter::LowRank(adapter)) = &linear.adapter else {
            unreachable!()
        };
        let (a, b) = (numbers(adapter.a.val()), numbers(adapter.b.val()));
        let (w, bias, x) = (
            numbers(linear.base.weight.val()),
            numbers(normal("bias", [4])),
            numbers(x),
        );
        let mut expected = Vec::new();
        for row in 0..6 {
            for o in 0..4 {
                let base: f32 = bias[o] + (0..5).map(|i| x[row * 5 + i] * w[i * 4 + o]).sum::<f32>();
                let branch: f32 = (0..3)
                    .map(|r| {
                        let low: f32 = (0..5)
                            .map(|i| x[row * 5 + i] * keep_input[i] * a[i * 3 + r])
                            .sum();
                        low * keep_rank[r] * b[r * 4 + o]
                    })
                    .sum();
                expected.push(base + 8.0 / 3.0 * branch * keep_output[o]);
            }
        }
        assert_close(&ours, &expected, 1e-5);
    }
}

#[test]
fn a_new_adapter_changes_nothing() {
    let model = Tiny::new();
    let x = normal("x", [4, 5]);
    let before = numbers(model.forward(x.clone(), &Pass::Mean));
    let (adapted, report) = Adapted::attach(model, config(), 7).unwrap();
    assert_eq!(report.adapted, ["net.layer.0.query", "net.layer.1.value"]);
    assert_eq!(report.trained_in_full, ["classifier"]);
    assert_eq!(numbers(adapted.model.forward(x, &Pass::Mean)), before);
}

#[test]
fn parameters_are_counted_by_the_closed_formula() {
    let (adapted, _) = Adapted::attach(Tiny::new(), config(), 7).unwrap();
    let count = adapted.count();
    let (adapters, head) = (2 * (5 + 7) + 2 * (7 + 6), 6 * 3 + 3);
    assert_eq!(count.trained, adapters + head);
    assert_eq!(count.all, adapters + (5 * 7 + 7) + (7 * 6 + 6) + head);
}

#[test]
fn masks_of_ones_are_plain_lora() {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).unwrap();
    fill_b(&mut adapted.model);
    let ones = adapted.adapter_shapes().into_iter().map(|shape| {
        let masks = KeepMasks {
            input: Some(Tensor::ones([1, shape.d_input], &device())),
            output: Some(Tensor::ones([1, shape.d_output], &device())),
            rank: Some(Tensor::ones([1, shape.rank], &device())),
        };
        (shape.path, masks)
    });
    let masks = PassNoise::from_masks(ones.collect::<HashMap<_, _>>());
    let x = normal("x", [4, 5]);
    let masked = numbers(adapted.model.forward(x.clone(), &Pass::Stochastic(&masks)));
    assert_close(&masked, &numbers(adapted.model.forward(x, &Pass::Mean)), 1e-6);
}

#[test]
fn the_mean_pass_is_the_average_over_masks_within_its_standard_error() {
    const MEMBERS: usize = 4000;
    for (rescale, axes) in all_dropouts() {
        let (linear, sampler) = adapted_linear(rescale, axes);
        let masks = sampler.members(0..MEMBERS as u64, &shapes(&linear), &device());
        let x = normal("x", [1, 5]);
        let mean_pass = numbers(linear.forward(x.clone(), &Pass::Mean));
        let all = numbers(linear.forward(x.repeat_dim(0, MEMBERS), &Pass::Stochastic(&masks))); // [members, 4]
        for o in 0..4 {
            let outputs = (0..MEMBERS).map(|member| f64::from(all[member * 4 + o]));
            let mean = outputs.clone().sum::<f64>() / MEMBERS as f64;
            let variance = outputs.map(|y| (y - mean).powi(2)).sum::<f64>() / (MEMBERS - 1) as f64;
            let standard_error = (variance / MEMBERS as f64).sqrt();
            let deviation = (mean - f64::from(mean_pass[o])).abs() / standard_error;
            assert!(
                standard_error > 1e-4 && deviation < 4.0,
                "{rescale:?}, {axes:?}, output {o}: {deviation} standard errors"
            );
        }
    }
}

#[test]
fn merged_and_unmerged_agree_where_alpha_is_not_the_rank() {
    for (rescale, axes) in all_dropouts() {
        let config = LoraConfig {
            dropout: Some(LoraDropout::new(0.4, rescale).on(axes)),
            ..config()
        };
        let (mut adapted, _) = Adapted::attach(Tiny::new(), config, 7).unwrap();
        fill_b(&mut adapted.model);
        let x = normal("x", [4, 5]);
        let unmerged = numbers(adapted.model.forward(x.clone(), &Pass::Mean));
        let merged = adapted.merge().unwrap();
        assert!(merged.first.adapter.is_none());
        assert_close(&numbers(merged.forward(x, &Pass::Mean)), &unmerged, 1e-5);
    }
}

#[test]
fn detaching_gives_back_the_base_model() {
    let x = normal("x", [4, 5]);
    let before = numbers(Tiny::new().forward(x.clone(), &Pass::Mean));
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).unwrap();
    fill_b(&mut adapted.model);
    assert_ne!(numbers(adapted.model.forward(x.clone(), &Pass::Mean)), before);
    assert_eq!(numbers(adapted.detach().forward(x, &Pass::Mean)), before);
}

#[test]
fn noise_on_a_is_added_before_masks_for_each_group() {
    let (linear, sampler) = adapted_linear(Rescale::Rescaled, MaskAxes::RowsAndColumns);
    let x = normal("x", [5, 5]);
    let noise = normal("noise on a", [2, 5, 3]);
    let no_masks = PassNoise::default();
    for masks in [no_masks, sampler.members(0..2, &shapes(&linear), &device())] {
        let disturbed = masks
            .clone()
            .with_factor_noise(HashMap::from([("layer.query".to_owned(), noise.clone())]));
        assert_eq!(disturbed.groups(), 2);
        let together = numbers(linear.forward(x.clone(), &Pass::Stochastic(&disturbed)));
        // Rows 0, 1 and 2 of five belong to the first group.
        for row in 0..5 {
            let group = row * 2 / 5;
            let mut moved = linear.clone();
            let Some(Adapter::LowRank(adapter)) = &mut moved.adapter else {
                unreachable!()
            };
            let own = noise.clone().narrow(0, group, 1).squeeze_dim::<2>(0);
            adapter.a = adapter.a.clone().map(|a| a + own);
            let alone = moved.forward(x.clone(), &Pass::Stochastic(&masks)); // all rows, so that groups stay
            let alone = numbers(alone.narrow(0, row, 1));
            assert_close(&together[row * 4..row * 4 + 4], &alone, 1e-5);
        }
    }
}
