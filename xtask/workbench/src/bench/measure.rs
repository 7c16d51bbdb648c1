//! The work itself: forward pass and training step, by this project and by Burn alone.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bench_model::{SHAPES, Shape, Step, decoder, real};
use burn::tensor::{Device, Distribution, Tensor};
use lora_core::{Fp32Precision, MaskSampler, Model, Pass, Rescale};
use lora_data::{Batch, EncodedDataset, Padding, ReadOptions, Targets, read_file, train_batches};
use lora_eval::{Passes, predict};
use lora_experiments::memory::peak_memory_bytes;
use lora_models::Transformer;
use lora_pipeline::base::checkpoint::open_checkpoint;
use lora_pipeline::base::hub::hub_options;
use lora_pipeline::base::open_tokenizer;
use lora_pipeline::files::provenance::MadeBy;
use lora_train::Trainer;

use super::BenchOptions;
use super::plain_burn;
use super::report::{MEMBERS, Workload};
use super::worker::Finished;

/// Work is repeated within a turn for so long, and twice at least; the peer's script has the same.
pub const TURN: Duration = Duration::from_millis(500);
/// Rows of a batch of the epoch; the peer's script has the same.
pub const EPOCH_BATCH: usize = 32;
/// Steps before the epoch that are not measured; the peer's script has the same.
pub const EPOCH_WARM_UP: usize = 2;

/// One work, ready to be repeated.
struct Prepared {
    repeat: Box<dyn FnMut() -> Result<()>>,
    /// The work that is meant, as a multiple of the work that is done.
    scale: f64,
    /// How many repetitions of a turn there are at least; of more than one the first does not count.
    least: usize,
}

impl Prepared {
    fn new(repeat: impl FnMut() -> Result<()> + 'static) -> Self {
        Self {
            repeat: Box::new(repeat),
            scale: 1.0,
            least: 2,
        }
    }

    /// Milliseconds of each repetition, for as long as a turn lasts at least. The first finds the caches as another process left
    /// them, and its own memory given back to the system; it does not count.
    fn turn(&mut self, least: Duration) -> Result<Vec<f64>> {
        let begin = Instant::now();
        let mut milliseconds = Vec::new();
        while milliseconds.len() < self.least || begin.elapsed() < least {
            let start = Instant::now();
            (self.repeat)()?;
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3 * self.scale);
        }
        let settled = usize::from(milliseconds.len() > 1);
        Ok(milliseconds.split_off(settled))
    }
}

/// Takes turns at the one work of the one shape that the options name, or at the epoch, as [`Worker`](super::worker::Worker)
/// asks for them.
///
/// # Errors
///
/// If the work cannot be done, or nobody reads the answers.
pub fn take_turns(options: &BenchOptions) -> Result<()> {
    let device = options.device.open()?;
    let mut work = match (&options.text, options.shapes.first(), options.work.first()) {
        (Some(path), ..) => epoch(path, options.text_rows, &device)?,
        (None, Some(_), Some(Workload::Ragged)) => on_real_text(real::ragged(), &device),
        (None, Some(_), Some(Workload::Even)) => on_real_text(real::even(), &device),
        (None, Some(name), Some(work)) if name == decoder::NAME => of_decoder(*work, device)?,
        (None, Some(name), Some(work)) => {
            let shape = SHAPES.iter().find(|shape| shape.name == name);
            prepared(shape.context("a known shape")?, *work, &device)?
        }
        _ => bail!("one shape and one work, or a text"),
    };
    let mut answers = io::stdout();
    for request in io::stdin().lines() {
        request?;
        writeln!(answers, "{}", serde_json::to_string(&work.turn(TURN)?)?)?;
    }
    let versions = MadeBy::this_call();
    let versions = versions
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    let finished = Finished {
        peak_mib: peak_memory_bytes().map(|bytes| bytes as f64 / (1024.0 * 1024.0)),
        versions: versions.collect::<Vec<_>>().join(", "),
    };
    writeln!(answers, "{}", serde_json::to_string(&finished)?)?;
    Ok(())
}

fn prepared(shape: &'static Shape, work: Workload, device: &Device) -> Result<Prepared> {
    let batch = shape.batch();
    let step = match work {
        Workload::Forward | Workload::Forwards => {
            let adapted = shape.adapted(|config| config, device);
            let passes = if work == Workload::Forward { 1 } else { MEMBERS };
            return Ok(Prepared::new(move || {
                for _ in 0..passes {
                    adapted.model.forward(&batch, &Pass::Mean).into_data();
                }
                Ok(())
            }));
        }
        Workload::BurnStep => return Ok(Prepared::new(plain_burn::training(shape, device)?)),
        Workload::Products => return Ok(products(shape, device)),
        Workload::Ensemble => return Ok(ensemble(shape, 0, device)),
        Workload::EnsembleUpperHalf => return Ok(ensemble(shape, shape.n_layers / 2, device)),
        Workload::Step => Step::PLAIN,
        Workload::StepBf16x3 => Step::BF16X3,
        Workload::StepBf16 => Step::BF16,
        Workload::StepAutocast => bail!("only the peer has an autocast"),
        Workload::StepExampleMasks => Step::EXAMPLE_MASKS,
        Workload::StepFourGroups => Step::FOUR_GROUPS,
        Workload::StepFourMasks => Step::FOUR_MASKS,
        Workload::Ragged | Workload::Even | Workload::Epoch => {
            bail!("{} is of real text, not of a shape", work.name())
        }
        Workload::Decode | Workload::DecodeBf16 => bail!("an encoder continues no text"),
    };
    Ok(steps(step.trainer(shape, device), batch))
}

/// Step after step on one batch.
fn steps(mut trainer: Trainer<Transformer>, batch: Batch) -> Prepared {
    Prepared::new(move || {
        trainer.step(std::slice::from_ref(&batch))?;
        Ok(())
    })
}

/// A step of the decoder, or a token of a text that it continues.
fn of_decoder(work: Workload, device: Device) -> Result<Prepared> {
    let sizes = decoder::SIZES;
    let step = match work {
        Workload::Step => Step::PLAIN,
        Workload::StepBf16x3 => Step::BF16X3,
        Workload::StepBf16 => Step::BF16,
        Workload::Decode | Workload::DecodeBf16 => {
            let precision = match work {
                Workload::Decode => Fp32Precision::Ieee,
                _ => Fp32Precision::Bf16,
            };
            let model = sizes.model(precision, &device);
            let texts = Prepared::new(move || {
                sizes.continue_prompt(&model, &device);
                Ok(())
            });
            return Ok(Prepared {
                scale: 1.0 / decoder::NEW_TOKENS as f64,
                ..texts
            });
        }
        other => bail!("{} is not timed of a decoder", other.name()),
    };
    Ok(steps(sizes.trainer(&step, &device), sizes.batch()))
}

/// All members on one batch, with adapters in the layers from `lowest` on; drawing their masks counts.
fn ensemble(shape: &'static Shape, lowest: usize, device: &Device) -> Prepared {
    let layers = (lowest..shape.n_layers).collect();
    let adapted = shape.adapted(
        |config| {
            let mut config = config.with_dropout(0.5, Rescale::Rescaled);
            config.targets.layers = Some(layers);
            config
        },
        device,
    );
    let sampler = MaskSampler {
        seed: 0,
        dropout: adapted.dropout(),
        input_dropout: 0.0,
    };
    let batch = shape.batch();
    Prepared::new(move || {
        let passes = Passes::Members {
            sampler: &sampler,
            members: 0..MEMBERS,
        };
        let batches = std::iter::once((&batch, batch.rows.as_slice()));
        predict(&adapted, batches, batch.batch, &passes, &mut |_| {});
        Ok(())
    })
}

/// The floor of a training step: as many multiplications as its products with frozen weights have, as one large product of
/// Burn's.
fn products(shape: &Shape, device: &Device) -> Prepared {
    const SIZE: usize = 1024;
    let side = Tensor::<2>::random([SIZE, SIZE], Distribution::Default, device);
    let product = Prepared::new(move || {
        side.clone().matmul(side.clone()).into_data();
        Ok(())
    });
    Prepared {
        scale: shape.step_multiplications() as f64 / (SIZE * SIZE * SIZE) as f64,
        ..product
    }
}

/// A step of plain LoRA of the embedded MiniLM.
fn on_real_text(batch: Batch, device: &Device) -> Prepared {
    steps(real::trainer(&Step::PLAIN, device), batch)
}

/// One epoch of plain LoRA on a MiniLM.
fn epoch(path: &Path, rows: usize, device: &Device) -> Result<Prepared> {
    let data = encoded(path, rows)?;
    let shape = Shape {
        batch: EPOCH_BATCH,
        ..SHAPES[0]
    };
    let batches: Vec<Batch> = train_batches(&data.lengths(), EPOCH_BATCH, 0, 0)
        .iter()
        .map(|rows| data.batch(rows, Padding::with(0)))
        .collect();
    let mut trainer = Step::PLAIN.trainer(&shape, device);
    let mut train = move |batches: &[Batch]| -> Result<()> {
        for batch in batches {
            trainer.step(std::slice::from_ref(batch))?;
        }
        Ok(())
    };
    train(&batches[..batches.len().min(EPOCH_WARM_UP)])?;
    Ok(Prepared {
        least: 1,
        ..Prepared::new(move || train(&batches))
    })
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn the_first_of_several_repetitions_does_not_count() {
        let done = Rc::new(Cell::new(0));
        let mut work = Prepared::new({
            let done = done.clone();
            move || {
                done.set(done.get() + 1);
                Ok(())
            }
        });
        assert_eq!(work.turn(Duration::ZERO).expect("it cannot fail").len(), 1);
        assert_eq!(done.replace(0), 2);
        let counted = work.turn(Duration::from_millis(1)).expect("it cannot fail");
        assert_eq!(counted.len(), done.replace(0) - 1);
        work.least = 1;
        assert_eq!(work.turn(Duration::ZERO).expect("it cannot fail").len(), 1);
        assert_eq!(done.get(), 1, "an epoch is run once");
    }
}
