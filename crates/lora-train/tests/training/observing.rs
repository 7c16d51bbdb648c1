//! What the loop tells its observer, and when it ends.

use lora_core::Adapted;
use lora_train::event::FinishReason;
use lora_train::schedule::Schedule;
use lora_train::{CheckpointKind, EvalStrategy, Event, Flow, Metric, Observer, TrainConfig};

use crate::fitting::{dropout, go_on, run, settings};
use crate::toy::{Toy, trained_bits};

#[test]
fn events_tell_the_plan_every_step_every_evaluation_and_the_end() {
    let mut events = Vec::new();
    let settings = TrainConfig {
        gradient_accumulation_steps: 2,
        num_train_epochs: 2.5,
        ..settings()
    };
    let fitted = run(&settings, &mut |event: &Event| {
        events.push(event.clone());
        Flow::Continue
    });
    // 50 rows are 7 batches of 8, so 4 steps an epoch; evaluation after steps 4, 8 and the last.
    let history = fitted.history;
    assert_eq!(
        (
            history.plan.steps,
            history.plan.steps_per_epoch,
            history.plan.examples
        ),
        (10, 4, 50)
    );
    assert!(matches!(&events[0], Event::Started(plan) if *plan == history.plan));
    let stepped: Vec<(u64, f64)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Stepped { report, epoch } => Some((report.step, *epoch)),
            _ => None,
        })
        .collect();
    assert_eq!(
        stepped,
        (1..=10)
            .map(|step| (step, f64::from(step as u32) / 4.0))
            .collect::<Vec<_>>()
    );
    let evaluated: Vec<u64> = history
        .evaluations
        .iter()
        .map(|evaluation| evaluation.step)
        .collect();
    assert_eq!(evaluated, [4, 8, 10]);
    let evaluating = events
        .iter()
        .filter(|event| matches!(event, Event::Evaluating { examples: 21, .. }));
    assert_eq!(evaluating.count(), 3);
    assert_eq!(events.last(), Some(&Event::Finished(FinishReason::AllSteps)));
    assert_eq!(history.finish, FinishReason::AllSteps);
}

#[test]
fn evaluations_come_every_so_many_steps_and_at_the_end() {
    let every_four = TrainConfig {
        eval_strategy: EvalStrategy::Steps,
        eval_steps: Some(4),
        max_steps: Some(10),
        ..settings()
    };
    let evaluated = |settings: &TrainConfig| -> Vec<u64> {
        run(settings, &mut go_on)
            .history
            .evaluations
            .iter()
            .map(|evaluation| evaluation.step)
            .collect()
    };
    assert_eq!(evaluated(&every_four), [4, 8, 10]);
    assert!(
        evaluated(&TrainConfig {
            eval_strategy: EvalStrategy::No,
            ..settings()
        })
        .is_empty()
    );
}

#[test]
fn training_stops_early_when_the_metric_stands_still() {
    // At this learning rate no prediction changes.
    let settings = TrainConfig {
        learning_rate: 1e-12,
        num_train_epochs: 20.0,
        early_stopping_patience: Some(3),
        ..settings()
    };
    let history = run(&settings, &mut go_on).history;
    assert_eq!(history.finish, FinishReason::EarlyStopping);
    let best: Vec<bool> = history
        .evaluations
        .iter()
        .map(|evaluation| evaluation.is_best)
        .collect();
    assert_eq!(best, [true, false, false, false]);
    assert_eq!(history.best_step, Some(history.plan.steps_per_epoch));
}

#[test]
fn a_training_whose_patience_ends_with_its_last_step_has_done_all_steps() {
    let settings = TrainConfig {
        learning_rate: 1e-12,
        num_train_epochs: 4.0,
        early_stopping_patience: Some(3),
        ..settings()
    };
    let history = run(&settings, &mut go_on).history;
    let best = history.evaluations.iter().map(|evaluation| evaluation.is_best);
    assert_eq!(best.collect::<Vec<_>>(), [true, false, false, false]);
    assert_eq!(history.steps.len() as u64, history.plan.steps);
    assert_eq!(history.finish, FinishReason::AllSteps);
}

/// Keeps what it is given; stops where it is told to.
#[derive(Default)]
struct Keeper {
    checkpoints: Vec<(CheckpointKind, u64, Vec<u32>)>,
    stop_at_checkpoint: bool,
}

impl Observer<Toy> for Keeper {
    fn on_event(&mut self, _: &Event) -> Flow {
        Flow::Continue
    }

    fn on_checkpoint(&mut self, kind: CheckpointKind, step: u64, adapted: &Adapted<Toy>) -> Flow {
        self.checkpoints.push((kind, step, trained_bits(adapted)));
        if self.stop_at_checkpoint {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}

#[test]
fn the_best_and_the_last_model_are_those_of_their_checkpoints() {
    let mut keeper = Keeper::default();
    // Steps that change bits but no prediction: no later evaluation is better than the first.
    let settings = TrainConfig {
        learning_rate: 1e-6,
        num_train_epochs: 8.0,
        metric_for_best_model: Metric::Accuracy,
        lr_scheduler_type: Schedule::Constant,
        ..settings()
    };
    let fitted = run(&settings, &mut keeper);
    let of = |kind| {
        keeper
            .checkpoints
            .iter()
            .filter(move |checkpoint| checkpoint.0 == kind)
    };
    let (_, best_step, best) = of(CheckpointKind::Best).next_back().unwrap();
    assert_eq!(fitted.history.best_step, Some(*best_step));
    assert!(*best_step < 56, "the case must not end with its best model");
    assert_eq!(*best, trained_bits(&fitted.best));
    // One after each of 8 epochs of 7 steps.
    assert_eq!(
        of(CheckpointKind::Last).map(|last| last.1).collect::<Vec<_>>(),
        [7, 14, 21, 28, 35, 42, 49, 56]
    );
    let (_, _, last) = of(CheckpointKind::Last).next_back().unwrap();
    assert_eq!(*last, trained_bits(&fitted.last));
    assert_ne!(last, best);
    let accuracies = |best: bool| {
        let evaluations = fitted.history.evaluations.iter();
        let evaluations = evaluations.filter(move |evaluation| evaluation.is_best || !best);
        evaluations
            .filter_map(|evaluation| evaluation.metric)
            .fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(accuracies(true).is_finite());
    assert_eq!(accuracies(true), accuracies(false));
}

#[test]
fn an_observer_can_stop_at_the_start_after_a_step_and_at_a_checkpoint() {
    let stopped_at_start = run(&settings(), &mut |_: &Event| Flow::Stop);
    assert_eq!(stopped_at_start.history.finish, FinishReason::Stopped);
    assert!(stopped_at_start.history.steps.is_empty());
    assert_eq!(trained_bits(&stopped_at_start.last), trained_bits(&dropout()));

    let after_three = run(&settings(), &mut |event: &Event| match event {
        Event::Stepped { report, .. } if report.step == 3 => Flow::Stop,
        _ => Flow::Continue,
    });
    assert_eq!(
        (after_three.history.steps.len(), after_three.history.finish),
        (3, FinishReason::Stopped)
    );
    assert_eq!(trained_bits(&after_three.best), trained_bits(&after_three.last));

    let mut keeper = Keeper {
        stop_at_checkpoint: true,
        ..Keeper::default()
    };
    let at_checkpoint = run(&settings(), &mut keeper);
    assert_eq!(
        (at_checkpoint.history.steps.len(), at_checkpoint.history.finish),
        (7, FinishReason::Stopped)
    );
}
