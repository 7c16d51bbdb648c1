//! A p that is looked for: training that learns what does not hold goes back to its best state, and training that does not is left alone.

use std::collections::BTreeMap;

use lora_core::{Adapted, Form, LoraConfig, LoraDropout, Rescale};
use lora_data::{EncodedDataset, Targets};
use lora_train::event::FinishReason;
use lora_train::fit::{Start, fit_from};
use lora_train::schedule::Schedule;
use lora_train::variational::VariationalSettings;
use lora_train::{
    CheckpointKind, EvalStrategy, Event, FitData, Fitted, Flow, History, MaskGrouping, MaskSchedule,
    MaskSearchError, Observer, TrainConfig, TrainError, Trainer, TrainingState,
};

use crate::toy::{CLASSES, Toy, adapted, batch, config, dataset, padding, trained_bits};

/// The bits of the model after each evaluation, before training goes back, and what was told of p.
#[derive(Default)]
struct Recorder {
    step: u64,
    bits: BTreeMap<u64, Vec<u32>>,
    told: Vec<f64>,
}

impl Observer<Toy> for Recorder {
    fn on_event(&mut self, event: &Event) -> Flow {
        match event {
            Event::Stepped { report, .. } => self.step = report.step,
            Event::MasksChanged(change) => self.told.push(change.probability),
            _ => {}
        }
        Flow::Continue
    }

    fn after_step(&mut self, trainer: &Trainer<Toy>) -> Flow {
        self.bits.insert(self.step, trained_bits(&trainer.adapted()));
        Flow::Continue
    }

    fn on_checkpoint(&mut self, kind: CheckpointKind, step: u64, adapted: &Adapted<Toy>) -> Flow {
        // A model that the training did not go back from is that of its step.
        if kind == CheckpointKind::Best {
            assert_eq!(self.bits[&step], trained_bits(adapted));
        }
        Flow::Continue
    }
}

fn rescaled() -> LoraConfig {
    config().with_dropout(0.5, Rescale::Rescaled)
}

fn settings(epochs: f64) -> TrainConfig {
    TrainConfig {
        mask_grouping: MaskGrouping::Example,
        ..TrainConfig::new(2e-2, epochs, 8)
    }
}

/// Every class is called by the name of the next one: the better this is learned, the less it holds for rows with their own names.
fn misnamed(mut rows: EncodedDataset) -> EncodedDataset {
    if let Targets::Classes(classes) = &mut rows.targets {
        for class in classes {
            *class = (*class + 1) % CLASSES;
        }
    }
    rows
}

fn fitted(
    train: &EncodedDataset,
    lora: LoraConfig,
    settings: &TrainConfig,
    mask_schedule: Option<MaskSchedule>,
    observer: &mut dyn Observer<Toy>,
) -> Result<Fitted<Toy>, TrainError> {
    let validation = dataset(40, 2);
    let data = FitData {
        train,
        validation: Some(&validation),
        padding: padding(),
    };
    let start = Start {
        mask_schedule,
        ..Start::default()
    };
    fit_from(adapted(lora), settings, &data, start, observer)
}

#[test]
fn training_goes_back_to_the_bits_of_its_best_state_until_the_ladder_ends() {
    let train = misnamed(dataset(50, 1));
    let settings = settings(60.0);
    let smallest = |fitted: &Fitted<Toy>| {
        let losses = fitted.history.evaluations.iter().map(|each| each.loss);
        losses.fold(f64::INFINITY, f64::min)
    };
    let last = |fitted: &Fitted<Toy>| fitted.history.evaluations.last().unwrap().loss;

    // Masks alone do not keep it from learning what does not hold.
    let plain = fitted(&train, rescaled(), &settings, None, &mut |_: &Event| {
        Flow::Continue
    })
    .unwrap();
    assert!(
        last(&plain) > 1.5 * smallest(&plain),
        "{:?}",
        plain.history.evaluations
    );

    let mut recorder = Recorder::default();
    let schedule = MaskSchedule::default();
    let found = fitted(
        &train,
        rescaled(),
        &settings,
        Some(schedule.clone()),
        &mut recorder,
    )
    .unwrap();
    let changes = &found.history.mask_changes;
    let tried: Vec<f64> = changes.iter().map(|change| change.probability).collect();
    assert_eq!(tried[..3], schedule.ladder, "{changes:?}");
    assert_eq!(tried.len(), 4, "{changes:?}");
    assert_eq!(recorder.told, tried);
    assert_eq!(found.history.finish, FinishReason::EarlyStopping);

    // The result is the state with the smallest loss of all, under the p that it was trained under.
    let end = changes[3];
    let best_step = end.back_to.unwrap();
    let of_best = found
        .history
        .evaluations
        .iter()
        .find(|each| each.step == best_step);
    assert_eq!(of_best.unwrap().loss, smallest(&found));
    assert!(last(&found) > smallest(&found));
    assert_eq!(found.history.best_step, Some(best_step));
    let in_force = changes.iter().rev().find(|change| change.step < best_step);
    assert_eq!(end.probability, in_force.unwrap().probability);
    for model in [&found.last, &found.best] {
        assert_eq!(trained_bits(model), recorder.bits[&best_step]);
        assert_eq!(model.dropout().unwrap().probability, end.probability);
    }
    // Steps go on, as those of one training.
    let steps: Vec<u64> = found.history.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, (1..=end.step).collect::<Vec<_>>());
}

/// Stops when p has changed once, and keeps where the training stood.
#[derive(Default)]
struct StopAtChange {
    told: Vec<f64>,
    state: Option<TrainingState>,
}

impl Observer<Toy> for StopAtChange {
    fn on_event(&mut self, event: &Event) -> Flow {
        if let Event::MasksChanged(change) = event {
            self.told.push(change.probability);
        }
        if self.told.len() > 1 {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }

    fn between_steps(&mut self, _trainer: &Trainer<Toy>, state: &dyn Fn() -> TrainingState) -> Flow {
        if self.told.len() > 1 {
            self.state = Some(state());
        }
        Flow::Continue
    }
}

#[test]
fn a_training_that_goes_on_tells_of_no_change_twice() {
    let train = misnamed(dataset(50, 1));
    let settings = settings(60.0);
    let mut first = StopAtChange::default();
    let schedule = Some(MaskSchedule::default());
    fitted(&train, rescaled(), &settings, schedule.clone(), &mut first).unwrap();
    let stood = first.state.unwrap();
    let before = History::of_state(&stood).unwrap();
    let probabilities = |history: &History| {
        let changes = history.mask_changes.iter();
        changes.map(|change| change.probability).collect::<Vec<_>>()
    };
    assert_eq!(probabilities(&before), first.told);

    let validation = dataset(40, 2);
    let data = FitData {
        train: &train,
        validation: Some(&validation),
        padding: padding(),
    };
    let start = Start {
        mask_schedule: schedule,
        state: Some(stood),
        ..Start::default()
    };
    let mut rest = Recorder::default();
    let whole = fit_from(adapted(rescaled()), &settings, &data, start, &mut rest).unwrap();
    assert!(!rest.told.is_empty());
    assert_eq!([first.told, rest.told].concat(), probabilities(&whole.history));
}

#[test]
fn a_search_that_ends_with_the_last_step_has_done_all_steps() {
    let train = misnamed(dataset(50, 1));
    // One learning rate, so that the shorter training has the steps of the longer one.
    let long = TrainConfig {
        lr_scheduler_type: Schedule::Constant,
        ..settings(60.0)
    };
    let history = |settings: &TrainConfig| {
        let schedule = Some(MaskSchedule::default());
        let mut silent = |_: &Event| Flow::Continue;
        fitted(&train, rescaled(), settings, schedule, &mut silent)
            .unwrap()
            .history
    };
    let rise = history(&long).mask_changes[1].step;
    let short = TrainConfig {
        max_steps: Some(rise),
        ..long
    };
    let history = history(&short);
    let end = history.mask_changes.last().unwrap();
    assert_eq!((end.step, history.steps.len() as u64), (rise, rise));
    assert_eq!(history.best_step, end.back_to);
    assert_eq!(history.finish, FinishReason::AllSteps);
}

#[test]
fn training_under_the_next_p_begins_with_the_bits_of_the_best_state() {
    let train = misnamed(dataset(50, 1));
    let mut recorder = Recorder::default();
    let found = fitted(
        &train,
        rescaled(),
        &settings(60.0),
        Some(MaskSchedule::default()),
        &mut recorder,
    )
    .unwrap();
    let first = found.history.mask_changes[1];
    let at = |step: u64| {
        let values = recorder.bits[&step].iter().map(|bits| f32::from_bits(*bits));
        values.collect::<Vec<f32>>()
    };
    let distance = |one: &[f32], other: &[f32]| {
        let differences = one.iter().zip(other).map(|(one, other)| (one - other).abs());
        differences.fold(0.0_f32, f32::max)
    };
    // One step of AdamW moves a number by little more than the learning rate; the epochs since the best state moved some by more.
    let after = at(first.step + 1);
    let one_step = distance(&after, &at(first.back_to.unwrap()));
    assert!(one_step < 3.0 * 2e-2, "{one_step}");
    assert!(distance(&after, &at(first.step)) > one_step);
}

#[test]
fn what_holds_is_learned_as_with_the_first_p_alone() {
    let train = dataset(50, 1);
    let settings = settings(3.0);
    let schedule = MaskSchedule {
        // Nothing that happens here is beyond such noise.
        tolerance: 1e6,
        ..MaskSchedule::default()
    };
    let mut recorder = Recorder::default();
    let found = fitted(&train, rescaled(), &settings, Some(schedule), &mut recorder).unwrap();
    let fixed = config().with_dropout(0.3, Rescale::Rescaled);
    let fixed = fitted(&train, fixed, &settings, None, &mut |_: &Event| Flow::Continue).unwrap();
    assert_eq!(trained_bits(&found.last), trained_bits(&fixed.last));
    assert_eq!(found.history.steps, fixed.history.steps);
    assert_eq!(recorder.told, [0.3]);
    // The last state is the result: it was not worse beyond noise.
    assert_eq!(trained_bits(&found.best), trained_bits(&found.last));
    assert_eq!(found.history.best_step, Some(21));
    assert_eq!(found.last.dropout().unwrap().probability, 0.3);
}

#[test]
fn a_training_without_a_p_to_find_is_refused_before_its_first_step() {
    let train = dataset(9, 1);
    let refused = |lora: LoraConfig, settings: &TrainConfig| {
        let mut silent = |event: &Event| -> Flow { panic!("{event:?}") };
        fitted(&train, lora, settings, Some(MaskSchedule::default()), &mut silent).unwrap_err()
    };
    let usual = settings(1.0);
    let blind = TrainConfig {
        eval_strategy: EvalStrategy::No,
        ..usual.clone()
    };
    let plain = config().with_dropout(0.3, Rescale::Plain);
    for (lora, settings, expected) in [
        (config(), &usual, MaskSearchError::NoMasks),
        (plain, &usual, MaskSearchError::PlainMasks),
        (rescaled(), &blind, MaskSearchError::NoEvaluation),
    ] {
        assert_eq!(refused(lora, settings), TrainError::MaskSearch(expected));
    }
    let data = FitData {
        train: &train,
        validation: Some(&train),
        padding: padding(),
    };
    let start = Start {
        variational: Some(VariationalSettings::default()),
        mask_schedule: Some(MaskSchedule::default()),
        state: None,
    };
    let error = fit_from(adapted(rescaled()), &usual, &data, start, &mut |_: &Event| {
        Flow::Continue
    });
    let expected = TrainError::MaskSearch(MaskSearchError::Variational);
    assert_eq!(error.unwrap_err(), expected);
}

#[test]
fn a_trainer_that_goes_back_has_the_bits_and_moments_of_its_state_and_masks_of_the_new_p() {
    for lora in [rescaled(), rescaled().with_form(Form::WeightDecomposed)] {
        let rows = [batch(6)];
        let trainer = |lora: LoraConfig| Trainer::new(adapted(lora), settings(3.0), 21).unwrap();
        let mut away = trainer(lora.clone());
        let steps = |trainer: &mut Trainer<Toy>, steps: usize| {
            for _ in 0..steps {
                trainer.step(&rows).unwrap();
            }
        };
        steps(&mut away, 3);
        let (state, bits) = (away.state(), trained_bits(&away.adapted()));
        steps(&mut away, 4);
        assert_ne!(trained_bits(&away.adapted()), bits);
        let mut back = away.back_to(&state, 0.25).unwrap();
        assert_eq!(trained_bits(&back.adapted()), bits);
        assert_eq!(back.steps_done(), 7);
        let mut of_now = back.state();
        let mut of_then = state;
        assert_eq!(of_now.take::<u64>("step").unwrap(), 7);
        assert_eq!(of_then.take::<u64>("step").unwrap(), 3);
        assert_eq!(of_now, of_then);

        // From here on it is as a trainer with that p that stood there after seven steps.
        of_then.put("step", &7);
        let mut config = lora;
        config.dropout = Some(LoraDropout::new(0.25, Rescale::Rescaled));
        let mut other = trainer(config).restore(&mut of_then).unwrap();
        for _ in 0..2 {
            assert_eq!(back.step(&rows).unwrap(), other.step(&rows).unwrap());
        }
        assert_eq!(trained_bits(&back.adapted()), trained_bits(&other.adapted()));
    }
}

#[test]
#[should_panic(expected = "only the probability of rescaled masks can change")]
fn the_probability_of_plain_masks_cannot_change() {
    adapted(config().with_dropout(0.3, Rescale::Plain)).set_mask_probability(0.5);
}
