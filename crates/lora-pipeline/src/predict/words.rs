//! Tags for words.

use lora_data::tasks::{Rows, TagRule, TaggedSentence, TaggedWords, read_words};
use lora_data::{LabelNames, Task};
use lora_eval::entities::{are_iob2, entities};
use lora_eval::softmax::top_class;
use serde::Serialize;

use super::prediction::NO_TEXT;
use super::{Inference, PredictRequest, PredictRows, Predicted, TaskRows, split_off_empty};
use crate::bail;
use crate::data::encoded::{Detail, RowDetail};
use crate::error::Result;

/// What is predicted of one sentence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WordPrediction {
    /// The words.
    pub tokens: Vec<String>,
    /// The tag of each word; none for a word of which the tokenizer makes nothing.
    pub tags: Vec<Option<String>>,
    /// The probability of each tag.
    pub probabilities: Vec<Option<f64>>,
    /// Entities; none for tags that name no entities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entities: Option<Vec<NamedEntity>>,
}

/// An entity of a sentence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NamedEntity {
    /// What it is, as its tags say.
    pub kind: String,
    /// Its words.
    pub text: String,
    /// The first word.
    pub start: usize,
    /// The word after the last.
    pub end: usize,
}

impl TaskRows for TaggedWords {
    const NOUN: &'static str = "sentences with tagged words";

    fn are_of(task: &Task) -> bool {
        matches!(task, Task::Tagging { .. })
    }
}

impl PredictRows for TaggedWords {
    type Prediction = WordPrediction;

    fn predict(&self, inference: &Inference<'_>) -> Result<Vec<WordPrediction>> {
        let split = inference.encode(&Rows::Words(self.clone()))?;
        let Detail::Rows(RowDetail::Words(detail)) = &split.detail else {
            bail!("the rows are no words");
        };
        let probabilities = inference.probabilities(&split, "tagging")?;
        let no_tags = |sentence: &TaggedSentence| vec![None; sentence.words.len()];
        let mut found: Vec<Vec<Option<(usize, f64)>>> = self.sentences.iter().map(no_tags).collect();
        for (place, row) in detail.words.iter().flatten().zip(probabilities.rows()) {
            let top = top_class(row);
            found[place.sentence][place.word] = Some((top, row[top]));
        }
        let names_entities = are_iob2(self.tags.names().iter().map(String::as_str));
        let prediction = |(sentence, found): (&TaggedSentence, &Vec<Option<(usize, f64)>>)| {
            let tag = |found: &Option<(usize, f64)>| found.map(|(tag, _)| self.tags.name(tag).to_owned());
            let tags: Vec<Option<String>> = found.iter().map(tag).collect();
            WordPrediction {
                tokens: sentence.words.clone(),
                probabilities: found.iter().map(|found| Some(found.as_ref()?.1)).collect(),
                entities: names_entities.then(|| named(&sentence.words, &tags)),
                tags,
            }
        };
        Ok(self.sentences.iter().zip(&found).map(prediction).collect())
    }
}

pub(super) fn answer(
    inference: &Inference<'_>,
    request: &PredictRequest,
    names: &LabelNames,
) -> Result<Predicted> {
    let (tagged, without_text) = read(request, names)?;
    let mut predicted = Predicted::of(&tagged.predict(inference)?, in_words)?;
    let nothing = r#"{"tokens":[],"tags":null,"probabilities":null}"#;
    predicted.answer_with_null(&without_text, nothing, NO_TEXT);
    Ok(predicted)
}

/// The sentences, and the places of those without a word.
fn read(request: &PredictRequest, names: &LabelNames) -> Result<(TaggedWords, Vec<usize>)> {
    if let Some(path) = &request.data {
        return Ok((read_words(&[path], TagRule::NotRead(names))?, Vec::new()));
    }
    let texts = &request.texts;
    if texts.is_empty() {
        bail!(
            "there is no sentence; give sentences as arguments, lines on the standard input with -, or a file with --data"
        );
    }
    let (texts, without_text) = split_off_empty(texts, "sentence", request.strict)?;
    let sentence = |(_, text): (usize, &str)| TaggedSentence {
        words: text.split_whitespace().map(str::to_owned).collect(),
        tags: None,
    };
    let tagged = TaggedWords {
        sentences: texts.into_iter().map(sentence).collect(),
        tags: names.clone(),
    };
    Ok((tagged, without_text))
}

fn named(words: &[String], tags: &[Option<String>]) -> Vec<NamedEntity> {
    let tags: Vec<&str> = tags.iter().map(|tag| tag.as_deref().unwrap_or("O")).collect();
    let found = entities(&tags).into_iter();
    found
        .map(|entity| NamedEntity {
            kind: entity.kind.to_owned(),
            text: words[entity.start..entity.end].join(" "),
            start: entity.start,
            end: entity.end,
        })
        .collect()
}

/// Entities, if the tags name some, else every word with its tag.
fn in_words(prediction: &WordPrediction) -> String {
    let words = prediction
        .tokens
        .iter()
        .zip(&prediction.tags)
        .zip(&prediction.probabilities);
    let tagged = words.map(|((word, tag), probability)| match (tag, probability) {
        (Some(tag), Some(probability)) => format!("{word}/{tag} {probability:.3}"),
        _ => format!("{word}/?"),
    });
    tagged.collect::<Vec<_>>().join("  ")
}
