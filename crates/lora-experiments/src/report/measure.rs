//! The numbers of a trial by name, and their spread over seeds.

use lora_eval::detection::Doubt;
use lora_eval::glue::GlueMetric;
use lora_eval::selective::RiskCoverage;
use lora_eval::{MeanStd, Scores};
use lora_pipeline::error::Result;
use lora_pipeline::score::TaskScores;
use lora_report::{Cell, ScatterPoint};

use super::results::Configuration;
use crate::sweep::record::{RowRecord, TrialResult};

/// What can be said about a trial as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The score of the task.
    Metric,
    /// Share of right answers.
    Accuracy,
    /// Negative log-likelihood, or mean squared error.
    Loss,
    /// Brier score.
    Brier,
    /// Calibration error.
    Ece,
    /// Calibration error over bins of equal mass.
    AdaptiveEce,
    /// Area under the risk–coverage curve.
    Aurc,
    /// Loss on test rows minus that on training rows.
    LossGap,
    /// Accuracy on training rows minus that on test rows.
    AccuracyGap,
    /// Pearson correlation.
    Pearson,
    /// Spearman correlation.
    Spearman,
    /// Accuracy on shifted rows.
    ShiftedAccuracy,
    /// Loss on shifted rows.
    ShiftedLoss,
    /// Calibration error on shifted rows.
    ShiftedEce,
    /// Area under the curve of telling shifted rows by this doubt.
    Auroc(Doubt),
    /// Share of shifted rows accepted with 95 % of the others, by this doubt.
    Fpr95(Doubt),
    /// The fitted temperature.
    Temperature,
    /// Share of the test rows whose prediction set holds the label.
    SetCoverage,
    /// Classes in a prediction set, on average.
    SetSize,
    /// Loss on validation rows: what settings are chosen by.
    ValidationLoss,
    /// Wall time of its trainings.
    TrainingSeconds,
    /// Wall time of predicting the test rows.
    PredictingSeconds,
    /// Most memory of the process while it predicted, in bytes.
    PeakMemory,
}

impl Measure {
    /// Of a trial, without or with temperature; none where it has no such number.
    pub fn of(self, result: &TrialResult, is_scaled: bool) -> Option<f64> {
        let test = result.test.get(is_scaled)?;
        let shifted = result.shifted.as_ref();
        let shifted_scores = || shifted?.scores.as_ref()?.get(is_scaled);
        let detection = |doubt: Doubt| {
            let found = shifted?.detection.get(is_scaled)?.iter();
            found
                .clone()
                .find(|(kind, _)| *kind == doubt)
                .map(|(_, scores)| *scores)
        };
        match self {
            Self::Metric => metric(result.metric, test),
            Self::Accuracy => Some(classes(test)?.accuracy),
            Self::Loss => Some(test.loss()),
            Self::Brier => Some(classes(test)?.brier),
            Self::Ece => Some(classes(test)?.ece),
            Self::AdaptiveEce => Some(classes(test)?.adaptive_ece),
            Self::Aurc => aurc(result.test_rows.get(is_scaled)?),
            // Training rows are scored without temperature only.
            Self::LossGap => (!is_scaled).then(|| test.loss() - result.train.loss()),
            Self::AccuracyGap => {
                let gap = classes(&result.train)?.accuracy - classes(test)?.accuracy;
                (!is_scaled).then_some(gap)
            }
            Self::Pearson => numbers(test)?.pearson,
            Self::Spearman => numbers(test)?.spearman,
            Self::ShiftedAccuracy => Some(classes(shifted_scores()?)?.accuracy),
            Self::ShiftedLoss => Some(shifted_scores()?.loss()),
            Self::ShiftedEce => Some(classes(shifted_scores()?)?.ece),
            Self::Auroc(doubt) => Some(detection(doubt)?.auroc),
            Self::Fpr95(doubt) => Some(detection(doubt)?.fpr_at_95_tpr),
            Self::Temperature => result.temperature,
            Self::SetCoverage => Some(result.sets.as_ref()?.get(is_scaled)?.coverage),
            Self::SetSize => Some(result.sets.as_ref()?.get(is_scaled)?.mean_size),
            Self::ValidationLoss => {
                let with_any = result.validation.get(is_scaled)?.loss();
                // A temperature looks better than it is on the rows that it was fitted on.
                let crossed = result.validation_rows.as_ref().filter(|_| is_scaled);
                Some(crossed.map_or(with_any, |rows| mean(&rows.row_losses())))
            }
            Self::TrainingSeconds => Some(result.training_seconds),
            Self::PredictingSeconds => Some(result.predicting_seconds),
            Self::PeakMemory => Some(result.peak_memory? as f64),
        }
    }

    /// Share of right answers; none for a regression.
    pub fn accuracy_of(scores: &TaskScores) -> Option<f64> {
        Some(classes(scores)?.accuracy)
    }

    /// Of every seed; none unless every seed has it.
    pub fn over_seeds(self, configuration: &Configuration<'_>, is_scaled: bool) -> Option<Vec<f64>> {
        configuration
            .results()
            .map(|result| self.of(result, is_scaled))
            .collect()
    }

    /// Mean over seeds; none unless every seed has it.
    pub fn mean(self, configuration: &Configuration<'_>, is_scaled: bool) -> Option<f64> {
        let values = self.over_seeds(configuration, is_scaled)?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Mean and standard deviation over seeds; none unless every seed has it.
    ///
    /// # Errors
    ///
    /// If a value is not finite.
    pub fn mean_std(self, configuration: &Configuration<'_>, is_scaled: bool) -> Result<Option<MeanStd>> {
        let values = self.over_seeds(configuration, is_scaled);
        Ok(values.map(|values| MeanStd::of(&values)).transpose()?)
    }

    /// Mean and standard deviation over seeds as a cell of a table; empty where not every seed has the number.
    ///
    /// # Errors
    ///
    /// If a value is not finite.
    pub fn cell(self, configuration: &Configuration<'_>, is_scaled: bool) -> Result<Cell> {
        Ok(self
            .mean_std(configuration, is_scaled)?
            .map_or(Cell::Empty, cell_of))
    }
}

/// Mean and standard deviation over seeds as a cell of a table.
pub fn cell_of(scores: MeanStd) -> Cell {
    match scores.std {
        Some(std) => Cell::with_deviation(scores.mean, std),
        None => Cell::value(scores.mean),
    }
}

/// Two measures of a configuration as a point of a chart; none unless every seed has both.
///
/// # Errors
///
/// If a value is not finite.
pub fn point_of(
    name: &str,
    configuration: &Configuration<'_>,
    [x, y]: [Measure; 2],
    is_scaled: bool,
) -> Result<Option<ScatterPoint>> {
    let x = x.mean_std(configuration, is_scaled)?;
    let Some((x, y)) = x.zip(y.mean_std(configuration, is_scaled)?) else {
        return Ok(None);
    };
    let point = ScatterPoint::new(name, [x.mean, y.mean]);
    Ok(Some(match x.std.zip(y.std) {
        Some((x, y)) => point.with_deviation([x, y]),
        None => point,
    }))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The one number that stands for a task.
fn metric(metric: GlueMetric, scores: &TaskScores) -> Option<f64> {
    Some(match metric {
        GlueMetric::Accuracy => classes(scores)?.accuracy,
        GlueMetric::Matthews => classes(scores)?.matthews,
        GlueMetric::AccuracyAndF1 => f64::midpoint(classes(scores)?.accuracy, classes(scores)?.f1),
        GlueMetric::PearsonAndSpearman => {
            f64::midpoint(numbers(scores)?.pearson?, numbers(scores)?.spearman?)
        }
    })
}

/// What a task is scored by, in words.
pub fn metric_name(metric: GlueMetric) -> &'static str {
    match metric {
        GlueMetric::Accuracy => "accuracy",
        GlueMetric::Matthews => "MCC",
        GlueMetric::AccuracyAndF1 => "(accuracy + F1) / 2",
        GlueMetric::PearsonAndSpearman => "(Pearson + Spearman) / 2",
    }
}

fn classes(scores: &TaskScores) -> Option<&Scores> {
    match scores {
        TaskScores::Classification(scores) => Some(scores),
        TaskScores::Words(scores) => Some(&scores.words),
        TaskScores::Regression(_) | TaskScores::Labels(_) | TaskScores::Spans(_) => None,
    }
}

fn numbers(scores: &TaskScores) -> Option<&lora_eval::regression::RegressionScores> {
    match scores {
        TaskScores::Regression(scores) => Some(scores),
        TaskScores::Classification(_)
        | TaskScores::Words(_)
        | TaskScores::Labels(_)
        | TaskScores::Spans(_) => None,
    }
}

fn aurc(rows: &RowRecord) -> Option<f64> {
    risk_coverage(rows)?.aurc().ok()
}

/// Doubt and error of each row; none for a regression.
pub fn risk_coverage(rows: &RowRecord) -> Option<RiskCoverage> {
    let mut curve = RiskCoverage::new();
    for (confidence, is_correct) in rows.confidences() {
        curve
            .update(1.0 - confidence, if is_correct { 0.0 } else { 1.0 })
            .ok()?;
    }
    (curve.count() > 0).then_some(curve)
}
