//! From scores of tokens back to text: which part of the context does a model mean?

use std::cmp::Ordering;

use super::Spans;
use crate::tokenizer::Window;

/// How answers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerSettings {
    /// Starts and ends that are tried, the best of each window.
    pub candidates: usize,
    /// The longest answer, in tokens.
    pub longest: usize,
}

impl Default for AnswerSettings {
    /// 20 and 30, as in the example of Transformers.
    fn default() -> Self {
        Self {
            candidates: 20,
            longest: 30,
        }
    }
}

/// A predicted answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanAnswer {
    /// The best part of the context; empty if no part is possible.
    pub text: String,
    /// Its score: that of its start plus that of its end.
    pub score: f64,
    /// How much better "there is no answer" scores: the first token's start plus end, in the window where it is least, minus
    /// [`score`](Self::score). Above a threshold that is tuned on validation, the answer is taken as empty.
    pub no_answer: f64,
    /// Where the answer stands; `None` if no part is possible.
    pub place: Option<AnswerPlace>,
    /// The window in which the first token's start plus end is least.
    pub least: usize,
}

/// Where an answer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPlace {
    /// The window.
    pub window: usize,
    /// The tokens of the window where the answer starts and ends.
    pub tokens: (usize, usize),
}

/// One answer a question, from the scores of start and end of each window's tokens (logits, or averages over an ensemble).
///
/// The first token of a window stands for "no answer". An answer starts and ends in the context and lies in one window.
///
/// # Panics
/// When there is not one list of starts and of ends for each window, with one score a token, or a window's question is not in `spans`.
pub fn read_answers(
    spans: &Spans,
    windows: &[Window],
    starts: &[Vec<f32>],
    ends: &[Vec<f32>],
    settings: AnswerSettings,
) -> Vec<SpanAnswer> {
    assert_eq!(
        (starts.len(), ends.len()),
        (windows.len(), windows.len()),
        "one list of scores for each window"
    );
    let mut best: Vec<Option<(f64, &str, AnswerPlace)>> = vec![None; spans.questions.len()];
    let mut none = vec![(f64::INFINITY, 0); spans.questions.len()];
    for (number, ((window, starts), ends)) in windows.iter().zip(starts).zip(ends).enumerate() {
        let tokens = window.encoded.len();
        assert!(
            starts.len() >= tokens && ends.len() >= tokens,
            "one score for each token of a window"
        );
        let question = window.question;
        let first = f64::from(starts[0]) + f64::from(ends[0]);
        if first < none[question].0 {
            none[question] = (first, number);
        }
        let context = spans.context(question);
        let end_places = highest(&ends[..tokens], settings.candidates);
        for start in highest(&starts[..tokens], settings.candidates) {
            for &end in &end_places {
                let length = (end + 1)
                    .checked_sub(start)
                    .filter(|length| (1..=settings.longest).contains(length));
                let (Some(_), Some((first, _)), Some((_, last))) =
                    (length, window.offsets[start], window.offsets[end])
                else {
                    continue;
                };
                let score = f64::from(starts[start]) + f64::from(ends[end]);
                if best[question].is_none_or(|(before, ..)| score > before) {
                    let place = AnswerPlace {
                        window: number,
                        tokens: (start, end),
                    };
                    best[question] = Some((score, &context[first..last], place));
                }
            }
        }
    }
    let answers = best.into_iter().zip(none).map(|(best, (none, least))| {
        let (score, text) = best.map_or((none, ""), |(score, text, _)| (score, text));
        SpanAnswer {
            text: text.to_owned(),
            score,
            no_answer: none - score,
            place: best.map(|(.., place)| place),
            least,
        }
    });
    answers.collect()
}

/// The places of the highest scores, the highest first; of equal ones the first place first.
fn highest(scores: &[f32], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    let by_score = |left: &usize, right: &usize| match scores[*right].total_cmp(&scores[*left]) {
        Ordering::Equal => left.cmp(right),
        order => order,
    };
    places.sort_unstable_by(by_score);
    places.truncate(count);
    places
}
