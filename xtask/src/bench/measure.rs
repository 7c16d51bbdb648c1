//! The work itself: forward pass and training step, by this project and by Burn alone.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bench_model::{SHAPES, Shape, Step};
use burn::tensor::{Device, Distribution, Tensor};
use lora_cli::memory::peak_memory_bytes;
use lora_cli::pipeline::{hub_options, open_checkpoint, open_tokenizer};
use lora_cli::provenance::MadeBy;
use lora_core::{MaskSampler, Model, Pass, Rescale};
use lora_data::{Batch, EncodedDataset, Padding, ReadOptions, Targets, read_file, train_batches};
use lora_eval::{Passes, predict};

use super::Options;
use super::plain_burn;
use super::report::{BURN, MEMBERS, OURS, Row, Work};

/// Repetitions that are not measured: caches, thread pools and the allocator settle.
const WARM_UP: u32 = 2;
/// Rows of a batch of the epoch; the peer's script has the same.
const EPOCH_BATCH: usize = 32;

/// What a process of its own was asked for: one work of one shape, or the epoch.
pub fn asked(options: &Options) -> Result<Vec<Row>> {
    let measured = match (&options.text, options.shapes.first(), options.work.first()) {
        (Some(path), ..) => vec![(OURS, "minilm", Work::Epoch, epoch(path, options.text_rows)?)],
        (None, Some(name), Some(work)) => {
            let shape = SHAPES
                .iter()
                .find(|shape| shape.name == name)
                .context("a known shape")?;
            let times = work_of_shape(shape, *work, options.repetitions)?;
            times
                .into_iter()
                .map(|(tool, time)| (tool, shape.name, *work, time))
                .collect()
        }
        _ => bail!("one shape and one work, or a text"),
    };
    let versions = MadeBy::this_call();
    let versions = versions
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let versions = versions.collect::<Vec<_>>().join(", ");
    let rows = measured.into_iter().map(|(tool, shape, work, milliseconds)| Row {
        tool: tool.to_owned(),
        shape: shape.to_owned(),
        work,
        milliseconds,
        peak_mib: peak_memory_bytes().map(|bytes| bytes as f64 / (1024.0 * 1024.0)),
        versions: versions.clone(),
    });
    Ok(rows.collect())
}

/// By whom, and the median time in milliseconds.
fn work_of_shape(shape: &Shape, work: Work, repetitions: u32) -> Result<Vec<(&'static str, f64)>> {
    let device = Device::flex();
    let batch = shape.batch();
    let step = match work {
        Work::Forward => {
            let adapted = shape.adapted(|config| config, &device);
            let time = median(repetitions, || {
                adapted.model.forward(&batch, &Pass::Mean).into_data();
                Ok(())
            })?;
            return Ok(vec![(OURS, time)]);
        }
        Work::Forwards => {
            let adapted = shape.adapted(|config| config, &device);
            let time = median(repetitions, || {
                for _ in 0..MEMBERS {
                    adapted.model.forward(&batch, &Pass::Mean).into_data();
                }
                Ok(())
            })?;
            return Ok(vec![(OURS, time)]);
        }
        Work::BurnStep => {
            let time = median(repetitions, plain_burn::training(shape, &device)?)?;
            return Ok(vec![(BURN, time)]);
        }
        Work::Products => return Ok(vec![(OURS, products(shape, &device, repetitions)?)]),
        Work::Ensemble => return Ok(vec![(OURS, ensemble(shape, 0, repetitions)?)]),
        Work::EnsembleUpperHalf => {
            let half = shape.n_layers / 2;
            return Ok(vec![(OURS, ensemble(shape, half, repetitions)?)]);
        }
        Work::Step => Step::PLAIN,
        Work::StepExampleMasks => Step::EXAMPLE_MASKS,
        Work::StepFourGroups => Step::FOUR_GROUPS,
        Work::StepFourMasks => Step::FOUR_MASKS,
        Work::Epoch => bail!("an epoch is of a text, not of a shape"),
    };
    let mut trainer = step.trainer(shape, &device);
    let time = median(repetitions, || {
        trainer.step(std::slice::from_ref(&batch))?;
        Ok(())
    })?;
    Ok(vec![(OURS, time)])
}

/// All members on one batch, with adapters in the layers from `lowest` on; drawing their masks counts.
fn ensemble(shape: &Shape, lowest: usize, repetitions: u32) -> Result<f64> {
    let device = Device::flex();
    let layers = (lowest..shape.n_layers).collect();
    let adapted = shape.adapted(
        |config| {
            let mut config = config.with_dropout(0.5, Rescale::Rescaled);
            config.targets.layers = Some(layers);
            config
        },
        &device,
    );
    let sampler = MaskSampler {
        seed: 0,
        dropout: adapted.dropout(),
        input_dropout: 0.0,
    };
    let batch = shape.batch();
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..MEMBERS,
    };
    median(repetitions, || {
        let batches = std::iter::once((&batch, batch.rows.as_slice()));
        predict(&adapted, batches, batch.batch, &passes, &mut |_| {});
        Ok(())
    })
}

/// The floor of a training step: as many multiplications as its products with frozen weights have, as one large product of
/// Burn's.
fn products(shape: &Shape, device: &Device, repetitions: u32) -> Result<f64> {
    const SIZE: usize = 1024;
    let side = Tensor::<2>::random([SIZE, SIZE], Distribution::Default, device);
    let time = median(repetitions, || {
        side.clone().matmul(side.clone()).into_data();
        Ok(())
    })?;
    Ok(time * shape.step_multiplications() as f64 / (SIZE * SIZE * SIZE) as f64)
}

/// Milliseconds of one epoch of plain LoRA on a MiniLM.
fn epoch(path: &Path, rows: usize) -> Result<f64> {
    let data = encoded(path, rows)?;
    let shape = Shape {
        batch: EPOCH_BATCH,
        ..SHAPES[0]
    };
    let batches: Vec<Batch> = train_batches(&data.lengths(), EPOCH_BATCH, 0, 0)
        .iter()
        .map(|rows| data.batch(rows, Padding::with(0)))
        .collect();
    let mut trainer = Step::PLAIN.trainer(&shape, &Device::flex());
    for batch in batches.iter().take(WARM_UP as usize) {
        trainer.step(std::slice::from_ref(batch))?;
    }
    let start = Instant::now();
    for batch in &batches {
        trainer.step(std::slice::from_ref(batch))?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// The first rows of a file of labelled text, in tokens of the embedded MiniLM; two classes, whatever the labels are.
pub fn encoded(path: &Path, rows: usize) -> Result<EncodedDataset> {
    let mut data = read_file(path, &ReadOptions::default())?.dataset;
    data.examples.truncate(rows);
    let checkpoint = open_checkpoint("minilm-l6", &hub_options(None))?;
    let mut encoded = open_tokenizer(&checkpoint, 512)?.encode_dataset(&data)?;
    encoded.targets = Targets::Classes((0..encoded.len()).map(|row| row % 2).collect());
    Ok(encoded)
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
