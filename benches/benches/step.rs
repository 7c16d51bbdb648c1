//! Forward pass and training step of MiniLM, plain and with LoRA Dropout; and on real text in rows of unequal length.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use bench_model::{SHAPES, Step, real};
use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use lora_core::{Model, Pass};

fn step(criterion: &mut Criterion) {
    let shape = SHAPES[1];
    let device = Device::flex();
    let batch = shape.batch();
    let adapted = shape.adapted(|config| config, &device);
    let mut group = criterion.benchmark_group(shape.name);
    group.sample_size(10);
    group.bench_function("forward", |bench| {
        bench.iter(|| adapted.model.forward(&batch, &Pass::Mean).into_data());
    });
    for step in Step::ALL {
        let mut trainer = step.trainer(&shape, &device);
        group.bench_function(step.name, |bench| {
            bench.iter(|| {
                trainer
                    .step(std::slice::from_ref(&batch))
                    .expect("the training does not diverge")
            });
        });
    }
    group.finish();
}

/// The same number of tokens in rows of 8 to 64 tokens, padded, and in rows of one length.
fn ragged(criterion: &mut Criterion) {
    let device = Device::flex();
    let mut group = criterion.benchmark_group("real text");
    group.sample_size(10);
    for (name, batch) in [("ragged rows", real::ragged()), ("even rows", real::even())] {
        let adapted = real::adapted(|config| config, &device);
        group.bench_function(format!("forward, {name}"), |bench| {
            bench.iter(|| adapted.model.forward(&batch, &Pass::Mean).into_data());
        });
        for step in [Step::PLAIN, Step::EXAMPLE_MASKS] {
            let mut trainer = real::trainer(&step, &device);
            group.bench_function(format!("{}, {name}", step.name), |bench| {
                bench.iter(|| {
                    trainer
                        .step(std::slice::from_ref(&batch))
                        .expect("the training does not diverge")
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, step, ragged);
criterion_main!(benches);
