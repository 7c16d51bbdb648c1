//! Scores of a training: on each split of the data, in tables and on the report page.

use lora_data::tasks::TaskMetric;
use lora_models::Transformer;
use lora_report::Page;
use lora_train::Fitted;
use serde_json::{Value, json};

use super::prepared::PreparedTraining;
use crate::calibration::CalibrationFile;
use crate::card::{CardTraining, ModelCard};
use crate::config::RunConfig;
use crate::data::encoded::EncodedSplit;
use crate::data::row_checks::RowChecks;
use crate::error::Result;
use crate::inference::infer;
use crate::progress::Progress;
use crate::saved::task_file::{FittedRules, InferenceKind, TaskFile};
use crate::score::comparison::verdicts;
use crate::score::report::{curves, score_page};
use crate::score::{ScoredMethod, TaskScores, calibrate, official, official_line, score_split};

/// Scores of the best model on each data set.
pub struct TrainingScores {
    /// Training, validation, test, as far as they exist.
    pub scores: Vec<(String, Vec<ScoredMethod>)>,
    /// Fitted on the validation rows.
    pub rules: FittedRules,
    /// What the validation rows say about the probabilities of classes.
    pub calibration: Option<CalibrationFile>,
    /// The benchmark's own metric.
    pub metric: Option<TaskMetric>,
}

impl TrainingScores {
    pub(super) fn of(
        fitted: &Fitted<Transformer>,
        prepared: &PreparedTraining,
        config: &RunConfig,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mut scored = Self {
            scores: Vec::new(),
            rules: FittedRules::default(),
            calibration: None,
            metric: config.data.benchmark()?.map(|benchmark| benchmark.metric),
        };
        // Validation rows calibrate what is scored after them. Of the training rows only the mean pass, for the gap.
        let splits = [
            ("training", Some(&prepared.train), None),
            ("validation", prepared.validation.as_ref(), config.ensemble()),
            ("test", prepared.test.as_ref(), config.ensemble()),
        ];
        for (name, split, ensemble) in splits {
            let Some(split) = split.filter(|split| split.is_scored()) else {
                continue;
            };
            let outputs = infer(
                &fitted.best,
                split,
                ensemble,
                &format!("scoring {name} rows"),
                progress,
            )?;
            if name == "validation" {
                scored.rules = calibrate(&outputs, split, config.temperature_scaling, progress)?;
                scored.calibration = CalibrationFile::of(&outputs, split, scored.rules.temperature)?;
            }
            let methods = score_split(&outputs, split, scored.rules)?;
            scored.scores.push((name.to_owned(), methods));
        }
        Ok(scored)
    }

    /// The benchmark's own metric on each split, for `results.json`; null without a benchmark.
    pub fn official_document(&self) -> Value {
        let Some(metric) = self.metric else {
            return Value::Null;
        };
        let of_split = |(split, methods): &(String, Vec<ScoredMethod>)| {
            let scores = methods
                .iter()
                .map(|method| json!({"method": method.method, "score": official(metric, method)}));
            (split.clone(), scores.collect::<Value>())
        };
        let splits: serde_json::Map<_, _> = self.scores.iter().map(of_split).collect();
        json!({"name": metric.words(), "parts": splits})
    }

    /// Scores of the mean pass on the validation rows, without temperature.
    pub fn mean_pass_on_validation(&self) -> Option<&TaskScores> {
        let (_, methods) = self.scores.iter().find(|(split, _)| split == "validation")?;
        methods.first().map(|mean| &mean.scores)
    }

    /// Losses of the mean pass and of the ensemble on the validation rows, each as it is used: with its temperature if it has one.
    fn losses_in_use(&self) -> Option<[&ScoredMethod; 2]> {
        let (_, methods) = self.scores.iter().find(|(split, _)| split == "validation")?;
        let in_use = |is_ensemble: bool| {
            let mut of_kind = methods.iter().rev();
            of_kind.find(|method| method.average.is_some() == is_ensemble)
        };
        Some([in_use(false)?, in_use(true)?])
    }

    /// The better of mean pass and ensemble on the validation rows, by their loss; none where there is no ensemble, or no such rows.
    pub fn inference(&self) -> Option<InferenceKind> {
        let [mean, ensemble] = self.losses_in_use()?;
        Some(if ensemble.scores.loss() < mean.scores.loss() {
            InferenceKind::Ensemble
        } else {
            InferenceKind::Mean
        })
    }

    /// Which of the two `lora predict` uses, and why.
    pub fn inference_in_words(&self) -> Option<String> {
        let [mean, ensemble] = self.losses_in_use()?;
        let (used, other) = match self.inference()? {
            InferenceKind::Mean => (mean, ensemble),
            InferenceKind::Ensemble => (ensemble, mean),
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
            let (_, methods) = self.scores.iter().find(|(split, _)| split == name)?;
            Some(methods.first()?.scores.loss())
        };
        Some(loss("test").or_else(|| loss("validation"))? - loss("training")?)
    }
}

/// The model card of a training; none where a README of the user's is in the folder.
pub(super) fn card_text(
    scored: &TrainingScores,
    fitted: &Fitted<Transformer>,
    prepared: &PreparedTraining,
    config: &RunConfig,
    task_file: &TaskFile,
) -> Result<Option<String>> {
    let rows = |split: &Option<EncodedSplit>| split.as_ref().map_or(0, EncodedSplit::len);
    let card = ModelCard {
        folder: &config.output_dir,
        tuning: fitted.best.tuning(),
        task: &prepared.task,
        task_file,
        calibration: scored.calibration.as_ref(),
        training: Some(CardTraining {
            config,
            rows: [
                prepared.train.len(),
                rows(&prepared.validation),
                rows(&prepared.test),
            ],
            history: &fitted.history,
        }),
        scores: &scored.scores,
    };
    card.text_where_free()
}

/// The report of a training.
pub(super) fn page(
    splits: &TrainingScores,
    fitted: &Fitted<Transformer>,
    config: &RunConfig,
    checks: &RowChecks,
    results: &Value,
) -> Page {
    let scores: Vec<(String, &[ScoredMethod])> = splits
        .scores
        .iter()
        .filter(|(name, _)| name != "training")
        .map(|(name, methods)| (format!("{name} rows"), &methods[..]))
        .collect();
    let data = &config.data;
    let file = data.data_file.as_ref().or(data.train_file.as_ref());
    let data = data
        .task_name
        .clone()
        .or(file.map(|path| path.display().to_string()))
        .unwrap_or_default();
    let mut page = score_page(&format!("A training on {data}"), &scores, results);
    if let (Some(metric), Some((split, methods))) = (splits.metric, splits.scores.last()) {
        page.summary.extend(official_line(metric, split, methods));
    }
    let rows = |split: &str| results["run"]["rows"][split].as_u64().unwrap_or(0);
    page.subtitle = format!(
        "{}; {} training, {} validation and {} test rows; seed {}",
        config.model_name_or_path,
        rows("train"),
        rows("validation"),
        rows("test"),
        config.train.seed
    );
    if let Some(gap) = splits.gap() {
        let side = if gap < 0.0 { "lower" } else { "higher" };
        page.summary.push(format!(
            "The loss of the mean pass is {:.4} {side} on rows that were not trained on than on the training rows.",
            gap.abs()
        ));
    }
    for (name, methods) in &splits.scores {
        let verdicts = verdicts(methods).unwrap_or_default();
        page.summary
            .extend(verdicts.iter().map(|verdict| format!("{name} rows: {verdict}.")));
    }
    page.sections.extend(checks.section());
    page.sections.push(curves(&fitted.history));
    page.settings = json!(config);
    page
}
