//! Answers by letter to questions with choices.

use lora_data::tasks::{Rows, RowsKind};
use lora_eval::softmax::top_class;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Asking, Predicted, Request};
use crate::bail;
use crate::data::benchmark::of_own_files;
use crate::data::encoded::Detail;
use crate::error::{Context, Result};

/// What is said about one question.
#[derive(Clone, Debug, Serialize)]
struct ChoicePrediction<'a> {
    question: &'a str,
    /// The letter.
    answer: &'a str,
    /// What stands behind it.
    choice: &'a str,
    probability: f64,
    /// By letter.
    probabilities: Map<String, Value>,
}

pub(super) fn predict(asking: &Asking<'_>, request: &Request) -> Result<Predicted> {
    let opened = asking.opened;
    let Some(path) = &request.data else {
        bail!(
            "the adapter answers questions with choices; give a file with the columns question and choices with --data"
        );
    };
    let benchmark = match request.benchmark {
        Some(benchmark) => benchmark,
        None => of_own_files(RowsKind::Choices)?,
    };
    let questions = benchmark.read(path, "test")?.into_choices()?;
    let rows = Rows::Choices(questions.clone());
    let part = opened.encoder(asking.batch_size).encode(&rows)?;
    asking.note_cut(&part);
    let Detail::Choices(detail) = &part.detail else {
        bail!("the rows have no choices");
    };
    let (outputs, average, temperature) = asking.outputs(&part, "answering");
    let predictions = outputs
        .into_predictions()?
        .with_temperature(temperature.unwrap_or(1.0))?;
    let probabilities = predictions.average(average);
    let (mut json, mut words) = (Vec::new(), Vec::new());
    for ((question, prompt), row) in questions.iter().zip(&detail.prompts).zip(probabilities.rows()) {
        let top = top_class(row);
        let letters = prompt.answers.iter().zip(row);
        let prediction = ChoicePrediction {
            question: &question.question,
            answer: &prompt.answers[top],
            choice: &question.choices[top],
            probability: row[top],
            probabilities: letters
                .map(|(letter, probability)| (letter.clone(), Value::from(*probability)))
                .collect(),
        };
        json.push(serde_json::to_string(&prediction).context("a prediction is no JSON")?);
        words.push(format!(
            "{}) {}  {:.3} · {}",
            prediction.answer, prediction.choice, prediction.probability, prediction.question
        ));
    }
    Ok(Predicted {
        json,
        words,
        file: None,
        notes: Vec::new(),
    })
}
