//! `lora sweep --dry-run`: the table of what would be computed, with steps, passes and an estimate of the time.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use anyhow::Result;
use lora_core::Adapted;
use lora_data::train_batches;
use lora_eval::Passes;
use lora_eval::report::{Better, Cell, Column, Table};
use lora_models::Transformer;
use lora_train::Trainer;
use serde_json::json;

use super::Sweep;
use super::data::GAP_ROWS;
use super::laplace::MOST_COLUMNS;
use super::plan::{PlannedCell, PlannedTraining};
use super::prediction::{Prediction, Varied};
use super::training;
use crate::asking;
use crate::encoded_part::EncodedPart;
use crate::terminal::{Terminal, counted};

/// Steps that are timed for each kind of training; the first one, which also allocates, is left out.
const TIMED_STEPS: usize = 4;

/// What the trainings of one method with one number of rows on one task need.
struct Group<'a> {
    first: &'a PlannedTraining,
    trainings: usize,
    cells: usize,
    steps: u64,
    /// Rows that go through the model in evaluations and predictions, members counted.
    passes: u64,
    /// Of all its trainings and predictions.
    seconds: f64,
}

/// Prints the table; writes nothing.
///
/// # Errors
///
/// If a model cannot be loaded, or the terminal not written to.
pub fn run(sweep: &Sweep, terminal: &Terminal) -> Result<()> {
    let mut groups = groups(sweep)?;
    let bar = terminal.progress(groups.len() as u64, "timing", "kinds");
    for group in &mut groups {
        let (step, row) = time(sweep, group.first)?;
        group.seconds = step * group.steps as f64 + row * group.passes as f64;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let columns =
        ["trainings", "steps", "cells", "passes over rows"].map(|name| Column::new(name, Better::None, 0));
    let columns = columns
        .into_iter()
        .chain([Column::new("minutes", Better::None, 1)]);
    let mut table = Table::new("What the sweep would compute", "task, rows, method", columns.collect()).with_note(format!(
        "Minutes: {} of the first training and one batch of its validation rows were timed here, and multiplied, one training at \
         a time; nothing was written.",
        counted(TIMED_STEPS - 1, "step")
    ));
    let mut sum = [0.0; 5];
    for group in &groups {
        let values = [
            group.trainings as f64,
            group.steps as f64,
            group.cells as f64,
            group.passes as f64,
            group.seconds / 60.0,
        ];
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        let task = &sweep.tasks[group.first.task].name;
        let label = format!("{task}, {}, {}", group.first.rows, group.first.method);
        table.push(label, values.map(Cell::value).to_vec());
    }
    table.push("all", sum.map(Cell::value).to_vec());
    terminal.table(&table)?;
    terminal.document(&json!({
        "trainings": sweep.plan.trainings.len(), "cells": sweep.plan.cells.len(), "estimated_seconds": sum[4] * 60.0,
        "table": table,
    }))
}

fn groups(sweep: &Sweep) -> Result<Vec<Group<'_>>> {
    let plan = &sweep.plan;
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut group_of = HashMap::new();
    for (index, training) in plan.trainings.iter().enumerate() {
        let task = &sweep.tasks[training.task];
        let [train, validation] = task.sizes(training.rows)?;
        let steps = training.config.train.total_steps(train);
        let key = (training.task, training.rows, training.method.as_str());
        let place = *group_of.entry(key).or_insert_with(|| {
            groups.push(Group {
                first: training,
                trainings: 0,
                cells: 0,
                steps: 0,
                passes: 0,
                seconds: 0.0,
            });
            groups.len() - 1
        });
        let group = &mut groups[place];
        let own: Vec<&PlannedCell> = plan
            .cells
            .iter()
            .filter(|cell| cell.trainings.contains(&index))
            .collect();
        let scored = (train.min(GAP_ROWS) + validation + task.test_sizes().iter().sum::<usize>()) as u64;
        let evaluations = steps / training.config.train.steps_per_epoch(train).max(1);
        group.trainings += 1;
        group.cells += own.iter().filter(|cell| cell.trainings[0] == index).count();
        group.steps += steps;
        let fitted = train as u64 * fitting_passes(&own, task.classes());
        group.passes += evaluations * validation as u64 + scored * passes(&own) + fitted;
    }
    Ok(groups)
}

/// Passes over each row that predictions of one training need; those that differ in the number of members alone share them.
fn passes(cells: &[&PlannedCell]) -> u64 {
    let mut of_source: HashMap<String, u64> = HashMap::new();
    for cell in cells {
        let (source, members) = match &cell.prediction {
            Prediction::Mean | Prediction::DeepEnsemble { .. } => ("mean".to_owned(), 1),
            Prediction::FullUpdate => ("full".to_owned(), 1),
            Prediction::Ensemble { members, masks, .. } => (format!("{masks:?}"), *members),
            Prediction::Swag {
                members,
                scale,
                collect,
                ..
            } => (format!("{scale} {collect:?}"), *members),
            Prediction::Laplace {
                of: Varied::LastLayer,
                structure,
                prior,
                ..
            } => (format!("{structure:?} {prior:?}"), 1),
            Prediction::Laplace {
                of,
                structure,
                prior,
                members,
                ..
            } => (format!("{of:?} {structure:?} {prior:?}"), members.unwrap_or(1)),
        };
        let most = of_source.entry(source).or_default();
        *most = (*most).max(members);
    }
    of_source.values().sum()
}

/// Passes over each training row that Laplace approximations are fitted with; a backward pass costs about as much as two.
fn fitting_passes(cells: &[&PlannedCell], classes: usize) -> u64 {
    let columns = classes.min(MOST_COLUMNS);
    let fits = cells.iter().filter_map(|cell| match &cell.prediction {
        Prediction::Laplace {
            of, structure, prior, ..
        } => Some((of.part().is_some(), format!("{of:?} {structure:?} {prior:?}"))),
        _ => None,
    });
    let fits: BTreeSet<(bool, String)> = fits.collect();
    let passes = |(needs_gradients, _): (bool, String)| if needs_gradients { 3 * columns as u64 } else { 1 };
    fits.into_iter().map(passes).sum()
}

/// Seconds of a step, and of a row in a pass.
fn time(sweep: &Sweep, planned: &PlannedTraining) -> Result<(f64, f64)> {
    let task = &sweep.tasks[planned.task];
    let (adapted, parts, padding) = training::prepare(planned, task)?;
    let config = &planned.config.train;
    let encoded = &parts.train.encoded;
    let steps = config.total_steps(encoded.len());
    let order = train_batches(
        &encoded.lengths(),
        config.per_device_train_batch_size,
        config.seed,
        0,
    );
    let mut seconds = Vec::new();
    let mut trainer = Trainer::new(adapted, config.clone(), steps)?;
    if let Some(settings) = planned.config.blob {
        trainer = trainer.with_variational(settings, encoded.len())?;
    }
    for rows in order
        .chunks(config.gradient_accumulation_steps)
        .cycle()
        .take(TIMED_STEPS)
    {
        let batches: Vec<_> = rows.iter().map(|rows| encoded.batch(rows, padding)).collect();
        let started = Instant::now();
        trainer.step(&batches)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    let timed = &seconds[1..];
    let step = timed.iter().sum::<f64>() / timed.len() as f64;
    Ok((step, seconds_a_row(&trainer.adapted(), &parts.validation)))
}

fn seconds_a_row(adapted: &Adapted<Transformer>, part: &EncodedPart) -> f64 {
    let started = Instant::now();
    asking::outputs(adapted, part, &Passes::Mean, &mut |_| {});
    started.elapsed().as_secs_f64() / part.encoded.len() as f64
}
