//! One training of a sweep: model, adapters and rows from their seeds, then the loop.

use std::time::Instant;

use lora_core::Adapted;
use lora_data::Padding;
use lora_models::Transformer;
use lora_pipeline::base::{BaseOptions, TextReader, attach};
use lora_pipeline::data::encoded::RowEncoder;
use lora_pipeline::device::{DeviceName, Precision};
use lora_pipeline::error::Result;
use lora_pipeline::progress::CancelToken;
use lora_train::event::FinishReason;
use lora_train::fit::{Start, fit_from};
use lora_train::swag::{Swag, SwagCollector, SwagError, SwagSettings};
use lora_train::variational::VariationalA;
use lora_train::{Event, FitData, Fitted, Flow, History, Observer};

use super::curve::CurveObserver;
use super::data::{CurveSplits, SweepTask, TrialSplits};
use super::file::Stopping;
use super::plan::PlannedTraining;
use super::record::TrainingRecord;

/// Points of a loss curve, at most.
const CURVE_POINTS: usize = 60;

/// A trained model with its rows.
pub struct Trained {
    /// The model of the best evaluation.
    pub adapted: Adapted<Transformer>,
    /// The model of the last step.
    pub last: Adapted<Transformer>,
    /// The standard deviations of a Gaussian over the factors A, if one was learned.
    pub variational: Option<VariationalA>,
    /// What was collected on the way, with the whole covariance.
    pub collected: Vec<Collected>,
    /// Its rows.
    pub splits: TrialSplits,
    /// The record of it.
    pub record: TrainingRecord,
}

impl Trained {
    /// The model that predicts.
    pub fn model(&self, stopping: Stopping) -> &Adapted<Transformer> {
        match stopping {
            Stopping::Early => &self.adapted,
            Stopping::Never => &self.last,
        }
    }
}

/// Everything before the first step.
pub struct Prepared {
    /// Model with new adapters.
    pub adapted: Adapted<Transformer>,
    /// Its rows.
    pub splits: TrialSplits,
    /// The rows of its curve, if it has one.
    pub curve: Option<CurveSplits>,
    /// How rows are made equally long.
    pub padding: Padding,
}

/// A Gaussian collected with these settings, or why there is none.
pub type Collected = (SwagSettings, Result<Swag, SwagError>);

/// Trains, and collects parameters for each of the settings of SWAG, which changes nothing else; none if Ctrl-C ended it.
///
/// # Errors
///
/// If a setting does not fit the model, or the training diverges.
pub fn train(
    planned: &PlannedTraining,
    task: &SweepTask,
    swag: &[SwagSettings],
    on_step: &mut dyn FnMut(u64, u64),
    cancel: &CancelToken,
) -> Result<Option<Trained>> {
    let started = Instant::now();
    let Prepared {
        adapted,
        mut splits,
        mut curve,
        padding,
    } = prepare(planned, task)?;
    let trained_parameters = adapted.count().trained;
    let data = FitData {
        train: &splits.train.encoded,
        validation: Some(&splits.validation.encoded),
        padding,
    };
    let mut steps = 0;
    let mut observer = |event: &Event| {
        match event {
            Event::Started(plan) => steps = plan.steps,
            Event::Stepped { report, .. } => on_step(report.step, steps),
            _ => {}
        }
        if cancel.is_cancelled() && !matches!(event, Event::Finished(_)) {
            Flow::Stop
        } else {
            Flow::Continue
        }
    };
    if let Some(curve) = &mut curve {
        curve.keep_states(&adapted);
    }
    let wanted = planned.curve.as_ref().zip(curve.as_ref());
    let mut observer = CurveObserver::new(wanted, planned.seed, &mut observer);
    let (fitted, collected) = fit_collecting(adapted, planned, &data, swag, &mut observer)?;
    let (curve, curve_time) = observer.finish()?;
    if fitted.history.finish == FinishReason::Stopped {
        return Ok(None);
    }
    let record = TrainingRecord {
        key: planned.key.clone(),
        task: task.name.clone(),
        method: planned.method.clone(),
        seed: planned.seed,
        steps: fitted.history.steps.len(),
        best_step: fitted.history.best_step,
        mask_changes: fitted.history.mask_changes.clone(),
        trained_parameters,
        seconds: started.elapsed().saturating_sub(curve_time).as_secs_f64(),
        peak_memory: None,
        losses: losses(&fitted.history),
        evaluations: fitted
            .history
            .evaluations
            .iter()
            .map(|evaluation| [evaluation.step as f64, evaluation.loss])
            .collect(),
        curve,
    };
    splits.keep_states(&fitted.best);
    Ok(Some(Trained {
        adapted: fitted.best,
        last: fitted.last,
        variational: fitted.variational,
        collected,
        splits,
        record,
    }))
}

/// The loop with an observer for each of the settings around the others.
fn fit_collecting(
    adapted: Adapted<Transformer>,
    planned: &PlannedTraining,
    data: &FitData<'_>,
    swag: &[SwagSettings],
    observer: &mut dyn Observer<Transformer>,
) -> Result<(Fitted<Transformer>, Vec<Collected>)> {
    let Some((settings, others)) = swag.split_first() else {
        let start = Start {
            variational: planned.config.blob,
            mask_schedule: planned.config.mask_probability.schedule(),
            state: None,
        };
        let fitted = fit_from(adapted, &planned.config.train, data, start, observer)?;
        return Ok((fitted, Vec::new()));
    };
    let mut collector = SwagCollector::new(*settings, observer)?;
    let (fitted, mut collected) = fit_collecting(adapted, planned, data, others, &mut collector)?;
    collected.push((*settings, collector.finish(planned.seed, 1.0)));
    Ok((fitted, collected))
}

/// Model with new adapters, and rows.
///
/// # Errors
///
/// If a setting does not fit the model, or the model is not there.
pub fn prepare(planned: &PlannedTraining, task: &SweepTask) -> Result<Prepared> {
    let config = &planned.config;
    let device = config
        .device
        .parse::<DeviceName>()?
        .open_in(Precision::F32, config.fp32_precision)?;
    let opened = BaseOptions::of(config).open(&task.kind, planned.seed, &device)?;
    let encoder = encoder(planned, task, &opened.reader);
    let splits = task.splits(planned.rows, planned.data_seed, &encoder)?;
    let curve = planned.curve.as_ref();
    let curve = curve.map(|curve| task.curve_splits(planned.rows, planned.data_seed, curve.rows, &encoder));
    let curve = curve.transpose()?;
    let tuning = config.tuning(&opened.model.modules_to_save(), opened.default_targets);
    let (adapted, _) = attach(opened.model, &opened.loaded, tuning, planned.seed)?;
    Ok(Prepared {
        adapted,
        splits,
        curve,
        padding: opened.reader.padding,
    })
}

/// The rows of a training, without the training.
///
/// # Errors
///
/// If the model is not there, or a text cannot be tokenized.
pub fn rows_of(planned: &PlannedTraining, task: &SweepTask) -> Result<TrialSplits> {
    let reader = BaseOptions::of(&planned.config).reader(&task.kind)?;
    task.splits(planned.rows, planned.data_seed, &encoder(planned, task, &reader))
}

fn encoder<'t>(planned: &PlannedTraining, task: &'t SweepTask, reader: &'t TextReader) -> RowEncoder<'t> {
    let config = &planned.config;
    let batch_size = config.train.per_device_eval_batch_size;
    RowEncoder::new(reader, &task.kind, config.lengths(), batch_size)
}

/// The losses of the steps, as means over stretches of equal length: last step and mean of each.
fn losses(history: &History) -> Vec<[f64; 2]> {
    let stretch = history.steps.len().div_ceil(CURVE_POINTS).max(1);
    let point = |steps: &[lora_train::trainer::StepReport]| {
        let mean = steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
        // Four digits are enough for a picture.
        let rounded = (mean * 1e4).round() / 1e4;
        [steps[steps.len() - 1].step as f64, rounded]
    };
    history.steps.chunks(stretch).map(point).collect()
}
