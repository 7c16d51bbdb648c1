//! The parts of a real plan: what shares a training stays together, for any number of parts.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;

use lora_experiments::sweep::call::TrialChoice;
use lora_experiments::sweep::{Sweep, file};

/// Deep ensembles of neighbouring seeds on one task, and masks on two.
const SWEEP: &str = "\
base:
  model_name_or_path: minilm-l6
  max_seq_length: 8
  learning_rate: 2e-3
  max_steps: 2
  per_device_train_batch_size: 2
tasks:
  - {name: snippets, rows: [4, 8], validation_rows: 4, test_rows: 4}
methods:
  - name: LoRA
    predictions: [mean, {deep_ensemble: {members: 2, stride: STRIDE}}]
  - name: dropout
    train: {mask_rescale: rescaled}
    grid: {mask_probability: [0.1, 0.5], masks_per_step: [1, 4]}
    predictions: [mean, {ensemble: {members: [2, 8]}}]
seeds: [1, 2, 3]
";

fn sweep(stride: &str) -> Sweep {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.yaml");
    std::fs::write(&path, SWEEP.replace("STRIDE", stride)).unwrap();
    Sweep::open(&path, file::read(&path).unwrap(), None).unwrap()
}

/// The trainings of these trials.
fn trainings(sweep: &Sweep, trials: &BTreeSet<usize>) -> BTreeSet<usize> {
    let trials = trials.iter().map(|&trial| &sweep.plan.trials[trial]);
    trials.flat_map(|trial| trial.trainings.iter().copied()).collect()
}

#[test]
fn any_number_of_shards_parts_trials_and_trainings() {
    for stride in ["1", "3"] {
        let sweep = sweep(stride);
        for count in 1..=sweep.plan.trials.len() + 1 {
            let (mut trials, mut trained) = (0, 0);
            let mut seen = BTreeSet::new();
            for index in 1..=count {
                let shard = format!("{index}/{count}").parse().unwrap();
                let own = TrialChoice::Shard(shard).trials(&sweep).unwrap();
                trials += own.len();
                trained += trainings(&sweep, &own).len();
                seen.extend(own);
            }
            assert_eq!(
                (trials, seen.len()),
                (sweep.plan.trials.len(), sweep.plan.trials.len()),
                "{count}"
            );
            assert_eq!(trained, sweep.plan.trainings.len(), "{stride}, {count} shards");
        }
    }
}

#[test]
fn a_training_is_a_unit_unless_deep_ensembles_have_members_in_common() {
    // Two numbers of rows, each with four settings of dropout and three seeds.
    let of_dropout = 2 * 4 * 3;
    // Members of seed 1 are those of seeds 1 and 2, and so on: one unit for each number of rows.
    assert_eq!(sweep("1").work_units().unwrap().len(), of_dropout + 2);
    // Seeds 1 and 4, 2 and 5, 3 and 6.
    assert_eq!(sweep("3").work_units().unwrap().len(), of_dropout + 2 * 3);
}

#[test]
fn more_masks_a_step_more_rows_and_more_members_cost_more() {
    let sweep = sweep("3");
    let units = sweep.work_units().unwrap();
    let tokens = |masks: u64, rows: &str| {
        let unit = units.iter().find(|unit| {
            let trial = &sweep.plan.trials[unit.trials[0]];
            let training = &sweep.plan.trainings[trial.trainings[0]];
            training.config.train.masks_per_step as u64 == masks
                && training.rows.to_string() == rows
                && trial.method == "dropout"
        });
        unit.unwrap().tokens
    };
    assert!(tokens(4, "4") > tokens(1, "4"));
    assert!(tokens(4, "8") > tokens(4, "4"));
    assert!(units.is_sorted_by(|left, right| left.tokens >= right.tokens));
}
