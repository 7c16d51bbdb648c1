//! Scores of a training: on each split of the data, in tables and on the report page.

use lora_data::tasks::TaskMetric;
use lora_eval::temperature::FEWEST_ROWS;
use lora_models::Transformer;
use lora_report::{Block, Page, Section};
use lora_train::{Fitted, MaskChange};
use serde_json::{Value, json};

use super::prepared::PreparedTraining;
use crate::calibration::CalibrationFile;
use crate::card::{CardTraining, ModelCard};
use crate::config::{DataConfig, RunConfig};
use crate::data::encoded::EncodedSplit;
use crate::data::row_checks::RowChecks;
use crate::error::Result;
use crate::inference::infer;
use crate::progress::Progress;
use crate::saved::task_file::{FittedRules, TaskFile};
use crate::score::accuracy::as_sentence;
use crate::score::by_class::ByClass;
use crate::score::comparison::{MethodsInUse, verdicts};
use crate::score::first_lines::first_lines;
use crate::score::report::{curves, score_page};
use crate::score::{
    ScoredMethod, TaskScores, calibrate, has_classes, official, official_line, score_split, table,
};

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
    /// The last of the splits class by class, of texts with classes or labels; not of training rows.
    pub by_class: Option<ByClass>,
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
            by_class: None,
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
                if config.temperature_scaling && has_classes(&split.truth()) {
                    let others = prepared.train.len() + prepared.test.as_ref().map_or(0, EncodedSplit::len);
                    let note =
                        more_validation_rows(&config.data, split.truth().judged(), split.len() + others);
                    if let Some(note) = note {
                        progress.note(&note);
                    }
                }
                scored.calibration = CalibrationFile::of(&outputs, split, scored.rules.temperature)?;
            }
            let methods = score_split(&outputs, split, scored.rules)?;
            scored.scores.push((name.to_owned(), methods));
        }
        if let (Some(texts), Some((name, methods))) = (&prepared.scored_last, scored.scores.last()) {
            let inference = scored.in_use().map(|in_use| in_use.better());
            let (on, places) = (format!("the {name} rows"), texts.places.as_deref());
            scored.by_class = ByClass::of(&on, methods, inference, &texts.rows, places)?;
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

    /// Mean pass and ensemble on the validation rows; none where there is no ensemble, or no such rows.
    pub fn in_use(&self) -> Option<MethodsInUse<'_>> {
        let (_, methods) = self.scores.iter().find(|(split, _)| split == "validation")?;
        MethodsInUse::of(methods)
    }

    /// What the result begins with, about the rows that are scored last; nothing about training rows, which flatter.
    pub fn first_lines(&self) -> Vec<String> {
        let Some((split, methods)) = self.scores.last().filter(|(split, _)| split != "training") else {
            return Vec::new();
        };
        let inference = self.in_use().map(|in_use| in_use.better());
        first_lines(
            &format!("the {split} rows"),
            methods,
            inference,
            self.by_class.as_ref(),
        )
    }

    /// By what `lora predict` predicts; none without validation rows.
    fn used_by_predict(&self) -> Option<String> {
        if let Some(both) = self.in_use() {
            return Some(format!("{}.", both.in_words().ok()?));
        }
        let is_validated = self.scores.iter().any(|(split, _)| split == "validation");
        let temperature = self
            .rules
            .temperature
            .mean
            .map_or_else(String::new, |temperature| {
                format!(", with its temperature of {temperature:.3}")
            });
        is_validated.then(|| format!("lora predict uses the mean pass{temperature}; there is no ensemble."))
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

/// How to get so many validation rows that a temperature can be fitted; none where there are enough. `all`: rows of all splits.
fn more_validation_rows(data: &DataConfig, found: usize, all: usize) -> Option<String> {
    /// More would be missed in training.
    const MOST: f64 = 0.5;
    if found >= FEWEST_ROWS {
        return None;
    }
    let share = (FEWEST_ROWS as f64 / all.max(1) as f64 * 100.0).ceil() / 100.0;
    let is_split_off = data.validation_file.is_none() && data.task_name.is_none();
    let way_out = if is_split_off && share <= MOST {
        format!("split off more (--validation-fraction {share:.2}), or give more with --validation-file")
    } else {
        "give more with --validation-file".to_owned()
    };
    Some(format!(
        "{found} validation rows are too few for a temperature, which needs {FEWEST_ROWS}: {way_out}"
    ))
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
        posterior: fitted.best.posterior(),
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
    // Test rows before those that chose, and training rows at the end.
    let scores: Vec<(String, &[ScoredMethod])> = splits
        .scores
        .iter()
        .rev()
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
    let title = format!("A training on {data}");
    let mut page = score_page(&title, &scores, splits.by_class.as_ref(), results);
    page.summary
        .extend(splits.first_lines().iter().map(|line| as_sentence(line)));
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
    let masks = MaskChange::all_in_words(&fitted.history.mask_changes);
    if let Some(kept) = fitted.history.kept_in_words() {
        page.summary.push(format!(
            "LoRA Dropout's p was found while training: {}. At the end {kept}.",
            masks.join("; ")
        ));
    }
    page.summary.extend(splits.used_by_predict());
    for (name, methods) in splits.scores.iter().rev() {
        let verdicts = verdicts(methods).unwrap_or_default();
        page.summary
            .extend(verdicts.iter().map(|verdict| format!("{name} rows: {verdict}.")));
    }
    let of_training = splits.scores.iter().find(|(name, _)| name == "training");
    page.sections.extend(of_training.map(|(name, methods)| {
        Section::new("Scores on training rows")
            .with_text("What was learned by heart counts here too: only beside the scores above do they say anything.")
            .with_block(Block::Table(table(&format!("{name} rows"), methods)))
    }));
    page.sections.extend(checks.section());
    page.sections.push(curves(&fitted.history));
    page.settings = json!(config);
    page
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn too_few_validation_rows_come_with_a_way_out_that_works() {
        let data = |changes: Value| {
            let mut config = json!({"data_file": "a.csv"});
            config
                .as_object_mut()
                .into_iter()
                .for_each(|config| config.extend(changes.as_object().cloned().into_iter().flatten()));
            serde_json::from_value::<DataConfig>(config).ok()
        };
        let note = |changes: Value, found, all| {
            data(changes).and_then(|data| more_validation_rows(&data, found, all))
        };
        let said = note(json!({}), 18, 180).unwrap_or_default();
        // A share of 0.12 of 180 rows is 21.6.
        assert!(said.contains("--validation-fraction 0.12"), "{said}");
        for (changes, all) in [(json!({"validation_file": "b.csv"}), 180), (json!({}), 30)] {
            let said = note(changes, 18, all).unwrap_or_default();
            assert!(
                said.contains("--validation-file") && !said.contains("fraction"),
                "{said}"
            );
        }
        assert_eq!(note(json!({}), 20, 200), None);
    }
}
