//! Answers to questions about a context.

use lora_data::tasks::{Rows, SpanQuestion, Spans, read_questions};
use serde::Serialize;
use serde_json::{Map, Value};

use super::prediction::{FileForm, NO_TEXT};
use super::{Asking, Predicted, Request, split_off_empty};
use crate::bail;
use crate::data::encoded::Detail;
use crate::error::{Context, Result};
use crate::score::{Said, answered, ask, threshold_for};

/// What is said about one question.
#[derive(Clone, Debug, Serialize)]
struct SpanPrediction<'a> {
    id: &'a str,
    question: &'a str,
    /// A part of the context; empty: there is none.
    answer: &'a str,
    /// Where it starts, in characters.
    start: Option<usize>,
    probability: f64,
    /// By how much "no answer" leads, in logits.
    no_answer_score: f64,
}

pub(super) fn predict(asking: &Asking<'_>, request: &Request, form: Option<FileForm>) -> Result<Predicted> {
    let opened = asking.opened;
    let (spans, without_text) = read(request)?;
    let part = opened.encoder(asking.batch_size).encode(&Rows::Spans(spans))?;
    let said = ask(
        &opened.adapted,
        &part,
        asking.ensemble,
        "answering",
        asking.progress,
    )?;
    let (Said::Spans(outputs), Detail::Spans(detail)) = (said, &part.detail) else {
        bail!("the model says no starts and ends");
    };
    let (scores, temperature, threshold) = match &outputs.ensemble {
        Some((_, scores)) => (
            scores,
            asking.fit.temperature.ensemble,
            asking.fit.threshold.ensemble,
        ),
        None => (
            &outputs.mean,
            asking.fit.temperature.mean,
            asking.fit.threshold.mean,
        ),
    };
    let threshold = threshold_for(detail.version, threshold);
    let answers = answered(scores, detail, threshold, temperature.unwrap_or(1.0));
    let (mut json, mut words, mut official) = (Vec::new(), Vec::new(), Map::new());
    for (number, (question, answer)) in detail.spans.questions.iter().zip(&answers).enumerate() {
        let context = detail.spans.context(number);
        let prediction = SpanPrediction {
            id: &question.id,
            question: &question.question,
            answer: &answer.text,
            start: answer.start.map(|byte| context[..byte].chars().count()),
            probability: answer.probability,
            no_answer_score: answer.no_answer,
        };
        json.push(serde_json::to_string(&prediction).context("a prediction is no JSON")?);
        let shown = if answer.text.is_empty() {
            "(no answer)"
        } else {
            &answer.text
        };
        words.push(format!(
            "{shown}  {:.3} · {}",
            answer.probability, question.question
        ));
        official.insert(question.id.clone(), Value::from(answer.text.clone()));
    }
    let file = match form {
        Some(FileForm::Json) => Some(serde_json::to_string_pretty(&official)? + "\n"),
        _ => None,
    };
    let mut predicted = Predicted {
        json,
        words,
        file,
        notes: Vec::new(),
    };
    let nothing = r#"{"question":"","answer":null,"start":null,"probability":null,"no_answer_score":null}"#;
    predicted.answer_with_null(&without_text, nothing, NO_TEXT);
    Ok(predicted)
}

/// The questions, and the places of empty ones.
fn read(request: &Request) -> Result<(Spans, Vec<usize>)> {
    if let Some(path) = &request.data {
        return Ok((read_questions(&[path])?, Vec::new()));
    }
    let Some(context) = &request.context else {
        bail!(
            "the adapter answers questions about a text; give that with --context and the questions as arguments, or a file with --data"
        );
    };
    if context.trim().is_empty() {
        bail!("--context is empty; give the text that the questions are about");
    }
    let texts = &request.texts;
    if texts.is_empty() {
        bail!("there is no question; give questions as arguments, or lines on the standard input with -");
    }
    let (texts, without_text) = split_off_empty(texts, "question", request.strict)?;
    let question = |(number, text): (usize, &str)| SpanQuestion {
        id: number.to_string(),
        question: text.to_owned(),
        context: 0,
        answers: Vec::new(),
    };
    let spans = Spans {
        contexts: vec![context.clone()],
        questions: texts.into_iter().map(question).collect(),
    };
    Ok((spans, without_text))
}
