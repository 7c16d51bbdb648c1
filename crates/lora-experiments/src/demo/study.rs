//! Training and scoring: every training with every seed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use burn::tensor::Device;
use lora_core::{Adapted, Rescale};
use lora_data::{Padding, Task, sentiment_labels};
use lora_eval::calibration::{Binning, ReliabilityBin};
use lora_eval::proper::cross_entropy;
use lora_eval::{Average, MeanStd, Passes, Predictions, Scores, judge_temperature, predict};
use lora_models::{Checkpoint, Transformer};
use lora_pipeline::base::attach;
use lora_pipeline::base::checkpoint::load_model;
use lora_pipeline::error::Result;
use lora_pipeline::progress::{Counter, Progress};
use lora_pipeline::score::{ClassScores, JUDGING_SEED, member_sampler};
use lora_report::{Better, Cell, Column, Table};
use lora_train::trainer::StepReport;
use lora_train::{Event, FitData, Flow, fit};
use serde::{Deserialize, Serialize};

use super::data::{DemoData, DemoPart};
use super::plan::{Method, Plan, Training};
use crate::side_by_side::side_by_side;

/// One method with one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodRun {
    /// Which.
    pub method: Method,
    /// The seed.
    pub seed: u64,
    /// Passes a row.
    pub members: u64,
    /// Temperature that fits the validation rows; 1 where they determine none.
    pub temperature: f64,
    /// On the rows it was trained on.
    pub train: Scores,
    /// On the validation rows.
    pub validation: Scores,
    /// In the domain of training.
    pub test: PartScores,
    /// In the other domain.
    pub shifted: PartScores,
    /// Of training, which the methods of one training share.
    pub training_seconds: f64,
    /// Of scoring the rows of both domains.
    pub scoring_seconds: f64,
    /// Loss of each step of the training.
    pub losses: Vec<f64>,
}

/// One method on the rows of one domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartScores {
    /// As it is.
    pub plain: Scores,
    /// With the temperature that fits the validation rows.
    pub scaled: Scores,
    /// Mean cross-entropy against what people say, in nats.
    pub people: f64,
    /// The bins of the calibration error.
    pub reliability: Vec<ReliabilityBin>,
    /// Negative log-likelihood of each row, in nats.
    pub row_nll: Vec<f64>,
}

/// A progress bar that counts passes over rows; a training pass over a row, forward and backward, counts three.
struct Meter {
    bar: Box<dyn Counter>,
    done: AtomicUsize,
}

impl Meter {
    fn new(bar: Box<dyn Counter>) -> Self {
        Self {
            bar,
            done: AtomicUsize::new(0),
        }
    }

    /// Where there is no bar to watch, a line for each training tells that something goes on.
    fn say_done(&self, what: &str, jobs: usize, progress: &dyn Progress) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.bar.is_visible() {
            progress.note(&format!("{done} of {jobs} trainings done: {what}"));
        }
    }
}

const TRAINING_WEIGHT: u64 = 3;

/// Every training with every seed.
pub fn run_all(
    checkpoint: &Checkpoint,
    data: &DemoData,
    plan: &Plan,
    device: &Device,
    progress: &dyn Progress,
) -> Result<Vec<MethodRun>> {
    let scored = (plan.train + plan.validation + plan.test + plan.shifted) as u64;
    let scoring = scored * (Training::ALL.len() as u64 + plan.members);
    let training = plan.training_rows() * TRAINING_WEIGHT * Training::ALL.len() as u64;
    let meter = Meter::new(progress.start((scoring + training) * plan.seeds.len() as u64, "demo", "rows"));
    let jobs: Vec<(u64, Training)> = plan
        .seeds
        .iter()
        .flat_map(|&seed| Training::ALL.map(|training| (seed, training)))
        .collect();
    // The trainings are of one length.
    let scorings = |&(_, training): &(u64, Training)| training.methods().len() as u64;
    let runs = side_by_side(&jobs, scorings, |&(seed, training)| {
        let [train, validation] = data.draw(plan, seed)?;
        let trained = train_one(checkpoint, data, &train, plan, training, seed, device, &meter)?;
        let parts = [&train, &validation, &data.test, &data.shifted];
        let methods = training.methods().iter();
        let runs = methods.map(|&method| trained.score(plan, method, parts, &meter));
        let runs = runs.collect::<Result<Vec<_>>>()?;
        meter.say_done(&format!("{}, seed {seed}", training.name()), jobs.len(), progress);
        Ok(runs)
    });
    meter.bar.finish();
    Ok(runs.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

/// A trained model and how it got there.
struct Trained {
    adapted: Adapted<Transformer>,
    seed: u64,
    losses: Vec<f64>,
    seconds: f64,
}

#[expect(
    clippy::too_many_arguments,
    reason = "called in two places, with everything a training depends on"
)]
fn train_one(
    checkpoint: &Checkpoint,
    data: &DemoData,
    train: &DemoPart,
    plan: &Plan,
    training: Training,
    seed: u64,
    device: &Device,
    meter: &Meter,
) -> Result<Trained> {
    let started = Instant::now();
    let task = Task::Classification {
        labels: sentiment_labels(),
    };
    let (model, loaded) = load_model(checkpoint, &task, seed, device)?;
    let (adapted, _) = attach(model, &loaded, plan.lora_config(training).into(), seed)?;
    let fit_data = FitData {
        train: &train.part.encoded,
        validation: None,
        padding: Padding::with(data.pad_id()?),
    };
    let weight = TRAINING_WEIGHT * plan.batch_size as u64;
    let mut observer = |event: &Event| {
        if let Event::Stepped { .. } = event {
            meter.bar.add(weight);
        }
        Flow::Continue
    };
    let fitted = fit(adapted, &plan.train_config(seed), &fit_data, &mut observer)?;
    Ok(Trained {
        adapted: fitted.last,
        seed,
        losses: fitted
            .history
            .steps
            .iter()
            .map(|step: &StepReport| step.loss)
            .collect(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

impl Trained {
    fn predictions(
        &self,
        plan: &Plan,
        method: Method,
        part: &DemoPart,
        meter: &Meter,
    ) -> Result<Predictions> {
        let batches = part
            .part
            .batches
            .iter()
            .map(|batch| (batch, batch.rows.as_slice()));
        let sampler = member_sampler(&self.adapted, self.seed);
        let passes = match method {
            Method::DropoutEnsemble => Passes::Members {
                sampler: &sampler,
                members: 0..plan.members,
            },
            Method::Lora | Method::InputDropout | Method::DropoutMean => Passes::Mean,
        };
        let mut before = 0;
        let mut progress = |done: usize| {
            meter.bar.add((done - before) as u64);
            before = done;
        };
        Ok(predict(
            &self.adapted,
            batches,
            part.part.encoded.len(),
            &passes,
            &mut progress,
        )
        .into_predictions()?)
    }

    fn score(
        &self,
        plan: &Plan,
        method: Method,
        [train, validation, test, shifted]: [&DemoPart; 4],
        meter: &Meter,
    ) -> Result<MethodRun> {
        let average = Average::Probabilities;
        let whole = |part: &DemoPart| -> Result<(Predictions, Scores)> {
            let predictions = self.predictions(plan, method, part, meter)?;
            let scores = Scores::of(&predictions.average(average), part.labels(), Binning::default())?;
            Ok((predictions, scores))
        };
        let (_, train) = whole(train)?;
        let (predictions, validation_scores) = whole(validation)?;
        let judged = judge_temperature(&predictions, validation.labels(), average, JUDGING_SEED)?;
        let temperature = judged.outcome.temperature().unwrap_or(1.0);
        let started = Instant::now();
        let part = |part: &DemoPart| -> Result<PartScores> {
            let predictions = self.predictions(plan, method, part, meter)?;
            let probabilities = predictions.average(average);
            let unscaled = ClassScores::of(&probabilities, part.labels())?;
            let scaled = predictions.with_temperature(temperature)?.average(average);
            Ok(PartScores {
                plain: unscaled.scores,
                scaled: ClassScores::of(&scaled, part.labels())?.scores,
                people: cross_entropy(&probabilities, &part.people)?,
                reliability: unscaled.reliability,
                row_nll: unscaled.row_nll,
            })
        };
        let (test, shifted) = (part(test)?, part(shifted)?);
        Ok(MethodRun {
            method,
            seed: self.seed,
            members: if method == Method::DropoutEnsemble {
                plan.members
            } else {
                1
            },
            temperature,
            train,
            validation: validation_scores,
            test,
            shifted,
            training_seconds: self.seconds,
            scoring_seconds: started.elapsed().as_secs_f64(),
            losses: self.losses.clone(),
        })
    }
}

/// Compares settings on validation rows only: probabilities of both kinds of dropout.
pub fn choose(
    checkpoint: &Checkpoint,
    data: &DemoData,
    plan: &Plan,
    device: &Device,
    progress: &dyn Progress,
) -> Result<Table> {
    let mut candidates = vec![(plan.clone(), Training::Plain, 0.0)];
    for p in [0.1, 0.3, 0.5] {
        let input_dropout = p;
        candidates.push((
            Plan {
                input_dropout,
                ..plan.clone()
            },
            Training::InputDropout,
            p,
        ));
        for mask_rescale in [Rescale::Plain, Rescale::Rescaled] {
            let mask_probability = p;
            candidates.push((
                Plan {
                    mask_probability,
                    mask_rescale,
                    ..plan.clone()
                },
                Training::LoraDropout,
                p,
            ));
        }
    }
    let weight = plan.training_rows() * TRAINING_WEIGHT + plan.validation as u64 * (1 + plan.members);
    let total = weight * candidates.len() as u64 * plan.seeds.len() as u64;
    let meter = Meter::new(progress.start(total, "settings", "rows"));
    let columns = vec![
        Column::new("p", Better::None, 1),
        Column::new("accuracy", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3).with_unit("nats"),
        Column::new("ECE", Better::Lower, 3).with_unit("15 bins"),
    ];
    let mut table = Table::new("Settings, on validation rows", "method", columns);
    let scored = side_by_side(
        &candidates,
        |_| 1,
        |(plan, training, p)| -> Result<Vec<Vec<Scores>>> {
            let mut scores: Vec<Vec<Scores>> = vec![Vec::new(); training.methods().len()];
            for &seed in &plan.seeds {
                let [train, held_out] = data.draw(plan, seed)?;
                let trained = train_one(checkpoint, data, &train, plan, *training, seed, device, &meter)?;
                for (scores, &method) in scores.iter_mut().zip(training.methods()) {
                    let predictions = trained.predictions(plan, method, &held_out, &meter)?;
                    let probabilities = predictions.average(Average::Probabilities);
                    scores.push(Scores::of(&probabilities, held_out.labels(), Binning::default())?);
                }
            }
            meter.say_done(
                &format!("{}, p = {p}", training.name()),
                candidates.len(),
                progress,
            );
            Ok(scores)
        },
    );
    for ((plan, training, p), of_methods) in candidates.into_iter().zip(scored) {
        let of_methods = of_methods?;
        for (scores, method) in of_methods.iter().zip(training.methods()) {
            let spread = |of: fn(&Scores) -> f64| spread(scores.iter().map(of));
            let rescale = match (training, plan.mask_rescale) {
                (Training::LoraDropout, Rescale::Plain) => ", plain masks",
                (Training::LoraDropout, Rescale::Rescaled) => ", rescaled masks",
                _ => "",
            };
            table.push(
                format!("{}{rescale}", method.name()),
                vec![
                    Cell::value(p),
                    spread(|scores| scores.accuracy)?,
                    spread(|scores| scores.nll)?,
                    spread(|scores| scores.ece)?,
                ],
            );
        }
    }
    meter.bar.finish();
    Ok(table)
}

/// Mean and standard deviation over seeds; the value alone for one seed.
pub fn spread(values: impl Iterator<Item = f64>) -> Result<Cell> {
    let of = MeanStd::of(&values.collect::<Vec<_>>())?;
    Ok(match of.std {
        Some(std) => Cell::spread(of.mean, std),
        None => Cell::value(of.mean),
    })
}
