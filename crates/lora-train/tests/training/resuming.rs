//! A training that is interrupted again and again, each time in a new process as it were, ends with the bits of one that is not.

use lora_core::random::seeded_uniform;
use lora_core::{AdaLora, Adapted, Form, LoraConfig, Rescale};
use lora_data::EncodedDataset;
use lora_train::fit::{Start, fit_from};
use lora_train::swag::{SWAG_SCALE, SwagCollector, SwagSettings};
use lora_train::variational::VariationalSettings;
use lora_train::{
    EvalStrategy, Event, FitData, Fitted, Flow, HiddenKeySettings, MaskGrouping, MaskSchedule, Metric,
    Observer, StateError, TrainConfig, TrainError, Trainer, TrainingState,
};

use crate::fitting::settings;
use crate::toy::{Toy, adapted, batch, config, dataset, padding, trained_bits};

/// How often each training is interrupted, at least.
const INTERRUPTIONS: usize = 50;

/// One way to train.
#[derive(Clone)]
struct Case {
    lora: LoraConfig,
    train: TrainConfig,
    variational: Option<VariationalSettings>,
    masks: Option<MaskSchedule>,
    swag: Option<SwagSettings>,
}

impl Case {
    fn new(lora: LoraConfig) -> Self {
        Self {
            lora,
            train: TrainConfig {
                weight_decay: 0.01,
                warmup_steps: 3,
                // Between the ends of epochs, in the middle of one, and at the end.
                eval_strategy: EvalStrategy::Steps,
                eval_steps: Some(5),
                ..settings()
            },
            variational: None,
            masks: None,
            swag: None,
        }
    }
}

/// Asks for the end after so many events, and remembers where the training stood.
struct Interrupt {
    events_left: usize,
    state: Option<TrainingState>,
}

impl Observer<Toy> for Interrupt {
    fn on_event(&mut self, _event: &Event) -> Flow {
        match self.events_left.checked_sub(1) {
            None => Flow::Stop,
            Some(left) => {
                self.events_left = left;
                Flow::Continue
            }
        }
    }

    fn between_steps(&mut self, _trainer: &Trainer<Toy>, state: &dyn Fn() -> TrainingState) -> Flow {
        if self.events_left == 0 {
            self.state = Some(state());
        }
        Flow::Continue
    }
}

/// What a training ends with.
#[derive(Debug, PartialEq)]
struct Outcome {
    best: Vec<u32>,
    last: Vec<u32>,
    history: String,
    rank_pattern: String,
    deviations: Vec<f64>,
    swag: String,
}

fn rows() -> (EncodedDataset, EncodedDataset) {
    (dataset(50, 1), dataset(21, 2))
}

/// Trains until `events` have passed; a whole training has an outcome, another a state.
fn run(case: &Case, events: usize, state: Option<TrainingState>) -> Result<Outcome, Option<TrainingState>> {
    let (train, validation) = rows();
    let data = FitData {
        train: &train,
        validation: Some(&validation),
        padding: padding(),
    };
    // A new model, whose parameters have new ids.
    let model = adapted(case.lora.clone());
    let mut interrupt = Interrupt {
        events_left: events,
        state: state.clone(),
    };
    let start = |state| Start {
        variational: case.variational,
        mask_schedule: case.masks.clone(),
        state,
    };
    let (fitted, swag) = match case.swag {
        None => {
            let fitted = fit_from(model, &case.train, &data, start(state), &mut interrupt);
            (fitted.unwrap(), None)
        }
        Some(settings) => {
            let mut collecting = SwagCollector::new(settings, &mut interrupt).unwrap();
            let mut state = state;
            if let Some(state) = &mut state {
                collecting = collecting.restore(&model, state).unwrap();
            }
            let fitted = fit_from(model, &case.train, &data, start(state), &mut collecting).unwrap();
            let is_whole = fitted.history.finish != lora_train::event::FinishReason::Stopped;
            let swag = is_whole.then(|| collecting.finish(3, SWAG_SCALE).unwrap());
            (fitted, swag)
        }
    };
    if fitted.history.finish == lora_train::event::FinishReason::Stopped {
        return Err(interrupt.state);
    }
    Ok(outcome(
        &fitted,
        swag.map_or(String::new(), |swag| format!("{:?}", swag.moments())),
    ))
}

fn outcome(fitted: &Fitted<Toy>, swag: String) -> Outcome {
    let deviations = fitted.variational.as_ref();
    let pattern = |adapted: &Adapted<Toy>| {
        let adalora = adapted.lora().unwrap().adalora();
        format!("{:?}", adalora.map(|adalora| adalora.rank_pattern.clone()))
    };
    Outcome {
        best: trained_bits(&fitted.best),
        last: trained_bits(&fitted.last),
        history: serde_json::to_string(&fitted.history).unwrap(),
        rank_pattern: pattern(&fitted.best) + &pattern(&fitted.last),
        deviations: deviations.map_or(Vec::new(), |factors| {
            factors.posterior(&fitted.best, 0).deviations().to_vec()
        }),
        swag,
    }
}

/// As a file gives it back.
fn through_text(state: &TrainingState) -> TrainingState {
    let text = serde_json::to_string(state.values()).unwrap();
    TrainingState::of_parts(state.tensors().clone(), serde_json::from_str(&text).unwrap())
}

#[expect(clippy::cast_sign_loss, reason = "numbers of events are at least 1")]
fn assert_resumes(case: &Case) {
    let expected = run(case, usize::MAX, None).unwrap();
    let mut interruptions = 0;
    for chain in 0.. {
        // So many events pass before each interruption of this chain.
        let mut events = seeded_uniform(7, &format!("events.{chain}"), 1000, 1.0, 12.0).into_iter();
        let mut state: Option<TrainingState> = None;
        let found = loop {
            match run(
                case,
                events.next().unwrap() as usize,
                state.as_ref().map(through_text),
            ) {
                Ok(outcome) => break outcome,
                Err(stood) => state = stood,
            }
            interruptions += 1;
        };
        assert_eq!(found, expected, "chain {chain}");
        if interruptions >= INTERRUPTIONS {
            return;
        }
    }
}

fn adalora() -> LoraConfig {
    config().with_form(Form::Svd(AdaLora {
        init_r: 4,
        target_r: 2,
        tinit: 2,
        tfinal: 4,
        delta_t: 2,
        ..AdaLora::default()
    }))
}

#[test]
fn lora_and_its_forms_resume_to_the_same_bits() {
    assert_resumes(&Case::new(config()));
    assert_resumes(&Case::new(config().with_form(Form::WeightDecomposed)));
}

#[test]
fn masks_resume_to_the_same_bits_in_every_grouping() {
    for grouping in [MaskGrouping::Pass, MaskGrouping::Groups(2), MaskGrouping::Example] {
        let mut case = Case::new(config().with_dropout(0.4, Rescale::Plain));
        case.lora.input_dropout = 0.2;
        case.train.mask_grouping = grouping;
        case.train.masks_per_step = 2;
        assert_resumes(&case);
    }
}

/// Trainings that go back, with the best state in what they resume from.
#[test]
fn a_p_that_is_looked_for_resumes_to_the_same_bits() {
    let masked = config().with_dropout(0.3, Rescale::Rescaled);
    let shrinking = adalora().with_dropout(0.3, Rescale::Rescaled);
    for lora in [masked, shrinking] {
        let mut case = Case::new(lora);
        case.masks = Some(MaskSchedule {
            ladder: vec![0.2, 0.4, 0.6, 0.8],
            // Any rise is one.
            tolerance: 0.0,
        });
        // Steps so large that the loss on validation rows does not only fall.
        case.train.learning_rate = 0.3;
        case.train.num_train_epochs = 6.0;
        let history = run(&case, usize::MAX, None).unwrap().history;
        assert!(history.contains("back_to"), "{history}");
        assert_resumes(&case);
    }
}

#[test]
fn hidden_key_resumes_to_the_same_bits() {
    let mut case = Case::new(config());
    case.train.hidden_key = Some(HiddenKeySettings {
        key_probability: 0.2,
        cut_probability: 0.2,
        kl_weight: 1.0,
    });
    assert_resumes(&case);
}

#[test]
fn adalora_resumes_to_the_same_bits() {
    assert_resumes(&Case::new(adalora()));
    // The best model is from before the last allocation.
    let mut early = Case::new(adalora());
    early.train.learning_rate = 0.3;
    assert_resumes(&early);
}

#[test]
fn a_variational_a_resumes_to_the_same_bits() {
    let mut case = Case::new(config());
    case.variational = Some(VariationalSettings::default());
    assert_resumes(&case);
}

#[test]
fn swag_resumes_to_the_same_bits() {
    let mut case = Case::new(config());
    case.swag = Some(SwagSettings {
        start: 0.3,
        every: Some(2),
        columns: 3,
        ..SwagSettings::default()
    });
    assert_resumes(&case);
}

#[test]
fn accumulated_gradients_class_weights_and_early_stopping_resume_to_the_same_bits() {
    let mut case = Case::new(config());
    case.train.gradient_accumulation_steps = 2;
    case.train.num_train_epochs = 5.5;
    case.train.label_smoothing_factor = 0.1;
    case.train.metric_for_best_model = Metric::Accuracy;
    case.train.early_stopping_patience = Some(2);
    case.train.eval_steps = Some(2);
    assert_resumes(&case);
}

/// Where a training stood after its seventh step.
fn stood(case: &Case) -> TrainingState {
    run(case, 8, None).unwrap_err().unwrap()
}

fn refusal(case: &Case, train: &EncodedDataset, model: Adapted<Toy>, state: TrainingState) -> TrainError {
    let (_, validation) = rows();
    let data = FitData {
        train,
        validation: Some(&validation),
        padding: padding(),
    };
    let start = Start {
        variational: case.variational,
        mask_schedule: case.masks.clone(),
        state: Some(state),
    };
    fit_from(model, &case.train, &data, start, &mut |_: &Event| Flow::Continue).unwrap_err()
}

#[test]
fn another_batch_size_other_rows_or_another_model_are_refused_by_name() {
    let case = Case::new(config());
    let state = stood(&case);
    let differs = |case: &Case, train: &EncodedDataset, model| {
        let error = refusal(case, train, model, state.clone());
        let TrainError::State(StateError::Differs { what, before, now }) = error else {
            panic!("{error}")
        };
        (what, before, now)
    };
    let mut batches = case.clone();
    batches.train.per_device_train_batch_size = 10;
    let (what, before, now) = differs(&batches, &rows().0, adapted(config()));
    assert_eq!(
        (what.as_str(), before.as_str(), now.as_str()),
        ("per_device_train_batch_size", "8", "10")
    );
    let mut masked = Case::new(config().with_dropout(0.3, Rescale::Rescaled));
    masked.masks = Some(MaskSchedule::default());
    let error = refusal(&masked, &rows().0, adapted(masked.lora.clone()), state.clone());
    assert!(
        error.to_string().contains("the schedule of masks changed"),
        "{error}"
    );
    // As many rows of the same lengths, with other words.
    let mut other = rows().0;
    other.encoded[3].input_ids[0] += 1;
    assert_eq!(differs(&case, &other, adapted(config())).0, "the training rows");
    let mut model = adapted(config());
    model.model = model.model.with_other_embedding();
    assert_eq!(differs(&case, &rows().0, model).0, "the base model");
}

#[test]
fn a_state_of_other_adapters_is_refused() {
    let case = Case::new(config());
    let state = stood(&case);
    let mut wider = Case::new(config());
    wider.lora.rank = 3;
    let error = refusal(&wider, &rows().0, adapted(wider.lora.clone()), state.clone());
    assert!(
        matches!(error, TrainError::State(StateError::Shape { .. })),
        "{error}"
    );
    let mut variational = case.clone();
    variational.variational = Some(VariationalSettings::default());
    let error = refusal(&variational, &rows().0, adapted(config()), state);
    assert!(
        matches!(error, TrainError::State(StateError::Missing { .. })),
        "{error}"
    );
    let error = refusal(&case, &rows().0, adapted(config()), stood(&variational));
    assert!(
        matches!(error, TrainError::State(StateError::Unknown { .. })),
        "{error}"
    );
}

#[test]
fn a_restored_trainer_makes_the_steps_of_the_other() {
    let config = TrainConfig::new(2e-2, 1.0, 6);
    let trainer = || Trainer::new(adapted(adalora()), config.clone(), 12).unwrap();
    let batch = [batch(6)];
    let mut first = trainer();
    for _ in 0..5 {
        first.step(&batch).unwrap();
    }
    let mut state = first.state();
    let mut second = trainer().restore(&mut state).unwrap();
    state.finish().unwrap();
    assert_eq!(second.steps_done(), 5);
    for _ in 0..7 {
        assert_eq!(first.step(&batch).unwrap(), second.step(&batch).unwrap());
    }
    assert_eq!(first.state(), second.state());
}
