//! The loop: epochs, steps, evaluations, the best model.

use lora_core::adapted::Above;
use lora_core::frozen::FrozenStates;
use lora_core::{Adapted, Model, Pass};
use lora_data::{Batch, EncodedDataset, Padding, Targets, eval_batches, train_batches};
use lora_eval::{Passes, predict};
use serde::{Deserialize, Serialize};

use crate::best::BestSoFar;
use crate::config::{EvalStrategy, TrainConfig};
use crate::criterion::Criterion;
use crate::error::TrainError;
use crate::event::{CheckpointKind, Evaluation, Event, FinishReason, Flow, Observer, TrainingPlan};
use crate::loss::batch_loss_above;
use crate::metric::Measured;
use crate::trainer::{StepReport, Trainer};
use crate::variational::{VariationalA, VariationalSettings};

/// The data of a training.
#[derive(Clone, Copy, Debug)]
pub struct FitData<'a> {
    /// What is learned.
    pub train: &'a EncodedDataset,
    /// What models are compared by; without it the best model is the last one.
    pub validation: Option<&'a EncodedDataset>,
    /// How rows of a batch are made equally long.
    pub padding: Padding,
}

/// A trained model. All models are in validation mode.
#[derive(Clone, Debug)]
pub struct Fitted<M> {
    /// The model of the best evaluation; the last one if there was none.
    pub best: Adapted<M>,
    /// The model of the last step.
    pub last: Adapted<M>,
    /// The standard deviations that belong to the best model, of a training with a variational A.
    pub variational: Option<VariationalA>,
    /// What happened on the way.
    pub history: History,
}

/// The numbers of a training, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// What was planned.
    pub plan: TrainingPlan,
    /// Every optimizer step.
    pub steps: Vec<StepReport>,
    /// Every evaluation.
    pub evaluations: Vec<Evaluation>,
    /// Optimizer steps of the best model; none without evaluation.
    pub best_step: Option<u64>,
    /// Why it ended.
    pub finish: FinishReason,
}

/// Trains adapters and heads: a seeded, length-bucketed order of the examples for each epoch, one
/// [`Trainer::step`] for every `gradient_accumulation_steps` batches, evaluations with the mean pass, early stopping.
///
/// The result is a function of its arguments: one seed gives the same bits on one device.
///
/// # Errors
///
/// [`TrainError`] if a setting or a data set cannot be used, or the training diverges.
pub fn fit<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    fit_with(adapted, config, data, None, observer)
}

/// As [`fit()`] with a variational A (see [`VariationalA`]), which evaluations take at its mean. Members of the ensemble are drawn from
/// [`VariationalA::posterior`] of the best model.
///
/// # Errors
///
/// As [`fit()`]; [`TrainError::Variational`].
pub fn fit_variational<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    settings: VariationalSettings,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    fit_with(adapted, config, data, Some(settings), observer)
}

fn fit_with<M: Model<Input = Batch>>(
    adapted: Adapted<M>,
    config: &TrainConfig,
    data: &FitData<'_>,
    variational: Option<VariationalSettings>,
    observer: &mut dyn Observer<M>,
) -> Result<Fitted<M>, TrainError> {
    data.check(config)?;
    let examples = data.train.len();
    let (steps, steps_per_epoch) = (config.total_steps(examples), config.steps_per_epoch(examples));
    let plan = TrainingPlan {
        steps,
        steps_per_epoch,
        epochs: steps as f64 / steps_per_epoch as f64,
        examples,
    };
    let validation = data
        .validation
        .filter(|_| config.eval_strategy != EvalStrategy::No);
    let mut trainer = Trainer::new(adapted, config.clone(), steps)?;
    if let Some(settings) = variational {
        trainer = trainer.with_variational(settings, examples)?;
    }
    if let Some(weights) = &config.class_weights {
        trainer = trainer.with_class_weights(weights.of(data.train)?);
    }
    if steps > steps_per_epoch {
        trainer = trainer.with_rows_of(&data.train.lengths());
    }
    let validation = validation.map(|dataset| {
        let states = trainer.adapted().frozen_states(&dataset.lengths());
        Validation::new(dataset, states, config, data.padding)
    });
    let mut run = Run {
        trainer,
        config,
        validation,
        judge: BestSoFar::new(config),
        best: None,
        history: History {
            plan,
            steps: Vec::new(),
            evaluations: Vec::new(),
            best_step: None,
            finish: FinishReason::AllSteps,
        },
        observer,
    };
    run.history.finish = run.all_epochs(data)?;
    Ok(run.finish())
}

impl FitData<'_> {
    /// Whether [`fit()`] can begin with these settings; it checks this itself, but a caller may want to know before it
    /// writes anything.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if a setting or a data set cannot be used.
    pub fn check(&self, config: &TrainConfig) -> Result<(), TrainError> {
        config.validate()?;
        check("training", self.train)?;
        if let Some(weights) = &config.class_weights {
            weights.of(self.train)?;
        }
        if let Some(validation) = self.validation {
            check("validation", validation)?;
            config.metric_for_best_model.check(&validation.targets)?;
        }
        let has_a_loss = |key, is_set: bool| match (&self.train.targets, is_set) {
            (Targets::Values(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "a regression",
            }),
            (Targets::Spans(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "question answering",
            }),
            (Targets::Choices(_), true) => Err(TrainError::LossOfTask {
                key,
                task: "multiple choice",
            }),
            _ => Ok(()),
        };
        has_a_loss("label_smoothing_factor", config.label_smoothing_factor > 0.0)?;
        has_a_loss("focal_loss_gamma", config.focal_loss_gamma > 0.0)?;
        Ok(())
    }
}

fn check(part: &'static str, dataset: &EncodedDataset) -> Result<(), TrainError> {
    if dataset.is_empty() {
        return Err(TrainError::NoExamples { part });
    }
    match dataset.targets {
        Targets::None => Err(TrainError::NoTargets { part }),
        _ => Ok(()),
    }
}

/// Mean loss of the tokens, spans or choices that are judged, each counted once.
fn token_loss<M: Model<Input = Batch>>(
    Above { adapted, states }: Above<'_, M>,
    batches: &[Batch],
    progress: &mut dyn FnMut(usize),
) -> Measured {
    let (mut sum, mut tokens, mut done) = (0.0, 0, 0);
    for batch in batches {
        let mean = batch_loss_above(&adapted.model, batch, &Pass::Mean, states, &Criterion::default());
        let judged = batch.targets.judged();
        sum += f64::from(mean.into_scalar::<f32>()) * judged as f64;
        tokens += judged;
        done += batch.batch;
        progress(done);
    }
    let loss = sum / tokens as f64;
    Measured {
        loss,
        metric: Some(loss),
    }
}

/// A validation set, cut into batches once.
struct Validation<'a> {
    dataset: &'a EncodedDataset,
    batches: Vec<Batch>,
    /// Evaluations after the first begin with them.
    states: Option<FrozenStates>,
}

impl<'a> Validation<'a> {
    fn new(
        dataset: &'a EncodedDataset,
        states: Option<FrozenStates>,
        config: &TrainConfig,
        padding: Padding,
    ) -> Self {
        let batches = eval_batches(&dataset.lengths(), config.per_device_eval_batch_size)
            .iter()
            .map(|rows| dataset.batch(rows, padding))
            .collect();
        Self {
            dataset,
            batches,
            states,
        }
    }
}

/// A training under way. Methods answer with the reason to end, if there is one.
struct Run<'a, M> {
    trainer: Trainer<M>,
    config: &'a TrainConfig,
    validation: Option<Validation<'a>>,
    judge: BestSoFar,
    best: Option<(Adapted<M>, Option<VariationalA>)>,
    history: History,
    observer: &'a mut dyn Observer<M>,
}

impl<M: Model<Input = Batch>> Run<'_, M> {
    fn all_epochs(&mut self, data: &FitData<'_>) -> Result<FinishReason, TrainError> {
        let plan = self.history.plan;
        if self.observer.on_event(&Event::Started(plan)) == Flow::Stop {
            return Ok(FinishReason::Stopped);
        }
        let lengths = data.train.lengths();
        for epoch in 0.. {
            let batch_size = self.config.per_device_train_batch_size;
            let order = train_batches(&lengths, batch_size, self.config.seed, epoch);
            for rows_of_step in order.chunks(self.config.gradient_accumulation_steps) {
                let batches: Vec<Batch> = rows_of_step
                    .iter()
                    .map(|rows| data.train.batch(rows, data.padding))
                    .collect();
                if let Some(reason) = self.one_step(&batches)? {
                    return Ok(reason);
                }
            }
        }
        unreachable!("the last step ends the loop")
    }

    fn one_step(&mut self, batches: &[Batch]) -> Result<Option<FinishReason>, TrainError> {
        let report = self.trainer.step(batches)?;
        self.history.steps.push(report);
        let epoch = self.epochs_done();
        let stepped = self.observer.on_event(&Event::Stepped { report, epoch });
        if [stepped, self.observer.after_step(&self.trainer)].contains(&Flow::Stop) {
            return Ok(Some(FinishReason::Stopped));
        }
        let is_last = report.step == self.history.plan.steps;
        if (is_last || self.evaluation_is_due(report.step))
            && let Some(reason) = self.evaluate()?
        {
            return Ok(Some(reason));
        }
        Ok(is_last.then_some(FinishReason::AllSteps))
    }

    fn epochs_done(&self) -> f64 {
        self.trainer.steps_done() as f64 / self.history.plan.steps_per_epoch as f64
    }

    fn evaluation_is_due(&self, step: u64) -> bool {
        match self.config.eval_strategy {
            EvalStrategy::No => false,
            EvalStrategy::Epoch => step.is_multiple_of(self.history.plan.steps_per_epoch),
            EvalStrategy::Steps => self
                .config
                .eval_steps
                .is_some_and(|every| step.is_multiple_of(every)),
        }
    }

    /// Evaluates with the mean pass, if there is a validation set, and hands out checkpoints.
    fn evaluate(&mut self) -> Result<Option<FinishReason>, TrainError> {
        let Some(Validation {
            dataset,
            batches,
            states,
        }) = &self.validation
        else {
            return Ok(None);
        };
        let (step, epoch, examples) = (self.trainer.steps_done(), self.epochs_done(), dataset.len());
        let adapted = self.trainer.adapted();
        let above = adapted.above(states.as_ref());
        let mut asked_to_end = false;
        let mut progress = |done| {
            asked_to_end |= self.observer.on_event(&Event::Evaluating { done, examples }) == Flow::Stop;
        };
        let measured =
            if let Targets::Positions(_) | Targets::Spans(_) | Targets::Choices(_) = dataset.targets {
                token_loss(above, batches, &mut progress)
            } else {
                let inputs = batches.iter().map(|batch| (batch, batch.rows.as_slice()));
                let outputs = predict(above, inputs, examples, &Passes::Mean, &mut progress);
                let metric = self.config.metric_for_best_model;
                let measured = metric.measure(outputs, &dataset.targets);
                measured.map_err(|source| TrainError::Evaluation { step, source })?
            };
        let verdict = self.judge.judge(measured.metric);
        let evaluation = Evaluation {
            step,
            epoch,
            loss: measured.loss,
            metric: measured.metric,
            is_best: verdict.is_best,
        };
        self.history.evaluations.push(evaluation);
        asked_to_end |= self.observer.on_event(&Event::Evaluated(evaluation)) == Flow::Stop;
        if verdict.is_best {
            self.history.best_step = Some(step);
            asked_to_end |= self.observer.on_checkpoint(CheckpointKind::Best, step, &adapted) == Flow::Stop;
            self.best = Some((adapted.clone(), self.trainer.variational().cloned()));
        }
        if step < self.history.plan.steps && !verdict.out_of_patience {
            // The last one of all is handed out at the end, whatever ends the training.
            asked_to_end |= self.observer.on_checkpoint(CheckpointKind::Last, step, &adapted) == Flow::Stop;
        }
        Ok(match (asked_to_end, verdict.out_of_patience) {
            (true, _) => Some(FinishReason::Stopped),
            (false, true) => Some(FinishReason::EarlyStopping),
            (false, false) => None,
        })
    }

    fn finish(self) -> Fitted<M> {
        let step = self.trainer.steps_done();
        let last_deviations = self.trainer.variational().cloned();
        let last = self.trainer.into_adapted();
        // The training is over: there is nothing left to stop.
        let _ = self.observer.on_checkpoint(CheckpointKind::Last, step, &last);
        let _ = self.observer.on_event(&Event::Finished(self.history.finish));
        let (best, variational) = self.best.unwrap_or_else(|| (last.clone(), last_deviations));
        Fitted {
            best,
            last,
            variational,
            history: self.history,
        }
    }
}
