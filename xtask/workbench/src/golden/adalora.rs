//! A training with AdaLoRA: the same ranks as PEFT at every step.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lora_core::adalora::RankPattern;
use lora_core::peft::trained_tensors;
use lora_train::schedule::Schedule;
use lora_train::{TrainConfig, Trainer};
use serde::Deserialize;

use super::case::Case;
use super::compare::Differences;

/// The settings of the training and its rank pattern after every step.
#[derive(Deserialize)]
struct Notes {
    lr: f64,
    weight_decay: f64,
    steps: u64,
    patterns: Vec<BTreeMap<String, Vec<bool>>>,
}

/// Follows the training from PEFT's initial tensors: rank patterns must be equal, losses and last weights close.
pub fn training(case: &Case, folder: &Path) -> Result<Differences> {
    let notes = std::fs::read(folder.join("io.json")).context("cannot read io.json")?;
    let notes: Notes = serde_json::from_slice(&notes).context("io.json")?;
    let config = TrainConfig {
        lr_scheduler_type: Schedule::Constant,
        weight_decay: notes.weight_decay,
        max_grad_norm: 0.0,
        ..TrainConfig::new(notes.lr, 1.0, case.batch.batch)
    };
    let mut trainer = Trainer::new(case.adapted(folder)?, config, notes.steps)?;
    ensure!(
        notes.patterns.len() as u64 == notes.steps,
        "io.json lacks patterns"
    );
    let mut losses = Vec::new();
    for (step, expected) in notes.patterns.into_iter().enumerate() {
        losses.push(trainer.step(std::slice::from_ref(&case.batch))?.loss as f32);
        let expected = RankPattern::from(expected);
        let found = trainer.rank_pattern().cloned().unwrap_or_default();
        ensure!(
            found == expected,
            "step {step}: the rank pattern is {found:?}, not {expected:?}"
        );
    }
    let mut differences = Differences::default();
    differences.outputs("losses", &losses, &case.expected("losses")?, |_| true)?;
    for (name, ours) in trained_tensors(&trainer.into_adapted()) {
        let name = format!("final.{name}");
        differences.relative(&name, &ours.values, &case.expected(&name)?)?;
    }
    Ok(differences)
}
