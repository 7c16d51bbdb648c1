//! `lora sweep --dry-run`: the table of what would be computed, with steps, passes and an estimate of the time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use lora_core::{Adapted, Pass};
use lora_data::{Batch, train_batches};
use lora_eval::Passes;
use lora_models::Transformer;
use lora_pipeline::counted::counted;
use lora_pipeline::data::encoded::EncodedSplit;
use lora_pipeline::error::Result;
use lora_pipeline::inference::JudgedRows;
use lora_pipeline::progress::Progress;
use lora_report::{Better, Cell, Column, Table};
use lora_train::Trainer;

use super::Sweep;
use super::plan::{PlannedTraining, PlannedTrial};
use super::queue::Queue;
use super::training::{self, Prepared};
use super::work_estimate::TrainingWork;

/// Steps that are timed for each kind of training, once with new rows and once with rows that are known; those after one that
/// allocates.
const TIMED_STEPS: usize = 3;
/// Seconds after which kinds of training are told from those that were timed.
const BUDGET: f64 = 5.0;
/// Seconds of a step from which on one is enough.
const SLOW: f64 = 0.5;

/// What the trainings of one method with one number of rows on one task need.
struct Group<'a> {
    first: &'a PlannedTraining,
    trainings: usize,
    trials: usize,
    work: TrainingWork,
}

/// What would be computed.
#[derive(Debug)]
pub struct DryRun {
    /// Trainings, steps, trials, passes and minutes of each method.
    pub table: Table,
    /// Trainings.
    pub trainings: usize,
    /// Trials.
    pub trials: usize,
    /// Of everything, one training at a time.
    pub estimated_seconds: f64,
}

/// The table of what a queue computes; writes nothing.
///
/// # Errors
///
/// If a model cannot be loaded.
pub fn run(sweep: &Sweep, queue: &Queue, progress: &dyn Progress) -> Result<DryRun> {
    let groups = groups(sweep, queue)?;
    let bar = progress.start(groups.len() as u64, "timing", "kinds");
    let started = Instant::now();
    let (mut timed, mut told) = (Vec::<Timed<'_>>::new(), 0);
    let mut sizes = HashMap::new();
    let columns =
        ["trainings", "steps", "trials", "passes over rows"].map(|name| Column::new(name, Better::None, 0));
    let columns = columns
        .into_iter()
        .chain([Column::new("minutes", Better::None, 1)]);
    let mut table = Table::new(
        "What the sweep would compute",
        "task, rows, method",
        columns.collect(),
    );
    let mut sum = [0.0; 5];
    for Group {
        first,
        trainings,
        trials,
        work,
    } in &groups
    {
        let size = match sizes.entry((first.task, first.rows)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => *place.insert(Size::of(sweep, first)?),
        };
        // Another model must be timed in any case.
        let model = first.config.model_name_or_path.as_str();
        let like_it = timed.iter().rev().find(|other| other.model == model);
        let measured = match like_it {
            Some(known) if started.elapsed().as_secs_f64() > BUDGET => {
                told += 1;
                known
                    .times
                    .scaled(size.of_step / known.size.of_step, size.of_row / known.size.of_row)
            }
            _ => {
                let measured = time(sweep, first)?;
                timed.push(Timed {
                    model,
                    size,
                    times: measured,
                });
                measured
            }
        };
        let seconds = measured.first_step * work.first_steps as f64
            + measured.step * (work.steps - work.first_steps) as f64
            + measured.first_row * work.first_passes as f64
            + measured.row * (work.passes - work.first_passes) as f64;
        bar.add(1);
        let values = [
            *trainings as f64,
            work.steps as f64,
            *trials as f64,
            work.passes as f64,
            seconds / 60.0,
        ];
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        let task = &sweep.tasks[first.task].name;
        let label = format!("{task}, {}, {}", first.rows, first.method);
        table.push(label, values.map(Cell::value).to_vec());
    }
    bar.finish();
    table.push("all", sum.map(Cell::value).to_vec());
    let table = table.with_note(format!(
        "Minutes: at most {} of the first training and its validation rows were timed here, and multiplied, one training at a time{}; \
         nothing was written.",
        counted(2 * TIMED_STEPS, "step"),
        match told {
            0 => String::new(),
            told => format!(" ({told} of {} kinds were told from the others by their tokens)", groups.len()),
        }
    ));
    Ok(DryRun {
        table,
        trainings: queue.trainings().len(),
        trials: queue.trials().len(),
        estimated_seconds: sum[4] * 60.0,
    })
}

fn groups<'a>(sweep: &'a Sweep, queue: &Queue) -> Result<Vec<Group<'a>>> {
    let plan = &sweep.plan;
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut group_of = HashMap::new();
    for &index in queue.trainings() {
        let training = &plan.trainings[index];
        let task = &sweep.tasks[training.task];
        let key = (training.task, training.rows, training.method.as_str());
        let place = *group_of.entry(key).or_insert_with(|| {
            groups.push(Group {
                first: training,
                trainings: 0,
                trials: 0,
                work: TrainingWork::default(),
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        let trials = queue.trials().iter().map(|&trial| &plan.trials[trial]);
        let own: Vec<&PlannedTrial> = trials.filter(|trial| trial.trainings.contains(&index)).collect();
        group.trainings += 1;
        group.trials += own.iter().filter(|trial| trial.trainings[0] == index).count();
        group.work += TrainingWork::of(training, task, &own)?;
    }
    Ok(groups)
}

/// Seconds.
#[derive(Clone, Copy)]
struct Times {
    /// Of a step with rows that have not gone through the frozen layers.
    first_step: f64,
    /// Of a step with rows that have.
    step: f64,
    /// Of a row in a pass through all layers.
    first_row: f64,
    /// Of a row in a later pass.
    row: f64,
}

impl Times {
    /// The same for longer or shorter texts.
    fn scaled(self, of_steps: f64, of_rows: f64) -> Self {
        Self {
            first_step: self.first_step * of_steps,
            step: self.step * of_steps,
            first_row: self.first_row * of_rows,
            row: self.row * of_rows,
        }
    }
}

/// How long texts are, in tokens.
#[derive(Clone, Copy)]
struct Size {
    of_step: f64,
    of_row: f64,
}

impl Size {
    fn of(sweep: &Sweep, planned: &PlannedTraining) -> Result<Self> {
        let splits = training::rows_of(planned, &sweep.tasks[planned.task])?;
        let mean = |split: &EncodedSplit| {
            let lengths = split.encoded.lengths();
            lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64
        };
        Ok(Self {
            of_step: mean(&splits.train),
            of_row: mean(&splits.validation),
        })
    }
}

/// A kind of training that was timed.
struct Timed<'a> {
    model: &'a str,
    size: Size,
    times: Times,
}

fn time(sweep: &Sweep, planned: &PlannedTraining) -> Result<Times> {
    let task = &sweep.tasks[planned.task];
    let Prepared {
        adapted,
        mut splits,
        padding,
        ..
    } = training::prepare(planned, task)?;
    let config = &planned.config.train;
    let encoded = &splits.train.encoded;
    let steps = config.total_steps(encoded.len());
    let order = train_batches(
        &encoded.lengths(),
        config.per_device_train_batch_size,
        config.seed,
        0,
    );
    let mut trainer = Trainer::new(adapted, config.clone(), steps)?.with_rows_of(&encoded.lengths());
    if let Some(settings) = planned.config.blob {
        trainer = trainer.with_variational(settings, encoded.len())?;
    }
    let of_steps = order.chunks(config.gradient_accumulation_steps);
    let of_steps: Vec<Vec<Batch>> = of_steps
        .take(1 + TIMED_STEPS)
        .map(|step| step.iter().map(|rows| encoded.batch(rows, padding)).collect())
        .collect();
    let mut seconds_a_step = |steps: &[Vec<Batch>]| -> Result<f64> {
        let started = Instant::now();
        for batches in steps {
            trainer.step(batches)?;
        }
        Ok(started.elapsed().as_secs_f64() / steps.len() as f64)
    };
    let mut first_step = seconds_a_step(&of_steps[..1])?;
    if first_step > SLOW {
        let adapted = trainer.adapted();
        let row = seconds_a_row_of_one_batch(&adapted, &splits.validation)?;
        return Ok(Times {
            first_step,
            step: first_step,
            first_row: row,
            row,
        });
    }
    if of_steps.len() > 1 {
        first_step = seconds_a_step(&of_steps[1..])?;
    }
    let step = seconds_a_step(&of_steps)?;
    let adapted = trainer.adapted();
    splits.validation.keep_states(&adapted);
    let row = || seconds_a_row(&adapted, &splits.validation);
    let (first_row, row) = (row()?, row()?);
    Ok(Times {
        first_step,
        step,
        first_row,
        row,
    })
}

/// For a model so slow that one batch tells enough.
fn seconds_a_row_of_one_batch(adapted: &Adapted<Transformer>, split: &EncodedSplit) -> Result<f64> {
    let batch = &split.batches[0];
    let started = Instant::now();
    let outputs = JudgedRows::of(split)?.batch_outputs(&adapted.model, batch, &batch.rows, &Pass::Mean);
    drop(outputs.into_data());
    Ok(started.elapsed().as_secs_f64() / batch.rows.len() as f64)
}

fn seconds_a_row(adapted: &Adapted<Transformer>, split: &EncodedSplit) -> Result<f64> {
    let started = Instant::now();
    JudgedRows::of(split)?.outputs(adapted, &Passes::Mean, &mut |_| {});
    Ok(started.elapsed().as_secs_f64() / split.encoded.len() as f64)
}
