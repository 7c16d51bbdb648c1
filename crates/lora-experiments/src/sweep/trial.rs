//! Scoring a trial: from its outputs to its record.

use lora_data::Targets;
use lora_eval::conformal::{ConformalScores, ConformityScore, SetScores, fewest_rows};
use lora_eval::detection::{Detection, DetectionScores, Doubt};
use lora_eval::glue::GlueMetric;
use lora_eval::regression::RegressionScores;
use lora_eval::softmax::top_class;
use lora_eval::{Average, ClassProbabilities, ModelOutputs, Predictions, judge_temperature};
use lora_pipeline::error::{Context, Result};
use lora_pipeline::score::{ClassScores, JUDGING_SEED, TaskScores, row_nll};

use super::data::TrialSplits;
use super::outputs::TrialOutputs;
use super::record::{RowRecord, Scored, SetRecord, ShiftedRecord, TrialResult, UncertaintyRecord};

/// Thousandths, for losses in nats and entropies.
const THOUSANDTH: f64 = 0.001;

/// What is known of a trial beside its outputs.
pub struct Costs {
    /// Wall time of all its trainings.
    pub training_seconds: f64,
    /// Most memory, in bytes, where that is known.
    pub peak_memory: Option<u64>,
}

/// Scores outputs.
///
/// # Errors
///
/// If the model has diverged.
pub fn score(
    outputs: &TrialOutputs,
    splits: &TrialSplits,
    average: Average,
    metric: GlueMetric,
    costs: &Costs,
) -> Result<TrialResult> {
    let scored = match &splits.test.truth() {
        Targets::Values(values) => score_values(outputs, splits, values)?,
        _ => score_classes(outputs, splits, average)?,
    };
    Ok(TrialResult {
        metric,
        training_seconds: costs.training_seconds + outputs.fitting_seconds,
        predicting_seconds: outputs.seconds,
        peak_memory: costs.peak_memory,
        temperature: scored.temperature,
        validation_rows: scored.validation_rows,
        train: task_scores(&outputs.train, &splits.gap.truth(), average)?,
        validation: scored.validation,
        test: scored.test,
        test_rows: scored.test_rows,
        uncertainty: scored.uncertainty,
        sets: scored.sets,
        shifted: scored.shifted,
    })
}

/// What classes and numbers are scored differently for.
struct ScoredSplits {
    temperature: Option<f64>,
    validation_rows: Option<RowRecord>,
    validation: Scored<TaskScores>,
    test: Scored<TaskScores>,
    test_rows: Scored<RowRecord>,
    uncertainty: Option<UncertaintyRecord>,
    sets: Option<Scored<SetRecord>>,
    shifted: Option<ShiftedRecord>,
}

/// Scores of outputs without temperature.
///
/// # Errors
///
/// If labels are neither classes nor numbers, or the model has diverged.
pub fn task_scores(logits: &ModelOutputs, targets: &Targets, average: Average) -> Result<TaskScores> {
    if let Targets::Values(values) = targets {
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let scores = RegressionScores::of(&logits.mean_values(), &values)?;
        return Ok(TaskScores::Regression(scores));
    }
    scores_of(&of_logits(logits)?.average(average), classes(targets)?)
}

fn score_values(outputs: &TrialOutputs, splits: &TrialSplits, test: &[f32]) -> Result<ScoredSplits> {
    // What is averaged does not matter to numbers.
    let of = |logits: &ModelOutputs, targets: &Targets| task_scores(logits, targets, Average::Probabilities);
    let shifted = match (&outputs.shifted, &splits.shifted) {
        (Some(logits), Some(split)) if splits.shifted_is_labelled() => Some(ShiftedRecord {
            scores: Some(Scored::plain(of(logits, &split.truth())?)),
            detection: Scored::plain(Vec::new()),
        }),
        _ => None,
    };
    Ok(ScoredSplits {
        temperature: None,
        validation_rows: match &splits.validation.truth() {
            Targets::Values(values) => Some(squares_of(&outputs.validation, values)),
            _ => None,
        },
        validation: Scored::plain(of(&outputs.validation, &splits.validation.truth())?),
        test: Scored::plain(of(&outputs.test, &splits.test.truth())?),
        test_rows: Scored::plain(squares_of(&outputs.test, test)),
        uncertainty: None,
        sets: None,
        shifted,
    })
}

/// Squared errors, in units of the largest one.
fn squares_of(logits: &ModelOutputs, values: &[f32]) -> RowRecord {
    let predicted = logits.mean_values();
    let errors = predicted.iter().zip(values);
    let squares: Vec<f64> = errors
        .map(|(predicted, value)| (predicted - f64::from(*value)).powi(2))
        .collect();
    let largest = squares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let unit = largest / f64::from(u16::MAX);
    RowRecord::of_losses(unit, in_units(&squares, unit))
}

fn score_classes(outputs: &TrialOutputs, splits: &TrialSplits, average: Average) -> Result<ScoredSplits> {
    let validation = of_logits(&outputs.validation)?;
    let truth = splits.validation.truth();
    let judged = judge_temperature(&validation, classes(&truth)?, average, JUDGING_SEED)?;
    // As training does: 1 where no temperature is better beyond chance.
    let temperature = judged.outcome.temperature().unwrap_or(1.0);
    let judge = |logits: &ModelOutputs, targets: &Targets| -> Result<Scored<TaskScores>> {
        let labels = classes(targets)?;
        with_temperature(of_logits(logits)?, temperature, |predictions| {
            scores_of(&predictions.average(average), labels)
        })
    };
    let test = of_logits(&outputs.test)?;
    let truth = splits.test.truth();
    let labels = classes(&truth)?;
    let test_rows = with_temperature(test.clone(), temperature, |predictions| {
        Ok(rows_of(&predictions.average(average), labels))
    })?;
    let sets = (validation.examples() >= fewest_rows(SetRecord::PROMISED))
        .then(|| {
            sets_of(
                &validation,
                classes(&splits.validation.truth())?,
                &test,
                labels,
                average,
                temperature,
            )
        })
        .transpose()?;
    let shifted = match (&outputs.shifted, &splits.shifted) {
        (Some(logits), Some(split)) => {
            let outside = of_logits(logits)?;
            let scores = splits
                .shifted_is_labelled()
                .then(|| judge(logits, &split.truth()))
                .transpose()?;
            let detection = Scored {
                plain: detection(&test, &outside, average)?,
                scaled: Some(detection(
                    &test.clone().with_temperature(temperature)?,
                    &outside.with_temperature(temperature)?,
                    average,
                )?),
            };
            Some(ShiftedRecord { scores, detection })
        }
        _ => None,
    };
    Ok(ScoredSplits {
        temperature: Some(temperature),
        validation_rows: Some(RowRecord::of_losses(
            THOUSANDTH,
            in_units(&judged.row_losses, THOUSANDTH),
        )),
        validation: judge(&outputs.validation, &splits.validation.truth())?,
        test: judge(&outputs.test, &truth)?,
        test_rows,
        uncertainty: (test.members() > 1).then(|| uncertainty_of(&test)),
        sets,
        shifted,
    })
}

fn of_logits(logits: &ModelOutputs) -> Result<Predictions> {
    Ok(logits.clone().into_predictions()?)
}

fn classes(targets: &Targets) -> Result<&[usize]> {
    match targets {
        Targets::Classes(classes) => Some(classes.as_slice()),
        _ => None,
    }
    .context("a split of a classification has no classes as labels")
}

fn with_temperature<T>(
    predictions: Predictions,
    temperature: f64,
    of: impl Fn(&Predictions) -> Result<T>,
) -> Result<Scored<T>> {
    let plain = of(&predictions)?;
    let scaled = Some(of(&predictions.with_temperature(temperature)?)?);
    Ok(Scored { plain, scaled })
}

fn scores_of(probabilities: &ClassProbabilities, labels: &[usize]) -> Result<TaskScores> {
    let found = ClassScores::of(probabilities, labels)?;
    Ok(TaskScores::Classification(found.scores))
}

fn rows_of(probabilities: &ClassProbabilities, labels: &[usize]) -> RowRecord {
    let mut confidence = Vec::new();
    let mut correct = String::new();
    for (row, label) in probabilities.rows().zip(labels) {
        let top = top_class(row);
        confidence.push(rounded(row[top] * RowRecord::CONFIDENCE) as u16);
        correct.push(if top == *label { '1' } else { '0' });
    }
    RowRecord {
        unit: THOUSANDTH,
        losses: in_units(&row_nll(probabilities, labels), THOUSANDTH),
        confidence,
        correct,
    }
}

fn sets_of(
    validation: &Predictions,
    validation_labels: &[usize],
    test: &Predictions,
    test_labels: &[usize],
    average: Average,
    temperature: f64,
) -> Result<Scored<SetRecord>> {
    with_temperature(validation.clone(), temperature, |validation| {
        let fitted = validation.average(average);
        let scores = ConformalScores::of(&fitted, validation_labels, ConformityScore::Lac, None)?;
        let thresholds = scores.thresholds(SetRecord::PROMISED, false)?;
        let test = test
            .clone()
            .with_temperature(validation.temperature())?
            .average(average);
        let SetScores {
            coverage, mean_size, ..
        } = thresholds.sets(&test)?.scores(test_labels)?;
        Ok(SetRecord { coverage, mean_size })
    })
}

fn uncertainty_of(predictions: &Predictions) -> UncertaintyRecord {
    let uncertainty = predictions.uncertainty();
    let of = |measure: fn(&lora_eval::Uncertainty) -> f64| {
        let values: Vec<f64> = uncertainty.iter().map(measure).collect();
        in_units(&values, THOUSANDTH)
    };
    UncertaintyRecord {
        predictive_entropy: of(|uncertainty| uncertainty.predictive_entropy),
        mutual_information: of(|uncertainty| uncertainty.mutual_information),
    }
}

fn detection(
    inside: &Predictions,
    outside: &Predictions,
    average: Average,
) -> Result<Vec<(Doubt, DetectionScores)>> {
    let kinds = Doubt::ALL
        .into_iter()
        .filter(|doubt| *doubt != Doubt::MutualInformation || inside.members() > 1);
    let of = |doubt| -> Result<(Doubt, DetectionScores)> {
        let detection = Detection::of(&inside.doubts(doubt, average), &outside.doubts(doubt, average))?;
        Ok((doubt, detection.scores()?))
    };
    kinds.map(of).collect()
}

fn in_units(values: &[f64], unit: f64) -> Vec<u32> {
    values.iter().map(|value| rounded(value / unit)).collect()
}

/// The nearest whole number.
#[expect(
    clippy::cast_sign_loss,
    reason = "losses, entropies and probabilities are not negative"
)]
fn rounded(value: f64) -> u32 {
    value.round() as u32
}
