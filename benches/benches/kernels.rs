//! Each kernel alone, at MiniLM's sizes.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use burn::tensor::{Device, Distribution, Int, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use lora_kernels::{
    HIDDEN, KeepMasks, LowRankBranch, attention, cross_entropy, gelu, gelu_primitive, layer_norm,
    lora_linear, padding_bias, silu,
};

fn normal<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
}

fn kernels(criterion: &mut Criterion) {
    let device = Device::flex();
    let hidden = normal([16, 64, 1536]);
    criterion.bench_function("gelu", |bench| {
        bench.iter(|| gelu(hidden.clone()));
    });
    criterion.bench_function("gelu, primitive", |bench| {
        bench.iter(|| gelu_primitive(hidden.clone()));
    });
    criterion.bench_function("silu", |bench| {
        bench.iter(|| silu(hidden.clone()));
    });

    let (gamma, beta, input) = (normal([384]), normal([384]), normal([16, 64, 384]));
    criterion.bench_function("layer norm", |bench| {
        bench.iter(|| layer_norm(input.clone(), gamma.clone(), beta.clone(), 1e-12));
    });

    let heads = normal([16, 12, 64, 32]);
    let bias = padding_bias(Tensor::ones([16, 64], &device));
    criterion.bench_function("attention", |bench| {
        bench.iter(|| attention(heads.clone(), heads.clone(), heads.clone(), Some(bias.clone())));
    });

    // Rows of 8 to 64 tokens, and the causal triangle.
    let mask: Vec<f32> = (0..16 * 64_usize)
        .map(|at| {
            if at % 64 < 8 + (at / 64) * 56 / 15 {
                1.0
            } else {
                0.0
            }
        })
        .collect();
    let padding = padding_bias(Tensor::<1>::from_floats(mask.as_slice(), &device).reshape([16, 64]));
    let causal: Vec<f32> = (0..64 * 64_usize)
        .map(|at| if at % 64 > at / 64 { HIDDEN as f32 } else { 0.0 })
        .collect();
    let causal = Tensor::<1>::from_floats(causal.as_slice(), &device).reshape([1, 1, 64, 64]);
    for (name, bias) in [("attention, ragged rows", padding), ("attention, causal", causal)] {
        criterion.bench_function(name, |bench| {
            bench.iter(|| attention(heads.clone(), heads.clone(), heads.clone(), Some(bias.clone())));
        });
    }

    let branch = |groups: usize| LowRankBranch {
        a: normal([384, 8]),
        b: normal([8, 384]),
        scale: 2.0,
        masks: (groups > 0).then(|| KeepMasks {
            input: Some(Tensor::ones([groups, 384], &device)),
            output: Some(Tensor::ones([groups, 384], &device)),
            rank: None,
        }),
        factor_noise: None,
        input_noise: None,
        group_tokens: None,
    };
    let (weight, bias) = (normal([384, 384]), normal([384]));
    for (name, groups) in [
        ("no masks", 0),
        ("one mask a pass", 1),
        ("one mask an example", 16),
    ] {
        let branch = branch(groups);
        criterion.bench_function(&format!("lora linear, {name}"), |bench| {
            bench.iter(|| lora_linear(input.clone(), weight.clone(), Some(bias.clone()), branch.clone()));
        });
    }

    let logits = normal([32, 150]);
    let targets = Tensor::<1, Int>::zeros([32], &device);
    criterion.bench_function("cross-entropy", |bench| {
        bench.iter(|| cross_entropy(logits.clone(), targets.clone()));
    });
}

criterion_group!(benches, kernels);
criterion_main!(benches);
