//! Temperatures, thresholds and scores of a split: mean pass and ensemble, each without and with temperature.

pub mod accuracy;
pub mod adaptive;
pub mod by_class;
mod classes;
pub mod comparison;
pub mod first_lines;
mod labels;
mod official;
pub mod reliability_bars;
pub mod report;
mod spans;
mod sureness;
mod table;
mod words;

use lora_data::Targets;
use lora_eval::calibration::ReliabilityBin;
use lora_eval::multi_label::{MultiLabelScores, label_classes};
use lora_eval::regression::RegressionScores;
use lora_eval::{Average, ModelOutputs, Predictions, Scores, TemperatureOutcome, judge_temperature};
use serde::{Deserialize, Serialize};

pub use self::classes::{ClassScores, RowAnswer, row_nll};
pub use self::official::{official, official_line};
pub use self::spans::{SpanTaskScores, TextAnswer, answers, threshold_for};
pub use self::table::{legend, table};
pub use self::words::WordScores;
use crate::bail;
use crate::data::encoded::{Detail, EncodedSplit, RowDetail};
use crate::error::Result;
use crate::inference::{MethodOutputs, SplitOutputs};
use crate::progress::Progress;
use crate::saved::task_file::{FittedRules, FittedValues};

/// One way to predict, scored on one data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredMethod {
    /// In words, for tables.
    pub method: String,
    /// Passes: 1 for the mean pass; the most that a row gets for an adaptive ensemble.
    pub members: u64,
    /// Passes a row on average, of an adaptive ensemble.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_members: Option<f64>,
    /// What was averaged over members.
    pub average: Option<Average>,
    /// What the logits were divided by.
    pub temperature: f64,
    /// Whether that was fitted.
    #[serde(default)]
    pub is_scaled: bool,
    /// The scores.
    pub scores: TaskScores,
    /// The bins of the calibration error, from low to high confidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reliability: Vec<ReliabilityBin>,
    /// Negative log-likelihood or squared error of each row, for comparisons on the same rows.
    #[serde(skip)]
    pub row_losses: Vec<f64>,
    /// What each row, or each word, was answered with, where that is one class.
    #[serde(skip)]
    pub answers: Vec<RowAnswer>,
}

impl ScoredMethod {
    /// In words, without the temperature.
    pub fn name(&self) -> String {
        match (self.average, self.mean_members) {
            (Some(_), Some(mean)) => format!("adaptive ensemble of {mean:.1}"),
            (Some(_), None) => format!("ensemble of {}", self.members),
            (None, _) => "mean pass".to_owned(),
        }
    }
}

/// Scores of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskScores {
    /// Of classes.
    Classification(Scores),
    /// Of a regression.
    Regression(RegressionScores),
    /// Of the tags of words.
    Words(WordScores),
    /// Of labels any number of which may hold.
    Labels(MultiLabelScores),
    /// Of answers in a context.
    Spans(SpanTaskScores),
}

impl TaskScores {
    /// Negative log-likelihood in nats, or mean squared error: what training makes small.
    pub fn loss(&self) -> f64 {
        match self {
            Self::Classification(scores) => scores.nll,
            Self::Regression(scores) => scores.mse,
            Self::Words(scores) => scores.words.nll,
            Self::Labels(scores) => scores.nll,
            Self::Spans(scores) => scores.nll,
        }
    }

    /// What [`TaskScores::loss`] is.
    pub fn loss_name(&self) -> &'static str {
        match self {
            Self::Regression(_) => "MSE",
            Self::Classification(_) | Self::Words(_) | Self::Labels(_) | Self::Spans(_) => "NLL",
        }
    }

    /// The expected calibration error; none for a regression.
    pub fn ece(&self) -> Option<f64> {
        match self {
            Self::Classification(scores) => Some(scores.ece),
            Self::Words(scores) => Some(scores.words.ece),
            Self::Labels(scores) => Some(scores.ece),
            Self::Spans(scores) => Some(scores.ece),
            Self::Regression(_) => None,
        }
    }
}

/// Share of the draws of rows for which the interval of a score holds.
pub(crate) const INTERVAL_LEVEL: f64 = 0.95;

/// Seed of the folds of the validation rows that a temperature is judged on.
pub const JUDGING_SEED: u64 = 0;

/// What is wrong with rows that cannot be scored.
const NO_LABELS: &str = "there are no labels to score against; give a file with a label column";

/// Scores of outputs, before they have a name.
struct FoundScores {
    scores: TaskScores,
    reliability: Vec<ReliabilityBin>,
    row_losses: Vec<f64>,
    answers: Vec<RowAnswer>,
}

/// How outputs become predictions.
#[derive(Clone, Copy)]
struct DecisionRule {
    average: Average,
    temperature: f64,
    threshold: Option<f64>,
}

/// Fits outputs for validation rows: temperatures where `scale` says so, none for regression and where none is better than 1 beyond
/// chance; thresholds for "no answer". Says what came out and why.
///
/// # Errors
///
/// If the model has diverged.
pub fn calibrate(
    outputs: &SplitOutputs,
    split: &EncodedSplit,
    scale: bool,
    progress: &dyn Progress,
) -> Result<FittedRules> {
    let truth = split.truth();
    let note = |name: &str, outcome: &TemperatureOutcome| {
        progress.note(&format!(
            "{name}, on {} validation rows: {outcome}",
            truth.judged()
        ));
    };
    match (outputs, &split.detail) {
        (SplitOutputs::Rows(outputs), _) if scale && has_classes(&truth) => {
            let temperature = fit_each(outputs, |name, outputs, average| {
                let (predictions, labels) = classes_of(outputs.clone(), &truth)?;
                let outcome = judge_temperature(&predictions, &labels, average, JUDGING_SEED)?.outcome;
                note(name, &outcome);
                Ok(outcome.temperature())
            })?;
            Ok(FittedRules {
                temperature,
                ..FittedRules::default()
            })
        }
        (SplitOutputs::Spans(outputs), Detail::Spans(detail)) => {
            let temperature = |name: &str, scores: &_, _| {
                if !scale {
                    return Ok(None);
                }
                let outcome = spans::judge(scores, detail)?;
                note(name, &outcome);
                Ok(outcome.temperature())
            };
            Ok(FittedRules {
                temperature: fit_each(outputs, temperature)?,
                threshold: fit_each(outputs, |_, scores, _| spans::fit_threshold(scores, detail))?,
            })
        }
        _ => Ok(FittedRules::default()),
    }
}

fn fit_each<T>(
    outputs: &MethodOutputs<T>,
    fit: impl Fn(&str, &T, Average) -> Result<Option<f64>>,
) -> Result<FittedValues> {
    let ensemble = outputs.ensemble.as_ref();
    let ensemble = ensemble.map(|(settings, outputs)| fit("ensemble", outputs, settings.average));
    Ok(FittedValues {
        mean: fit("mean pass", &outputs.mean, Average::Probabilities)?,
        ensemble: ensemble.transpose()?.flatten(),
    })
}

/// Scores outputs in every way: mean pass and ensemble, without and with temperature.
///
/// # Errors
///
/// If the model has diverged, or the rows have no truth to score against.
pub fn score_split(
    outputs: &SplitOutputs,
    split: &EncodedSplit,
    rules: FittedRules,
) -> Result<Vec<ScoredMethod>> {
    match (outputs, &split.detail) {
        (SplitOutputs::Spans(outputs), Detail::Spans(detail)) => {
            score_each(outputs, rules, |scores, rule| spans::score(scores, detail, rule))
        }
        (SplitOutputs::Rows(outputs), Detail::Rows(detail)) => {
            let truth = split.truth();
            score_each(outputs, rules, |outputs, rule| {
                score_rows(outputs, detail, &truth, rule)
            })
        }
        _ => bail!("{NO_LABELS}"),
    }
}

fn score_each<T>(
    outputs: &MethodOutputs<T>,
    rules: FittedRules,
    score: impl Fn(&T, DecisionRule) -> Result<FoundScores>,
) -> Result<Vec<ScoredMethod>> {
    let mut methods = Vec::new();
    let FittedRules {
        temperature,
        threshold,
    } = rules;
    let mut add = |name: &str,
                   outputs: &T,
                   members,
                   average: Option<Average>,
                   fitted: Option<f64>,
                   threshold|
     -> Result<()> {
        for temperature in std::iter::once(None).chain(fitted.map(Some)) {
            let rule = DecisionRule {
                average: average.unwrap_or_default(),
                temperature: temperature.unwrap_or(1.0),
                threshold,
            };
            methods.push(score(outputs, rule)?.named(name, members, average, temperature));
        }
        Ok(())
    };
    add(
        "mean pass",
        &outputs.mean,
        1,
        None,
        temperature.mean,
        threshold.mean,
    )?;
    if let Some((settings, outputs)) = &outputs.ensemble {
        let name = format!("ensemble of {}", settings.members);
        let average = Some(settings.average);
        add(
            &name,
            outputs,
            settings.members,
            average,
            temperature.ensemble,
            threshold.ensemble,
        )?;
    }
    Ok(methods)
}

impl FoundScores {
    fn named(
        self,
        name: &str,
        members: u64,
        average: Option<Average>,
        temperature: Option<f64>,
    ) -> ScoredMethod {
        ScoredMethod {
            method: match temperature {
                Some(temperature) => format!("{name}, T = {temperature:.3}"),
                None => name.to_owned(),
            },
            members,
            mean_members: None,
            average,
            temperature: temperature.unwrap_or(1.0),
            is_scaled: temperature.is_some(),
            scores: self.scores,
            reliability: self.reliability,
            row_losses: self.row_losses,
            answers: self.answers,
        }
    }
}

fn score_rows(
    outputs: &ModelOutputs,
    detail: &RowDetail,
    truth: &Targets,
    rule: DecisionRule,
) -> Result<FoundScores> {
    if let Targets::Values(values) = truth {
        let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
        let predicted = outputs.mean_values();
        let scores = RegressionScores::of(&predicted, &values)?;
        let pairs = predicted.iter().zip(&values);
        return Ok(FoundScores {
            scores: TaskScores::Regression(scores),
            reliability: Vec::new(),
            row_losses: pairs
                .map(|(predicted, value)| (predicted - value).powi(2))
                .collect(),
            answers: Vec::new(),
        });
    }
    let (predictions, classes) = classes_of(outputs.clone(), truth)?;
    let probabilities = predictions
        .with_temperature(rule.temperature)?
        .average(rule.average);
    if let Targets::Labels(truth) = truth {
        return labels::score(&probabilities, truth);
    }
    let found = ClassScores::of(&probabilities, &classes)?;
    let scores = match detail {
        RowDetail::Words(detail) => TaskScores::Words(WordScores {
            words: found.scores,
            entities: words::entity_scores(detail, &probabilities.top_classes())?,
        }),
        RowDetail::Texts | RowDetail::Choices(_) => TaskScores::Classification(found.scores),
    };
    Ok(FoundScores {
        scores,
        reliability: found.reliability,
        row_losses: found.row_nll,
        answers: found.answers,
    })
}

/// Whether a temperature has a meaning for rows.
pub(crate) fn has_classes(truth: &Targets) -> bool {
    matches!(truth, Targets::Classes(_) | Targets::Labels(_))
}

/// `MethodOutputs` as predictions of classes, with the classes that are right: each label of a row is a question of its own where any number may
/// hold.
fn classes_of(outputs: ModelOutputs, truth: &Targets) -> Result<(Predictions, Vec<usize>)> {
    match truth {
        Targets::Labels(truth) => {
            let classes = label_classes(truth, outputs.outputs)?;
            Ok((outputs.into_label_predictions()?, classes))
        }
        Targets::Classes(labels) => Ok((outputs.into_predictions()?, labels.clone())),
        _ => bail!("{NO_LABELS}"),
    }
}

#[cfg(test)]
mod tests;
