//! Prediction sets of a trained classifier: which are asked for, and how good they are on labelled rows.

use lora_core::peft::EnsembleSettings;
use lora_data::Targets;
use lora_eval::conformal::{ConformalScores, ConformalThresholds, ConformityScore, SetScores};
use lora_eval::share_interval;
use lora_report::{Better, Block, Cell, Column, Section, Table};
use serde::Serialize;

use super::{CALIBRATION_FILE, Calibrated, CoveragePromise, Way, class_probabilities, ways};
use crate::bail;
use crate::counted::counted;
use crate::data::encoded::EncodedSplit;
use crate::error::Result;
use crate::inference::SplitOutputs;
use crate::saved::task_file::FittedValues;

/// Share of draws of rows for which the interval of a measured coverage holds.
const LEVEL: f64 = 0.95;

/// Which prediction sets are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetRequest {
    /// With which probability a set holds the true class, at least, on average over all choices of validation rows.
    pub coverage: f64,
    /// How classes are scored; RAPS with its default penalty.
    pub score: ConformityScore,
    /// Whether that holds for each class.
    pub per_class: bool,
}

impl SetRequest {
    /// The thresholds of an adapter folder for a way to predict.
    ///
    /// # Errors
    ///
    /// If the adapter predicts no class, its folder has no scores of validation rows for this way to predict, or too few for the coverage.
    pub fn thresholds(
        &self,
        calibrated: Calibrated<'_>,
        ensemble: Option<EnsembleSettings>,
    ) -> Result<ConformalThresholds> {
        let labels = calibrated.labels("--coverage")?;
        match self
            .scores(calibrated, ensemble)?
            .thresholds(self.coverage, self.per_class)
        {
            Err(lora_eval::EvalError::TooFewRows {
                class, found, needed, ..
            }) => bail!(
                "--coverage {}: the training had {}{}, and this coverage needs at least {needed}; train with more (validation_fraction, \
                 validation_file), or lower the coverage{}",
                self.coverage,
                counted(found, "validation row"),
                class.map_or_else(String::new, |class| format!(
                    " of the class `{}`",
                    labels.name(class)
                )),
                if class.is_some() {
                    ", or leave --per-class out"
                } else {
                    ""
                },
            ),
            thresholds => Ok(thresholds?),
        }
    }

    /// The scores of the validation rows behind the thresholds.
    pub(super) fn scores<'a>(
        &self,
        calibrated: Calibrated<'a>,
        ensemble: Option<EnsembleSettings>,
    ) -> Result<&'a ConformalScores> {
        let Some(file) = calibrated.file else {
            bail!(
                "--coverage reads {CALIBRATION_FILE}, which the adapter folder lacks; train here, with validation rows, so that it is written"
            );
        };
        let Some(calibration) = file.of_way(ensemble) else {
            bail!(
                "--coverage: {CALIBRATION_FILE} was made for {}, not for {}; predict as in training (leave --members and --average out), or \
                 give --members 0 for the mean pass",
                match &file.ensemble {
                    Some(of) => format!("the mean pass and an ensemble of {}", of.members),
                    None => "the mean pass".to_owned(),
                },
                ensemble.map_or_else(String::new, |settings| format!(
                    "an ensemble of {} with its average",
                    settings.members
                )),
            );
        };
        let mut stored = calibration.conformal.iter();
        let Some(scores) = stored.find(|scores| scores.score() == self.score) else {
            bail!(
                "{CALIBRATION_FILE} has no scores for {}; train again",
                self.score.name()
            );
        };
        Ok(scores)
    }
}

/// How good the sets of one way to predict are on labelled rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredSets {
    /// The way to predict, in words.
    pub method: String,
    /// How classes are scored.
    pub score: ConformityScore,
    /// The coverage that is promised.
    pub promised: f64,
    /// Whether for each class.
    pub per_class: bool,
    /// `[classes]`: the thresholds of the validation rows.
    pub thresholds: Vec<f64>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// What was found.
    pub sets: SetScores,
    /// How far the coverage that was found may be from that of endlessly many rows: its 95 % interval by Wilson.
    pub coverage_interval: [f64; 2],
    /// What the validation rows promise.
    pub promise: CoveragePromise,
}

/// Scores the sets of the mean pass and of the ensemble.
///
/// # Errors
///
/// As [`SetRequest::thresholds`], or if the rows have no class.
pub fn score_sets(
    request: &SetRequest,
    calibrated: Calibrated<'_>,
    outputs: &SplitOutputs,
    split: &EncodedSplit,
    temperatures: FittedValues,
) -> Result<Vec<ScoredSets>> {
    let names = calibrated.labels("--coverage")?.names().to_vec();
    let (SplitOutputs::Rows(outputs), Targets::Classes(labels)) = (outputs, split.truth()) else {
        bail!("--coverage: there are no labels to compare sets with; give a file with a label column");
    };
    let score = |(method, ensemble, outputs, temperature): Way<'_>| {
        let average = ensemble.map_or_else(Default::default, |settings| settings.average);
        let thresholds = request.thresholds(calibrated, ensemble)?;
        let sets = thresholds.sets(&class_probabilities(outputs, average, temperature)?)?;
        let sets = sets.scores(&labels)?;
        #[expect(clippy::cast_sign_loss, reason = "a count")]
        let covered = (sets.coverage * labels.len() as f64).round() as u64;
        Ok(ScoredSets {
            method,
            score: request.score,
            promised: request.coverage,
            per_class: request.per_class,
            thresholds: thresholds.thresholds,
            classes: names.clone(),
            sets,
            coverage_interval: share_interval(covered, labels.len() as u64, LEVEL)?,
            promise: request.promise(calibrated, ensemble)?,
        })
    };
    ways(outputs, temperatures).into_iter().map(score).collect()
}

/// The sets of all rows, and of the rows of each class.
pub fn set_tables(scored: &[ScoredSets]) -> Vec<Table> {
    let Some(first) = scored.first() else {
        return Vec::new();
    };
    let title = format!(
        "{} sets for a coverage of {}{}",
        first.score.name(),
        first.promised,
        if first.per_class { " of each class" } else { "" }
    );
    let note = format!(
        "{} sets hold {}. Coverage: the share of these rows whose set holds the true class, with its 95 % interval (Wilson). What the \
         validation rows promise: {}.",
        first.score.name(),
        first.score.in_words(),
        first.promise.in_words()
    );
    let columns = vec![
        Column::new("coverage", Better::None, 3),
        Column::new("mean size", Better::Lower, 2),
        Column::new("one class", Better::None, 3),
        Column::new("no class", Better::None, 3),
    ];
    let mut all = Table::new(title, "method", columns);
    for method in scored {
        let sets = &method.sets;
        let mut cells = vec![Cell::interval(sets.coverage, method.coverage_interval)];
        cells.extend([sets.mean_size, sets.single, sets.empty].map(Cell::value));
        all.push(&method.method, cells);
    }
    let mut columns = vec![Column::new("rows", Better::None, 0)];
    for method in scored {
        columns.push(Column::new(
            format!("coverage, {}", method.method),
            Better::None,
            3,
        ));
        columns.push(Column::new(format!("size, {}", method.method), Better::Lower, 2));
    }
    let mut by_class = Table::new("The same for the rows of each class", "class", columns);
    for (class, name) in first.classes.iter().enumerate() {
        let mut cells = vec![Cell::value(first.sets.by_class[class].rows as f64)];
        for method in scored {
            let of_class = &method.sets.by_class[class];
            cells.extend(
                [of_class.coverage, of_class.mean_size].map(|value| value.map_or(Cell::Empty, Cell::value)),
            );
        }
        by_class.push(name, cells);
    }
    vec![all.without_marks().with_note(note), by_class.without_marks()]
}

/// The tables for a page; none without any.
pub fn set_section(tables: Vec<Table>) -> Option<Section> {
    let section = Section::new("Prediction sets").with_text(
        "A set holds the classes that fit a row no worse than the true class fitted most of the validation rows. What is promised is about \
         rows like those, on average over all choices of them.",
    );
    let is_empty = tables.is_empty();
    let with_all = tables
        .into_iter()
        .map(Block::Table)
        .fold(section, Section::with_block);
    (!is_empty).then_some(with_all)
}
