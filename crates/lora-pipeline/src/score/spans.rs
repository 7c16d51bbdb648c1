//! Answers in a context: passes, the threshold for "no answer", their probability, exact match and F1.

use lora_core::Adapted;
use lora_core::peft::EnsembleSettings;
use lora_data::tasks::read_answers;
use lora_eval::calibration::{Binning, ReliabilityTable};
use lora_eval::choices::letter_predictions;
use lora_eval::squad::{SquadAccumulator, SquadScores, SquadVersion};
use lora_eval::{Average, Passes, SpanScores, TemperatureOutcome, judge_temperature, predict_spans};
use lora_models::Transformer;
use serde::{Deserialize, Serialize};

use super::{JUDGING_SEED, ScoredMethod, TaskScores, member_sampler, passes_of};
use crate::data::encoded::{EncodedPart, SpanDetail};
use crate::error::Result;
use crate::progress::Progress;
use crate::saved::task_file::{Fit, Temperatures, Thresholds};

/// Above this lead of "no answer" an answer is empty if no threshold was tuned, as in the example of Transformers.
const USUAL_THRESHOLD: f64 = 0.0;
/// What stands for "every answer is empty", where that is best.
pub(super) const ALL_EMPTY: f64 = -1e30;

/// What the model said about windows.
#[derive(Clone, Debug)]
pub struct SpanOutputs {
    /// One pass with the expected update.
    pub mean: SpanScores,
    /// The average over the members.
    pub ensemble: Option<(EnsembleSettings, SpanScores)>,
}

/// Scores of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanTaskScores {
    /// Exact match and F1: of all questions, and of those with and without an answer.
    pub squad: SquadScores,
    /// Above this lead of "no answer" answers are empty; none where every question has one.
    pub threshold: Option<f64>,
    /// Mean negative log-likelihood of start and end over windows, in nats.
    pub nll: f64,
    /// Calibration error of the answers' probabilities, right being an exact match.
    pub ece: f64,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// A part of the context; empty for "there is none".
    pub text: String,
    /// The byte of the context where it starts.
    pub start: Option<usize>,
    /// Probability of its start times that of its end, in the window where it stands; for the empty answer that of the first token as
    /// both, in the window where it is least.
    pub probability: f64,
    /// By how much "no answer" leads, in logits: what the threshold is compared with.
    pub no_answer: f64,
}

/// Runs the model over windows, with progress.
///
/// # Errors
///
/// If the model has diverged.
pub(super) fn run_span_passes(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    detail: &SpanDetail,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Result<SpanOutputs> {
    let rows = detail.windows.len();
    let lengths = part.encoded.lengths();
    let bar = progress.start(passes_of(ensemble) * rows as u64, what, "windows");
    let run = |passes: &Passes<'_>, average, before: usize| {
        let batches = part.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
        predict_spans(adapted, batches, &lengths, passes, average, &mut |done| {
            bar.set((before + done) as u64);
        })
    };
    let mean = run(&Passes::Mean, Average::default(), 0)?;
    let ensemble = ensemble.map(|settings| -> Result<_> {
        let sampler = member_sampler(adapted, settings.seed);
        let passes = Passes::Members {
            sampler: &sampler,
            members: 0..settings.members,
        };
        Ok((settings, run(&passes, settings.average, rows)?))
    });
    bar.finish();
    Ok(SpanOutputs {
        mean,
        ensemble: ensemble.transpose()?,
    })
}

/// Temperatures and thresholds that are best on these questions.
pub(super) fn fit_spans(
    outputs: &SpanOutputs,
    detail: &SpanDetail,
    scale: bool,
    progress: &dyn Progress,
) -> Result<Fit> {
    let ensemble = outputs.ensemble.as_ref().map(|(_, scores)| scores);
    let temperature = |scores: &SpanScores| -> Result<Option<f64>> {
        if !scale {
            return Ok(None);
        }
        let outcome = temperature_of(scores, detail)?;
        progress.note(&format!("starts and ends of the validation questions: {outcome}"));
        Ok(outcome.temperature())
    };
    let threshold = |scores: &SpanScores| -> Result<Option<f64>> {
        if detail.version == SquadVersion::V1 {
            return Ok(None);
        }
        let best = gathered(scores, detail)?.best_thresholds()?.f1;
        Ok(Some(best.threshold.unwrap_or(ALL_EMPTY)))
    };
    Ok(Fit {
        temperature: Temperatures {
            mean: temperature(&outputs.mean)?,
            ensemble: ensemble.map(temperature).transpose()?.flatten(),
        },
        threshold: Thresholds {
            mean: threshold(&outputs.mean)?,
            ensemble: ensemble.map(threshold).transpose()?.flatten(),
        },
    })
}

/// The temperature under which starts and ends of all windows are most likely: each is a question with as many choices as the window
/// has tokens.
fn temperature_of(scores: &SpanScores, detail: &SpanDetail) -> Result<TemperatureOutcome> {
    let sides = [&scores.starts, &scores.ends];
    let lengths: Vec<usize> = sides.iter().flat_map(|side| side.iter().map(Vec::len)).collect();
    let logits: Vec<f32> = sides
        .iter()
        .flat_map(|side| side.iter().flatten().copied())
        .collect();
    let starts = detail.windows.iter().map(|window| window.target.0);
    let ends = detail.windows.iter().map(|window| window.target.1);
    let labels: Vec<usize> = starts.chain(ends).collect();
    let predictions = letter_predictions(1, &lengths, &logits)?;
    Ok(judge_temperature(&predictions, &labels, Average::Logits, JUDGING_SEED)?.outcome)
}

/// The scores of the best part of each context beside the truth, with the lead of "no answer".
fn gathered(scores: &SpanScores, detail: &SpanDetail) -> Result<SquadAccumulator> {
    let mut squad = SquadAccumulator::new(detail.version);
    let answers = read_answers(
        &detail.spans,
        &detail.windows,
        &scores.starts,
        &scores.ends,
        detail.answers,
    );
    for (question, answer) in detail.spans.questions.iter().zip(&answers) {
        let truth: Vec<&str> = question
            .answers
            .iter()
            .map(|answer| answer.text.as_str())
            .collect();
        squad.update(&truth, &answer.text, Some(answer.no_answer))?;
    }
    Ok(squad)
}

/// The answers to all questions. `threshold`: above this lead of "no answer" they are empty; `None`: every question has an answer.
pub fn answered(
    scores: &SpanScores,
    detail: &SpanDetail,
    threshold: Option<f64>,
    temperature: f64,
) -> Vec<Answered> {
    let answers = read_answers(
        &detail.spans,
        &detail.windows,
        &scores.starts,
        &scores.ends,
        detail.answers,
    );
    let answers = answers.into_iter().map(|answer| {
        let is_empty = threshold.is_some_and(|threshold| answer.no_answer > threshold);
        match answer.place.filter(|_| !is_empty) {
            Some(place) => Answered {
                start: detail.windows[place.window].offsets[place.tokens.0].map(|(start, _)| start),
                probability: scores.probability(place.window, place.tokens, temperature),
                text: answer.text,
                no_answer: answer.no_answer,
            },
            None => Answered {
                text: String::new(),
                start: None,
                probability: scores.probability(answer.least, (0, 0), temperature),
                no_answer: answer.no_answer,
            },
        }
    });
    answers.collect()
}

/// The threshold to use: none under version 1.1, else what was tuned.
pub fn threshold_for(version: SquadVersion, tuned: Option<f64>) -> Option<f64> {
    match version {
        SquadVersion::V1 => None,
        SquadVersion::V2 => Some(tuned.unwrap_or(USUAL_THRESHOLD)),
    }
}

/// Scores of mean pass and ensemble, without and with temperature.
pub(super) fn score_spans(outputs: &SpanOutputs, detail: &SpanDetail, fit: Fit) -> Result<Vec<ScoredMethod>> {
    let mut methods = Vec::new();
    let mut add =
        |name: &str, scores: &SpanScores, settings: Option<EnsembleSettings>, fitted, tuned| -> Result<()> {
            let threshold = threshold_for(detail.version, tuned);
            for temperature in std::iter::once(None).chain(Option::<f64>::map(fitted, Some)) {
                methods.push(score_one(name, scores, detail, settings, threshold, temperature)?);
            }
            Ok(())
        };
    add(
        "mean pass",
        &outputs.mean,
        None,
        fit.temperature.mean,
        fit.threshold.mean,
    )?;
    if let Some((settings, scores)) = &outputs.ensemble {
        let name = format!("ensemble of {}", settings.members);
        add(
            &name,
            scores,
            Some(*settings),
            fit.temperature.ensemble,
            fit.threshold.ensemble,
        )?;
    }
    Ok(methods)
}

fn score_one(
    name: &str,
    scores: &SpanScores,
    detail: &SpanDetail,
    settings: Option<EnsembleSettings>,
    threshold: Option<f64>,
    fitted: Option<f64>,
) -> Result<ScoredMethod> {
    let temperature = fitted.unwrap_or(1.0);
    let mut squad = SquadAccumulator::new(detail.version);
    let mut reliability = ReliabilityTable::new(Binning::default())?;
    let answers = answered(scores, detail, threshold, temperature);
    for (question, answer) in detail.spans.questions.iter().zip(&answers) {
        let truth: Vec<&str> = question
            .answers
            .iter()
            .map(|answer| answer.text.as_str())
            .collect();
        let mut alone = SquadAccumulator::new(detail.version);
        alone.update(&truth, &answer.text, None)?;
        squad.update(&truth, &answer.text, None)?;
        reliability.update(answer.probability, alone.scores()?.all.exact > 0.0)?;
    }
    let targets: Vec<(usize, usize)> = detail.windows.iter().map(|window| window.target).collect();
    let row_losses = scores.losses(&targets, temperature);
    let nll = row_losses.iter().sum::<f64>() / row_losses.len().max(1) as f64;
    Ok(ScoredMethod {
        method: match fitted {
            Some(temperature) => format!("{name}, T = {temperature:.3}"),
            None => name.to_owned(),
        },
        members: settings.map_or(1, |settings| settings.members),
        mean_members: None,
        average: settings.map(|settings| settings.average),
        temperature,
        is_scaled: fitted.is_some(),
        scores: TaskScores::Spans(SpanTaskScores {
            squad: squad.scores()?,
            threshold,
            nll,
            ece: reliability.ece()?,
        }),
        reliability: reliability.bins(),
        row_losses,
    })
}
