//! The work itself: forward pass and training step, by this project and by Burn's own LoRA.

use std::time::Instant;

use anyhow::Result;
use bench_model::{ALPHA, RANK, Shape, Step};
use burn::module::{Lora, Module, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};
use lora_core::{Model, Pass};
use lora_data::Targets;
use lora_kernels::cross_entropy;

use super::report::{Row, Work};

/// Repetitions that are not measured: caches, thread pools and the allocator settle.
const WARM_UP: u32 = 2;

/// The wanted work for one shape; all of it if none is named.
pub fn all(shape: &Shape, repetitions: u32, wanted: &[Work]) -> Result<Vec<Row>> {
    let wants = |work: Work| wanted.is_empty() || wanted.contains(&work);
    let device = Device::flex();
    let row = |tool, work, milliseconds| Row {
        tool,
        shape: shape.name.to_owned(),
        work,
        milliseconds,
    };
    let mut rows = Vec::new();
    let batch = shape.batch();

    if wants(Work::Forward) {
        let adapted = shape.adapted(|config| config, &device);
        let forward = median(repetitions, || {
            adapted.model.forward(&batch, &Pass::Mean).into_data();
            Ok(())
        })?;
        rows.push(row("this project", Work::Forward, forward));
    }

    for (work, step) in [
        (Work::Step, Step::PLAIN),
        (Work::StepExampleMasks, Step::EXAMPLE_MASKS),
        (Work::StepFourGroups, Step::FOUR_GROUPS),
        (Work::StepFourMasks, Step::FOUR_MASKS),
    ] {
        if !wants(work) {
            continue;
        }
        let mut trainer = step.trainer(shape, &device);
        let step = median(repetitions, || {
            trainer.step(std::slice::from_ref(&batch))?;
            Ok(())
        })?;
        rows.push(row("this project", work, step));
    }
    if wants(Work::Step) {
        rows.push(row(
            "Burn apply_lora",
            Work::Step,
            burn_step(shape, &device, repetitions)?,
        ));
    }
    Ok(rows)
}

/// A training step with Burn's own LoRA on the same model, loss and optimizer.
fn burn_step(shape: &Shape, device: &Device, repetitions: u32) -> Result<f64> {
    let weights = ParamGroup::from_regex(r"(query|value)\.base\.weight$")
        .map_err(|error| anyhow::anyhow!("the pattern of the targets: {error:?}"))?;
    let mut model = shape
        .model(device)
        .train()
        .apply_lora(Lora::new(RANK, ALPHA).set_param_group(weights));
    let mut optimizer = AdamWConfig::new().init();
    let batch = shape.batch();
    let Targets::Classes(classes) = &batch.targets else {
        unreachable!("the bench's batch has classes")
    };
    let classes: Vec<i32> = classes.iter().map(|class| *class as i32).collect();
    median(repetitions, || {
        let targets = Tensor::<1, Int>::from_data(classes.as_slice(), device);
        let loss = cross_entropy(model.forward(&batch, &Pass::Mean), targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-4, model.clone(), gradients);
        loss.into_data();
        Ok(())
    })
}

/// Median time in milliseconds.
fn median(repetitions: u32, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut times = Vec::new();
    for repetition in 0..WARM_UP + repetitions {
        let start = Instant::now();
        work()?;
        if repetition >= WARM_UP {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    Ok(if times.len() % 2 == 1 {
        times[middle]
    } else {
        f64::midpoint(times[middle - 1], times[middle])
    })
}
