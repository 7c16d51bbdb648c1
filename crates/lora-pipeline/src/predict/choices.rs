//! Answers by letter to questions with choices.

use lora_data::Task;
use lora_data::tasks::{ChoicePrompt, ChoiceQuestion, Rows, read_choice_questions};
use lora_eval::softmax::top_class;
use serde::Serialize;
use serde_json::{Map, Value};

use super::prediction::NO_TEXT;
use super::{Inference, PredictRequest, PredictRows, Predicted, TaskRows};
use crate::bail;
use crate::data::encoded::{Detail, RowDetail};
use crate::error::Result;

/// What is predicted of one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChoicePrediction {
    /// The question.
    pub question: String,
    /// The letter.
    pub answer: String,
    /// What stands behind it.
    pub choice: String,
    /// How sure the model is of it.
    pub probability: f64,
    /// The probability of each choice, by letter.
    pub probabilities: Map<String, Value>,
}

impl TaskRows for Vec<ChoiceQuestion> {
    const NOUN: &'static str = "questions with choices";

    fn are_of(task: &Task) -> bool {
        matches!(task, Task::MultipleChoice { .. })
    }
}

impl PredictRows for Vec<ChoiceQuestion> {
    type Prediction = ChoicePrediction;

    fn predict(&self, inference: &Inference<'_>) -> Result<Vec<ChoicePrediction>> {
        let split = inference.encode(&Rows::Choices(self.clone()))?;
        let Detail::Rows(RowDetail::Choices(detail)) = &split.detail else {
            bail!("the rows have no choices");
        };
        let probabilities = inference.probabilities(&split, "answering")?;
        let rows = self.iter().zip(&detail.prompts).zip(probabilities.rows());
        let prediction = |((question, prompt), row): ((&ChoiceQuestion, &ChoicePrompt), &[f64])| {
            let top = top_class(row);
            let letters = prompt.answers.iter().zip(row);
            ChoicePrediction {
                question: question.question.clone(),
                answer: prompt.answers[top].clone(),
                choice: question.choices[top].clone(),
                probability: row[top],
                probabilities: letters
                    .map(|(letter, probability)| (letter.clone(), Value::from(*probability)))
                    .collect(),
            }
        };
        Ok(rows.map(prediction).collect())
    }
}

pub(super) fn answer(inference: &Inference<'_>, request: &PredictRequest) -> Result<Predicted> {
    let Some(path) = &request.data else {
        bail!(
            "the adapter answers questions with choices; give a file with the columns question and choices with --data"
        );
    };
    let (questions, without_text) = match request.benchmark {
        // A benchmark has its own files.
        Some(benchmark) if benchmark.hub.is_some() => {
            (benchmark.read(path, "test")?.into_choices()?, Vec::new())
        }
        _ => read_choice_questions(path, !request.strict)?,
    };
    if questions.is_empty() {
        bail!(
            "`{}`: no row has both a question and choices; fill them in",
            path.display()
        );
    }
    let mut predicted = Predicted::of(&questions.predict(inference)?, in_words)?;
    let nothing = r#"{"question":"","answer":null,"choice":null,"probability":null,"probabilities":null}"#;
    predicted.answer_with_null(&without_text, nothing, NO_TEXT);
    Ok(predicted)
}

fn in_words(prediction: &ChoicePrediction) -> String {
    let ChoicePrediction {
        question,
        answer,
        choice,
        probability,
        ..
    } = prediction;
    format!("{answer}) {choice}  {probability:.3} · {question}")
}
