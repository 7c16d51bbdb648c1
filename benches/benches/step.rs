//! Forward pass and training step of MiniLM, plain and with LoRA Dropout.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use bench_model::SHAPES;
use burn::tensor::Device;
use criterion::{Criterion, criterion_group, criterion_main};
use lora_core::{Model, Pass, Rescale};
use lora_train::{MaskGrouping, TrainConfig, Trainer};

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
    for (name, p, masks_per_step, mask_grouping) in [
        ("training step, plain LoRA", 0.0, 1, MaskGrouping::Pass),
        ("training step, one mask a pass", 0.5, 1, MaskGrouping::Pass),
        (
            "training step, one mask an example",
            0.5,
            1,
            MaskGrouping::Example,
        ),
        ("training step, 4 masks a step", 0.5, 4, MaskGrouping::Pass),
    ] {
        let adapted = shape.adapted(
            |config| {
                if p > 0.0 {
                    config.with_dropout(p, Rescale::Rescaled)
                } else {
                    config
                }
            },
            &device,
        );
        let config = TrainConfig {
            masks_per_step,
            mask_grouping,
            ..shape.train_config()
        };
        let mut trainer = Trainer::new(adapted, config, 1_000_000).expect("valid settings");
        group.bench_function(name, |bench| {
            bench.iter(|| {
                trainer
                    .step(std::slice::from_ref(&batch))
                    .expect("the training does not diverge")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
