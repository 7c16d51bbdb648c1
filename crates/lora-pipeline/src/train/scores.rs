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
use crate::saved::task_file::{Fit, Inference};
use crate::score::comparison::verdicts;
use crate::score::report::{curves, score_page};
use crate::score::{ScoredMethod, TaskScores, ask, fit, official, official_line, score_part};

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

    /// Scores of the mean pass on the validation rows, without temperature.
    pub fn mean_pass_on_validation(&self) -> Option<&TaskScores> {
        let (_, methods) = self.scores.iter().find(|(part, _)| part == "validation")?;
        methods.first().map(|mean| &mean.scores)
    }

    /// Losses of the mean pass and of the ensemble on the validation rows, each as it is used: with its temperature if it has one.
    fn losses_in_use(&self) -> Option<[&ScoredMethod; 2]> {
        let (_, methods) = self.scores.iter().find(|(part, _)| part == "validation")?;
        let in_use = |is_ensemble: bool| {
            let mut of_kind = methods.iter().rev();
            of_kind.find(|method| method.average.is_some() == is_ensemble)
        };
        Some([in_use(false)?, in_use(true)?])
    }

    /// The better of mean pass and ensemble on the validation rows, by their loss; none where there is no ensemble, or no such rows.
    pub fn inference(&self) -> Option<Inference> {
        let [mean, ensemble] = self.losses_in_use()?;
        Some(if ensemble.scores.loss() < mean.scores.loss() {
            Inference::Ensemble
        } else {
            Inference::Mean
        })
    }

    /// Which of the two `lora predict` uses, and why.
    pub fn inference_in_words(&self) -> Option<String> {
        let [mean, ensemble] = self.losses_in_use()?;
        let (used, other) = match self.inference()? {
            Inference::Mean => (mean, ensemble),
            Inference::Ensemble => (ensemble, mean),
        };
        let what = |method: &ScoredMethod| match method.average {
            Some(_) => "the ensemble",
            None => "the mean pass",
        };
        Some(format!(
            "lora predict uses {}, whose {} on the validation rows is {:.4}, that of {} {:.4}; --inference {} uses the other",
            what(used),
            used.scores.loss_name(),
            used.scores.loss(),
            what(other),
            other.scores.loss(),
            if other.average.is_some() {
                "ensemble"
            } else {
                "mean"
            }
        ))
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
