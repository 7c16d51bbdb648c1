//! Answers in a context: the threshold for "no answer", their probability, exact match and F1.

use lora_data::tasks::{SpanQuestion, read_answers};
use lora_eval::calibration::{Binning, ReliabilityTable};
use lora_eval::choices::letter_predictions;
use lora_eval::squad::{SquadAccumulator, SquadScores, SquadVersion};
use lora_eval::{Average, SpanScores, TemperatureOutcome, judge_temperature};
use serde::{Deserialize, Serialize};

use super::{DecisionRule, FoundScores, JUDGING_SEED, TaskScores};
use crate::data::encoded::SpanDetail;
use crate::error::Result;

/// Above this lead of "no answer" an answer is empty if no threshold was fitted, as in the example of Transformers.
const DEFAULT_THRESHOLD: f64 = 0.0;
/// What stands for "every answer is empty", where that is best.
pub(super) const ALL_EMPTY: f64 = -1e30;

/// Scores of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpanTaskScores {
    /// Exact match and F1: of all questions, and of those with and without an answer.
    pub squad: SquadScores,
    /// Above this lead of "no answer" answers are empty; none where every question has one.
    pub threshold: Option<f64>,
    /// Mean negative log-likelihood of start and end over windows, in nats.
    pub nll: f64,
    /// `FittedRules` error of the answers' probabilities, right being an exact match.
    pub ece: f64,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq)]
pub struct TextAnswer {
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

/// The lead of "no answer" above which answers are best left empty; none where every question has an answer.
pub(super) fn fit_threshold(scores: &SpanScores, detail: &SpanDetail) -> Result<Option<f64>> {
    if !detail.may_lack_answer {
        return Ok(None);
    }
    let best = gathered(scores, detail)?.best_thresholds()?.f1;
    Ok(Some(best.threshold.unwrap_or(ALL_EMPTY)))
}

/// The temperature under which starts and ends of all windows are most likely: each is a question with as many choices as the window
/// has tokens.
pub(super) fn judge(scores: &SpanScores, detail: &SpanDetail) -> Result<TemperatureOutcome> {
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
    let mut squad = SquadAccumulator::new(version(detail));
    let answers = read_answers(
        &detail.spans,
        &detail.windows,
        &scores.starts,
        &scores.ends,
        detail.answers,
    );
    for (question, answer) in detail.spans.questions.iter().zip(&answers) {
        squad.update(&truth(question), &answer.text, Some(answer.no_answer))?;
    }
    Ok(squad)
}

/// The answers to all questions. `threshold`: above this lead of "no answer" they are empty; `None`: every question has an answer.
pub fn answers(
    scores: &SpanScores,
    detail: &SpanDetail,
    threshold: Option<f64>,
    temperature: f64,
) -> Vec<TextAnswer> {
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
            Some(place) => TextAnswer {
                start: detail.windows[place.window].offsets[place.tokens.0].map(|(start, _)| start),
                probability: scores.probability(place.window, place.tokens, temperature),
                text: answer.text,
                no_answer: answer.no_answer,
            },
            None => TextAnswer {
                text: String::new(),
                start: None,
                probability: scores.probability(answer.least, (0, 0), temperature),
                no_answer: answer.no_answer,
            },
        }
    });
    answers.collect()
}

/// The threshold to use: none where every question has an answer, else what was fitted.
pub fn threshold_for(may_lack_answer: bool, fitted: Option<f64>) -> Option<f64> {
    may_lack_answer.then_some(fitted.unwrap_or(DEFAULT_THRESHOLD))
}

fn truth(question: &SpanQuestion) -> Vec<&str> {
    question
        .answers
        .iter()
        .map(|answer| answer.text.as_str())
        .collect()
}

fn version(detail: &SpanDetail) -> SquadVersion {
    if detail.may_lack_answer {
        SquadVersion::V2
    } else {
        SquadVersion::V1
    }
}

/// Scores of the answers to all questions.
pub(super) fn score(scores: &SpanScores, detail: &SpanDetail, rule: DecisionRule) -> Result<FoundScores> {
    let temperature = rule.temperature;
    let threshold = threshold_for(detail.may_lack_answer, rule.threshold);
    let mut squad = SquadAccumulator::new(version(detail));
    let mut reliability = ReliabilityTable::new(Binning::default())?;
    let answers = answers(scores, detail, threshold, temperature);
    for (question, answer) in detail.spans.questions.iter().zip(&answers) {
        let truth = truth(question);
        let mut alone = SquadAccumulator::new(version(detail));
        alone.update(&truth, &answer.text, None)?;
        squad.update(&truth, &answer.text, None)?;
        reliability.update(answer.probability, alone.scores()?.all.exact > 0.0)?;
    }
    let targets: Vec<(usize, usize)> = detail.windows.iter().map(|window| window.target).collect();
    let row_losses = scores.losses(&targets, temperature);
    let nll = row_losses.iter().sum::<f64>() / row_losses.len().max(1) as f64;
    Ok(FoundScores {
        scores: TaskScores::Spans(SpanTaskScores {
            squad: squad.scores()?,
            threshold,
            nll,
            ece: reliability.ece()?,
        }),
        reliability: reliability.bins(),
        row_losses,
        answers: Vec::new(),
    })
}
