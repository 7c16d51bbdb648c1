//! Answers to questions about a context.

use lora_data::Task;
use lora_data::tasks::{Rows, SpanQuestion, Spans, read_questions};
use serde::Serialize;
use serde_json::{Map, Value};

use super::prediction::{FileForm, NO_TEXT};
use super::{Inference, PredictRequest, PredictRows, Predicted, TaskRows, split_off_empty};
use crate::bail;
use crate::data::encoded::Detail;
use crate::error::Result;
use crate::inference::infer_spans;
use crate::score::{TextAnswer, answers, threshold_for};

/// What is predicted of one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpanPrediction {
    /// The question's name.
    pub id: String,
    /// The question.
    pub question: String,
    /// A part of the context; empty: there is none.
    pub answer: String,
    /// Where it starts, in characters.
    pub start: Option<usize>,
    /// How sure the model is of it.
    pub probability: f64,
    /// By how much "no answer" leads, in logits.
    pub no_answer_score: f64,
}

impl TaskRows for Spans {
    const NOUN: &'static str = "questions about a context";

    fn are_of(task: &Task) -> bool {
        matches!(task, Task::QuestionAnswering { .. })
    }
}

impl PredictRows for Spans {
    type Prediction = SpanPrediction;

    fn predict(&self, inference: &Inference<'_>) -> Result<Vec<SpanPrediction>> {
        let split = inference.encode(&Rows::Spans(self.clone()))?;
        let Detail::Spans(detail) = &split.detail else {
            bail!("the rows are no windows of contexts");
        };
        let (adapted, progress) = (&inference.opened.adapted, inference.progress);
        let scores = infer_spans(adapted, &split, inference.ensemble, "answering", progress)?;
        let fitted = inference.fitted(inference.rules.threshold);
        let threshold = threshold_for(detail.may_lack_answer, fitted);
        let answers = answers(&scores, detail, threshold, inference.temperature());
        let questions = self.questions.iter().zip(answers).enumerate();
        let prediction =
            |(number, (question, answer)): (usize, (&SpanQuestion, TextAnswer))| SpanPrediction {
                id: question.id.clone(),
                question: question.question.clone(),
                start: answer
                    .start
                    .map(|byte| self.context(number)[..byte].chars().count()),
                answer: answer.text,
                probability: answer.probability,
                no_answer_score: answer.no_answer,
            };
        Ok(questions.map(prediction).collect())
    }
}

pub(super) fn answer(
    inference: &Inference<'_>,
    request: &PredictRequest,
    form: Option<FileForm>,
) -> Result<Predicted> {
    let (spans, without_text) = read(request)?;
    let predictions = spans.predict(inference)?;
    let mut predicted = Predicted::of(&predictions, in_words)?;
    if form == Some(FileForm::Json) {
        // The form of the official script.
        let official = predictions.into_iter();
        let official = official.map(|prediction| (prediction.id, Value::from(prediction.answer)));
        predicted.file = Some(serde_json::to_string_pretty(&official.collect::<Map<_, _>>())? + "\n");
    }
    let nothing = r#"{"question":"","answer":null,"start":null,"probability":null,"no_answer_score":null}"#;
    predicted.answer_with_null(&without_text, nothing, NO_TEXT);
    Ok(predicted)
}

fn in_words(prediction: &SpanPrediction) -> String {
    let answer = if prediction.answer.is_empty() {
        "(no answer)"
    } else {
        &prediction.answer
    };
    format!(
        "{answer}  {:.3} · {}",
        prediction.probability, prediction.question
    )
}

/// The questions, and the places of empty ones.
fn read(request: &PredictRequest) -> Result<(Spans, Vec<usize>)> {
    if let Some(path) = &request.data {
        let (spans, without_text) = read_questions(&[path], !request.strict)?;
        if spans.questions.is_empty() {
            bail!(
                "`{}`: no row has both a question and a context; fill them in",
                path.display()
            );
        }
        return Ok((spans, without_text));
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
