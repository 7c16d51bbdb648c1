//! Scores of a training on the way: after some epochs, by the mean pass and by the ensemble, on training and test rows.

use std::time::{Duration, Instant};

use lora_core::Adapted;
use lora_eval::{Average, Passes};
use lora_models::Transformer;
use lora_pipeline::data::encoded::EncodedSplit;
use lora_pipeline::error::{Error, Result};
use lora_pipeline::inference::member_sampler;
use lora_pipeline::score::TaskScores;
use lora_train::event::{CheckpointKind, TrainingPlan};
use lora_train::{Event, Flow, Observer, Trainer};

use super::data::CurveSplits;
use super::outputs::of_passes;
use super::record::{CurvePoint, CurveScore, CurveScores};
use super::trial::task_scores;

/// What a curve is wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurvePlan {
    /// The epochs, from 1.
    pub epochs: Vec<u64>,
    /// Members of the ensemble; 0 for none.
    pub members: u64,
    /// Rows of each split, at most.
    pub rows: usize,
}

/// Listens to a training, and scores it after the epochs of a plan, if there is one. The training itself does not change with it.
pub struct CurveObserver<'a> {
    wanted: Option<(&'a CurvePlan, &'a CurveSplits)>,
    /// Of members.
    seed: u64,
    inner: &'a mut dyn Observer<Transformer>,
    steps_per_epoch: u64,
    points: Vec<CurvePoint>,
    time: Duration,
    error: Option<Error>,
}

impl<'a> CurveObserver<'a> {
    /// Around another observer.
    pub fn new(
        wanted: Option<(&'a CurvePlan, &'a CurveSplits)>,
        seed: u64,
        inner: &'a mut dyn Observer<Transformer>,
    ) -> Self {
        Self {
            wanted,
            seed,
            inner,
            steps_per_epoch: 0,
            points: Vec::new(),
            time: Duration::ZERO,
            error: None,
        }
    }

    /// The points, and the wall time that they took.
    ///
    /// # Errors
    ///
    /// If outputs could not be scored, which stopped the training.
    pub fn finish(self) -> Result<(Vec<CurvePoint>, Duration)> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.points, self.time)),
        }
    }
}

impl Observer<Transformer> for CurveObserver<'_> {
    fn on_event(&mut self, event: &Event) -> Flow {
        if let Event::Started(TrainingPlan { steps_per_epoch, .. }) = event {
            self.steps_per_epoch = *steps_per_epoch;
        }
        self.inner.on_event(event)
    }

    fn after_step(&mut self, trainer: &Trainer<Transformer>) -> Flow {
        let step = trainer.steps_done();
        let epoch = step / self.steps_per_epoch.max(1);
        if let Some((plan, splits)) = self.wanted
            && step.is_multiple_of(self.steps_per_epoch.max(1))
            && plan.epochs.contains(&epoch)
        {
            let started = Instant::now();
            match point(epoch, plan, splits, &trainer.adapted(), self.seed) {
                Ok(point) => self.points.push(point),
                Err(error) => {
                    self.error = Some(error);
                    return Flow::Stop;
                }
            }
            self.time += started.elapsed();
        }
        self.inner.after_step(trainer)
    }

    fn on_checkpoint(&mut self, kind: CheckpointKind, step: u64, adapted: &Adapted<Transformer>) -> Flow {
        self.inner.on_checkpoint(kind, step, adapted)
    }
}

fn point(
    epoch: u64,
    plan: &CurvePlan,
    splits: &CurveSplits,
    adapted: &Adapted<Transformer>,
    seed: u64,
) -> Result<CurvePoint> {
    let scores = |passes: &Passes<'_>| -> Result<CurveScores> {
        let of = |split: &EncodedSplit| -> Result<CurveScore> {
            let logits = of_passes(adapted, split, passes)?;
            let scores = task_scores(&logits, &split.truth(), Average::Probabilities)?;
            Ok(score_of(&scores))
        };
        Ok(CurveScores {
            train: of(&splits.train)?,
            test: of(&splits.test)?,
        })
    };
    let sampler = member_sampler(adapted, seed);
    let ensemble = Passes::Members {
        sampler: &sampler,
        members: 0..plan.members,
    };
    Ok(CurvePoint {
        epoch,
        mean: scores(&Passes::Mean)?,
        ensemble: (plan.members > 0).then(|| scores(&ensemble)).transpose()?,
    })
}

fn score_of(scores: &TaskScores) -> CurveScore {
    // Four digits are enough for a picture.
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let classes = match scores {
        TaskScores::Classification(scores) => Some(scores),
        _ => None,
    };
    CurveScore {
        loss: rounded(scores.loss()),
        accuracy: classes.map(|scores| rounded(scores.accuracy)),
        ece: classes.map(|scores| rounded(scores.ece)),
    }
}
