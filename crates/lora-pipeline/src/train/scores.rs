//! Scores of a training: on each part of the data, in tables and on the report page.

use lora_data::tasks::TaskMetric;
use lora_models::Transformer;
use lora_report::Page;
use lora_train::Fitted;
use serde_json::{Value, json};

use crate::calibration::CalibrationFile;
use crate::config::RunConfig;
use crate::data::encoded::EncodedPart;
use crate::data::row_checks::RowChecks;
use crate::error::Result;
use crate::progress::Progress;
use crate::saved::task_file::Fit;
use crate::score::comparison::{comparisons, signed, verdicts};
use crate::score::report::{curves, score_page};
use crate::score::{ScoredMethod, ask, fit, official, official_line, score_part};

/// Scores of the best model on each data set.
pub struct Scored {
    /// Training, validation, test, as far as they exist.
    pub scores: Vec<(String, Vec<ScoredMethod>)>,
    /// Fitted on the validation rows.
    pub fit: Fit,
    /// What the validation rows say about the probabilities of classes.
    pub calibration: Option<CalibrationFile>,
    /// The benchmark's own metric.
    pub metric: Option<TaskMetric>,
}

impl Scored {
    pub(super) fn of(
        fitted: &Fitted<Transformer>,
        train: &EncodedPart,
        validation: Option<&EncodedPart>,
        test: Option<&EncodedPart>,
        config: &RunConfig,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let ensemble = config.ensemble();
        let run = |part: &EncodedPart, ensemble, what: &str| {
            ask(
                &fitted.best,
                part,
                ensemble,
                &format!("scoring {what} rows"),
                progress,
            )
        };
        let mut scores = Vec::new();
        // Of the training rows only the mean pass, for the gap.
        let said = run(train, None, "training")?;
        scores.push(("training".to_owned(), score_part(&said, train, Fit::default())?));
        let mut fitted_there = Fit::default();
        let mut calibration = None;
        if let Some(part) = validation {
            let said = run(part, ensemble, "validation")?;
            fitted_there = fit(&said, part, config.temperature_scaling, progress)?;
            calibration = CalibrationFile::of(&said, part, fitted_there.temperature)?;
            scores.push(("validation".to_owned(), score_part(&said, part, fitted_there)?));
        }
        if let Some(part) = test {
            let said = run(part, ensemble, "test")?;
            scores.push(("test".to_owned(), score_part(&said, part, fitted_there)?));
        }
        Ok(Self {
            scores,
            fit: fitted_there,
            calibration,
            metric: config.benchmark()?.map(|benchmark| benchmark.metric),
        })
    }

    /// The benchmark's own metric on each part, for `results.json`; null without a benchmark.
    pub fn official_document(&self) -> Value {
        let Some(metric) = self.metric else {
            return Value::Null;
        };
        let of_part = |(part, methods): &(String, Vec<ScoredMethod>)| {
            let scores = methods
                .iter()
                .map(|method| json!({"method": method.method, "score": official(metric, method)}));
            (part.clone(), scores.collect::<Value>())
        };
        let parts: serde_json::Map<_, _> = self.scores.iter().map(of_part).collect();
        json!({"name": metric.words(), "parts": parts})
    }

    /// What the ensemble loses, if the validation rows are better predicted by the mean pass.
    ///
    /// # Errors
    ///
    /// If losses cannot be compared.
    pub fn mean_pass_is_better(&self) -> Result<Option<String>> {
        let Some((_, methods)) = self.scores.iter().find(|(part, _)| part == "validation") else {
            return Ok(None);
        };
        let comparisons = comparisons(methods)?;
        let loss = methods.first().map_or(0.0, |mean| mean.scores.loss());
        // Certain and next to nothing is no reason to do anything.
        let matters = |by: f64| by > 0.1 * loss && (comparisons[0].loss == "MSE" || by >= 0.02);
        let worse = comparisons
            .iter()
            .find(|comparison| comparison.mean_pass_is_better() && matters(comparison.interval.difference));
        Ok(worse.map(|comparison| {
            format!(
                "on the validation rows the ensemble, which lora predict uses, is worse than the mean pass ({} by {}); predict \
                 with --members 0, or train with a smaller mask_probability, or with rescaled masks where they are plain",
                comparison.loss,
                signed(comparison.interval.difference)
            )
        }))
    }

    /// Loss of the mean pass on test rows minus that on training rows; without test rows, on validation rows.
    pub fn gap(&self) -> Option<f64> {
        let loss = |name: &str| {
            let (_, methods) = self.scores.iter().find(|(part, _)| part == name)?;
            Some(methods.first()?.scores.loss())
        };
        Some(loss("test").or_else(|| loss("validation"))? - loss("training")?)
    }
}

/// The report of a training.
pub(super) fn page(
    parts: &Scored,
    fitted: &Fitted<Transformer>,
    config: &RunConfig,
    checks: &RowChecks,
    results: &Value,
) -> Page {
    let scores: Vec<(String, &[ScoredMethod])> = parts
        .scores
        .iter()
        .filter(|(name, _)| name != "training")
        .map(|(name, methods)| (format!("{name} rows"), &methods[..]))
        .collect();
    let data = config.data_file.as_ref().or(config.train_file.as_ref());
    let data = config
        .task_name
        .clone()
        .or(data.map(|path| path.display().to_string()))
        .unwrap_or_default();
    let mut page = score_page(&format!("A training on {data}"), &scores, results);
    if let (Some(metric), Some((part, methods))) = (parts.metric, parts.scores.last()) {
        page.summary.extend(official_line(metric, part, methods));
    }
    let rows = |part: &str| results["run"]["rows"][part].as_u64().unwrap_or(0);
    page.subtitle = format!(
        "{}; {} training, {} validation and {} test rows; seed {}",
        config.model_name_or_path,
        rows("train"),
        rows("validation"),
        rows("test"),
        config.train.seed
    );
    if let Some(gap) = parts.gap() {
        let side = if gap < 0.0 { "lower" } else { "higher" };
        page.summary.push(format!(
            "The loss of the mean pass is {:.4} {side} on rows that were not trained on than on the training rows.",
            gap.abs()
        ));
    }
    for (name, methods) in &parts.scores {
        let verdicts = verdicts(methods).unwrap_or_default();
        page.summary
            .extend(verdicts.iter().map(|verdict| format!("{name} rows: {verdict}.")));
    }
    page.sections.extend(checks.section());
    page.sections.push(curves(&fitted.history));
    page.settings = json!(config);
    page
}
