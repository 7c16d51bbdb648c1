//! Passes over a data set, and the rows of the score table: mean pass and ensemble, each without and with temperature.

mod classes;
pub mod comparison;
mod official;
mod part;
pub mod reliability_bars;
pub mod report;
mod spans;
mod table;

use lora_core::peft::EnsembleSettings;
use lora_core::{Adapted, MaskSampler};
use lora_data::Targets;
use lora_eval::calibration::{Binning, ReliabilityBin, ReliabilityTable};
use lora_eval::entities::EntityScores;
use lora_eval::multi_label::{MultiLabelScores, label_classes};
use lora_eval::regression::RegressionScores;
use lora_eval::{Average, ClassProbabilities, ModelOutputs, Passes, Predictions, Scores, judge_temperature};
use lora_models::Transformer;
use serde::{Deserialize, Serialize};

use crate::data::encoded::EncodedPart;
use crate::error::Result;
use crate::inference;
use crate::progress::Progress;
use crate::saved::task_file::Temperatures;
pub use classes::{ClassScores, row_nll};
pub use official::{official, official_line};
pub use part::{Said, ask, fit, score_part};
pub use spans::{Answered, SpanTaskScores, answered, threshold_for};
pub use table::{legend, table};

/// What the model said about a data set, in each of the ways it was asked.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// One pass with the expected update.
    pub mean: ModelOutputs,
    /// One pass a member.
    pub ensemble: Option<(EnsembleSettings, ModelOutputs)>,
}

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

/// Scores of a kind of task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TaskScores {
    /// Of classes.
    Classification(Scores),
    /// Of numbers.
    Regression(RegressionScores),
    /// Of the tags of words.
    Words(WordScores),
    /// Of labels any number of which may hold.
    Labels(MultiLabelScores),
    /// Of answers in a context.
    Spans(SpanTaskScores),
}

/// Scores of tagged words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordScores {
    /// Each word for itself.
    pub words: Scores,
    /// Whole entities; none for tags that name none.
    pub entities: Option<EntityScores>,
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

    /// The expected calibration error; none for numbers.
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

/// What draws the masks of an ensemble's members: those of LoRA Dropout; for an adapter that was trained without, PEFT's
/// input dropout (Monte Carlo dropout). Members of an adapter with a Gaussian over its weights are drawn from that, without masks.
pub fn member_sampler(adapted: &Adapted<Transformer>, seed: u64) -> MaskSampler {
    if adapted.posterior().is_some() {
        return MaskSampler {
            seed,
            dropout: None,
            input_dropout: 0.0,
        };
    }
    let dropout = adapted.dropout();
    MaskSampler {
        seed,
        dropout,
        input_dropout: if dropout.is_some() {
            0.0
        } else {
            adapted.input_dropout()
        },
    }
}

/// Runs the model over a data set, with progress: texts, words or questions with choices.
///
/// # Panics
///
/// Panics for questions about contexts, whose outputs have another form: [`ask`] takes all kinds.
pub fn run_passes(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Outputs {
    let rows = part.encoded.len();
    let bar = progress.start(passes_of(ensemble) * rows as u64, what, "rows");
    let mean = outputs_of(adapted, part, None, &mut |done| bar.set(done as u64));
    let ensemble = ensemble.map(|settings| {
        let count = &mut |done| bar.set((rows + done) as u64);
        (settings, outputs_of(adapted, part, Some(settings), count))
    });
    bar.finish();
    Outputs { mean, ensemble }
}

/// Runs the model over a data set in one way, with progress: the ensemble if there is one, else the mean pass.
///
/// # Panics
///
/// As [`run_passes`].
pub fn run_one(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> ModelOutputs {
    let members = ensemble.map_or(1, |ensemble| ensemble.members);
    let bar = progress.start(members * part.encoded.len() as u64, what, "rows");
    let outputs = outputs_of(adapted, part, ensemble, &mut |done| bar.set(done as u64));
    bar.finish();
    outputs
}

fn outputs_of(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    ensemble: Option<EnsembleSettings>,
    count: &mut dyn FnMut(usize),
) -> ModelOutputs {
    let Some(settings) = ensemble else {
        return inference::outputs(adapted, part, &Passes::Mean, count);
    };
    let sampler = member_sampler(adapted, settings.seed);
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..settings.members,
    };
    inference::outputs(adapted, part, &passes, count)
}

/// The mean pass and those of the members.
fn passes_of(ensemble: Option<EnsembleSettings>) -> u64 {
    1 + ensemble.map_or(0, |ensemble| ensemble.members)
}

/// Seed of the parts of the validation rows that a temperature is judged on.
pub const JUDGING_SEED: u64 = 0;

/// Temperatures for outputs, fitted and judged on validation rows; none for regression, and where none is better than 1 beyond chance.
/// Says what came out and why.
///
/// # Errors
///
/// If the model has diverged.
pub fn fit_temperatures(
    outputs: &Outputs,
    targets: &Targets,
    progress: &dyn Progress,
) -> Result<Temperatures> {
    let rows = targets.judged();
    if !matches!(targets, Targets::Classes(_) | Targets::Labels(_)) {
        return Ok(Temperatures::default());
    }
    let fit = |name: &str, outputs: &ModelOutputs, average| -> Result<Option<f64>> {
        let (predictions, labels) = classes_of(outputs.clone(), targets)?;
        let outcome = judge_temperature(&predictions, &labels, average, JUDGING_SEED)?.outcome;
        progress.note(&format!("{name}, on {rows} validation rows: {outcome}"));
        Ok(outcome.temperature())
    };
    let mean = fit("mean pass", &outputs.mean, Average::Probabilities)?;
    let ensemble = outputs.ensemble.as_ref();
    let ensemble = ensemble.map(|(settings, outputs)| fit("ensemble", outputs, settings.average));
    let ensemble = ensemble.transpose()?.flatten();
    Ok(Temperatures { mean, ensemble })
}

/// Outputs as predictions of classes, with the classes that are right: each label of a row is a question of its own where any number may
/// hold.
fn classes_of(outputs: ModelOutputs, targets: &Targets) -> Result<(Predictions, Vec<usize>)> {
    match targets {
        Targets::Labels(truth) => {
            let classes = label_classes(truth, outputs.outputs)?;
            Ok((outputs.into_label_predictions()?, classes))
        }
        Targets::Classes(labels) => Ok((outputs.into_predictions()?, labels.clone())),
        _ => crate::bail!("there are no labels to score against; give a file with a label column"),
    }
}

/// Scores outputs in every way: mean pass and ensemble, without and with temperature.
///
/// # Errors
///
/// If the model has diverged.
pub fn score(outputs: &Outputs, targets: &Targets, temperatures: Temperatures) -> Result<Vec<ScoredMethod>> {
    let mut methods = Vec::new();
    let mut add = |name: &str, outputs: &ModelOutputs, average, fitted: Option<f64>| -> Result<()> {
        let fitted = fitted.filter(|_| matches!(targets, Targets::Classes(_) | Targets::Labels(_)));
        for temperature in std::iter::once(None).chain(fitted.map(Some)) {
            methods.push(score_one(name, outputs.clone(), average, temperature, targets)?);
        }
        Ok(())
    };
    add("mean pass", &outputs.mean, None, temperatures.mean)?;
    if let Some((settings, outputs)) = &outputs.ensemble {
        let name = format!("ensemble of {}", settings.members);
        add(&name, outputs, Some(settings.average), temperatures.ensemble)?;
    }
    Ok(methods)
}

fn score_one(
    name: &str,
    outputs: ModelOutputs,
    average: Option<Average>,
    temperature: Option<f64>,
    targets: &Targets,
) -> Result<ScoredMethod> {
    let members = outputs.members as u64;
    let (scores, reliability, row_losses) = match targets {
        Targets::Values(values) => {
            let values: Vec<f64> = values.iter().copied().map(f64::from).collect();
            let predicted = outputs.mean_values();
            let scores = RegressionScores::of(&predicted, &values)?;
            let squares = predicted
                .iter()
                .zip(&values)
                .map(|(predicted, value)| (predicted - value).powi(2));
            (TaskScores::Regression(scores), Vec::new(), squares.collect())
        }
        Targets::Classes(labels) => {
            let predictions = outputs
                .into_predictions()?
                .with_temperature(temperature.unwrap_or(1.0))?;
            let found = ClassScores::of(&predictions.average(average.unwrap_or_default()), labels)?;
            (
                TaskScores::Classification(found.scores),
                found.reliability,
                found.row_nll,
            )
        }
        Targets::Labels(truth) => {
            let (predictions, _) = classes_of(outputs, targets)?;
            let predictions = predictions.with_temperature(temperature.unwrap_or(1.0))?;
            score_labels(&predictions.average(average.unwrap_or_default()), truth)?
        }
        Targets::None | Targets::Positions(_) | Targets::Spans(_) | Targets::Choices(_) => {
            crate::bail!("there are no labels to score against; give a file with a label column")
        }
    };
    let method = match temperature {
        Some(temperature) => format!("{name}, T = {temperature:.3}"),
        None => name.to_owned(),
    };
    Ok(ScoredMethod {
        method,
        members,
        mean_members: None,
        average,
        temperature: temperature.unwrap_or(1.0),
        is_scaled: temperature.is_some(),
        scores,
        reliability,
        row_losses,
    })
}

/// Scores, reliability bins of the probabilities that a label holds, and each row's mean negative log-likelihood over its labels.
fn score_labels(
    probabilities: &ClassProbabilities,
    truth: &[Vec<usize>],
) -> Result<(TaskScores, Vec<ReliabilityBin>, Vec<f64>)> {
    let scores = MultiLabelScores::of(probabilities, truth, Binning::default())?;
    let labels = scores.labels.len();
    let classes = label_classes(truth, labels)?;
    let mut reliability = ReliabilityTable::new(Binning::default())?;
    let mut losses = vec![0.0; truth.len()];
    for (pair, (row, class)) in probabilities.rows().zip(&classes).enumerate() {
        reliability.update(row[1], *class == 1)?;
        losses[pair / labels] -= row[*class].max(f64::EPSILON).ln() / labels as f64;
    }
    Ok((TaskScores::Labels(scores), reliability.bins(), losses))
}
