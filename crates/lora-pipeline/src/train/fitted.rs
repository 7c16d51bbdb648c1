//! What follows on a training: scores, calibration, the page.

use std::path::PathBuf;
use std::time::Instant;

use lora_core::atomic::write_file;
use lora_core::gaussian::Gaussian;
use lora_models::Transformer;
use lora_train::Fitted;
use serde_json::{Map, Value, json};

use super::checkpoints::{REPORT_FILE, RESULTS_FILE};
use super::scores::{TrainingScores, card_text, page};
use super::speed::Speed;
use super::verdict::{Guess, verdict};
use super::{Training, checkpoint_folder};
use crate::calibration::{CALIBRATION_FILE, CalibrationFile};
use crate::card::CARD_FILE;
use crate::error::Result;
use crate::files::output::{json_text, write_finished, write_together};
use crate::progress::Progress;
use crate::saved::task_file::{TASK_FILE, TaskFile};

/// A training that came to its end, before anything was scored.
pub struct FittedTraining {
    pub(super) training: Training,
    pub(super) fitted: Fitted<Transformer>,
    pub(super) document: Value,
    pub(super) seconds: f64,
    /// Checkpoints that are of no more use.
    pub(super) unasked: Vec<PathBuf>,
}

/// A training with its scores, all of it written.
pub struct ScoredTraining {
    /// Scores of each split; none for a language model that writes.
    pub scored: TrainingScores,
    /// The losses.
    pub history: lora_train::History,
    /// Of a language model that writes, how fast it was trained.
    pub speed: Option<Speed>,
    /// Where everything is.
    pub folder: PathBuf,
    /// What to do better, if anything.
    pub advice: Vec<String>,
    /// `results.json`.
    pub document: Value,
}

impl FittedTraining {
    /// Scores the best model on each split, calibrates it, and writes all of that.
    ///
    /// # Errors
    ///
    /// If the model has diverged, or a file cannot be written.
    pub fn score(self, progress: &dyn Progress) -> Result<ScoredTraining> {
        let Self {
            training,
            fitted,
            mut document,
            seconds,
            unasked,
        } = self;
        if !fitted.history.mask_changes.is_empty() {
            document["mask_probability"] = json!({
                "of_the_adapter": fitted.best.dropout().map(|dropout| dropout.probability),
                "by_step": fitted.history.mask_changes,
            });
        }
        let (config, prepared) = (&training.resolved.config, &training.prepared);
        let folder = config.output_dir.clone();
        let start = Instant::now();
        let scored = TrainingScores::of(&fitted, prepared, config, progress)?;
        let in_use = scored.in_use();
        let inference = in_use.map(|methods| methods.better());
        let not_told_apart_on = in_use
            .map(|methods| methods.not_told_apart_on())
            .transpose()?
            .flatten();
        let history = &fitted.history;
        let mut results = json!({
            "run": document,
            "seconds": {"train": seconds, "score": start.elapsed().as_secs_f64()},
            "best_step": history.best_step,
            "steps": history.steps.len(),
            "history": history,
        });
        let is_scored = prepared.train.is_scored();
        let speed = (!is_scored)
            .then(|| Speed::of(&prepared.train.encoded.lengths(), &config.train, history, seconds));
        if let Some(speed) = speed {
            results["tokens"] = json!(speed.tokens);
            results["tokens_per_second"] = json!(speed.tokens_per_second);
        } else {
            let of_splits = scored.scores.iter();
            let of_splits = of_splits.map(|(name, methods)| (name.clone(), json!(methods)));
            results["temperature"] = json!(scored.rules.temperature);
            results["no_answer_threshold"] = json!(scored.rules.threshold);
            results["inference"] = json!(inference);
            results["metric"] = scored.official_document();
            results["scores"] = Value::Object(of_splits.collect::<Map<_, _>>());
            results["by_class"] = json!(scored.by_class);
            results["train_test_gap"] = json!(scored.gap());
        }
        let task = TaskFile {
            temperature: scored.rules.temperature,
            no_answer_threshold: scored.rules.threshold,
            inference,
            not_told_apart_on,
            posterior: fitted.best.posterior().map(Gaussian::method),
            ..training.task_file
        };
        let (task_text, results_text) = (json_text(&task)?, json_text(&results)?);
        let calibration = scored.calibration.as_ref();
        let calibration = calibration.map(CalibrationFile::text).transpose()?;
        let page = page(&scored, &fitted, config, &training.checks, &results).to_html();
        let card = card_text(&scored, &fitted, prepared, config, &task)?;
        write_together(&folder, |beside| {
            write_file(&beside.join(TASK_FILE), task_text.as_bytes())?;
            if let Some(text) = &calibration {
                write_file(&beside.join(CALIBRATION_FILE), text.as_bytes())?;
            }
            if let Some(text) = &card {
                write_file(&beside.join(CARD_FILE), text.as_bytes())?;
            }
            write_file(&beside.join(RESULTS_FILE), results_text.as_bytes())?;
            write_file(&beside.join(REPORT_FILE), page.as_bytes())
        })?;
        write_finished(&folder, &document)?;
        let guess = prepared.validation.as_ref().and_then(|validation| {
            Guess::of(&prepared.train.truth(), &validation.truth(), prepared.classes())
        });
        for checkpoint in unasked {
            checkpoint_folder::remove(&checkpoint)?;
        }
        let in_use = in_use.map(|methods| methods.in_words()).transpose()?;
        let mut advice: Vec<String> = in_use.into_iter().collect();
        if is_scored {
            advice.extend(verdict(history, guess, scored.mean_pass_on_validation()));
        }
        Ok(ScoredTraining {
            scored,
            history: fitted.history,
            speed,
            folder,
            advice,
            document: results,
        })
    }
}
