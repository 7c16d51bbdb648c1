//! Tags for words.

use lora_data::LabelNames;
use lora_data::tasks::{Rows, TagRule, TaggedSentence, TaggedWords, read_words};
use lora_eval::entities::{are_iob2, entities};
use lora_eval::softmax::top_class;
use serde::Serialize;

use super::prediction::NO_TEXT;
use super::{Asking, Predicted, Request, split_off_empty};
use crate::bail;
use crate::data::encoded::Detail;
use crate::error::{Context, Result};

/// What is said about one sentence.
#[derive(Clone, Debug, Serialize)]
struct WordPrediction<'a> {
    tokens: &'a [String],
    /// None for a word of which the tokenizer makes nothing.
    tags: Vec<Option<&'a str>>,
    /// The probability of each tag.
    probabilities: Vec<Option<f64>>,
    /// Left out for tags that name no entities.
    #[serde(skip_serializing_if = "Option::is_none")]
    entities: Option<Vec<NamedEntity<'a>>>,
}

/// An entity of a sentence.
#[derive(Clone, Debug, Serialize)]
struct NamedEntity<'a> {
    kind: &'a str,
    text: String,
    /// The first word.
    start: usize,
    /// The word after the last.
    end: usize,
}

pub(super) fn predict(asking: &Asking<'_>, request: &Request, names: &LabelNames) -> Result<Predicted> {
    let opened = asking.opened;
    let (tagged, without_text) = read(request, names)?;
    let part = opened.encoder(asking.batch_size).encode(&Rows::Words(tagged))?;
    let Detail::Words(detail) = &part.detail else {
        bail!("the rows are no words");
    };
    let (outputs, average, temperature) = asking.outputs(&part, "tagging");
    let predictions = outputs
        .into_predictions()?
        .with_temperature(temperature.unwrap_or(1.0))?;
    let probabilities = predictions.average(average);
    let sentences = &detail.tagged.sentences;
    let empty = |sentence: &TaggedSentence| vec![None; sentence.words.len()];
    let mut said: Vec<Vec<Option<(usize, f64)>>> = sentences.iter().map(empty).collect();
    for (place, row) in detail.words.iter().flatten().zip(probabilities.rows()) {
        let top = top_class(row);
        said[place.sentence][place.word] = Some((top, row[top]));
    }
    let names_entities = are_iob2(names.names().iter().map(String::as_str));
    let (mut json, mut words) = (Vec::new(), Vec::new());
    for (sentence, said) in sentences.iter().zip(&said) {
        let tags: Vec<Option<&str>> = said
            .iter()
            .map(|said| said.map(|(tag, _)| names.name(tag)))
            .collect();
        let prediction = WordPrediction {
            tokens: &sentence.words,
            probabilities: said
                .iter()
                .map(|said| said.map(|(_, probability)| probability))
                .collect(),
            entities: names_entities.then(|| named(&sentence.words, &tags)),
            tags,
        };
        json.push(serde_json::to_string(&prediction).context("a prediction is no JSON")?);
        words.push(in_words(&prediction));
    }
    let mut predicted = Predicted {
        json,
        words,
        file: None,
        notes: Vec::new(),
    };
    let nothing = r#"{"tokens":[],"tags":null,"probabilities":null}"#;
    predicted.answer_with_null(&without_text, nothing, NO_TEXT);
    Ok(predicted)
}

/// The sentences, and the places of those without a word.
fn read(request: &Request, names: &LabelNames) -> Result<(TaggedWords, Vec<usize>)> {
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

fn named<'a>(words: &[String], tags: &[Option<&'a str>]) -> Vec<NamedEntity<'a>> {
    let tags: Vec<&str> = tags.iter().map(|tag| tag.unwrap_or("O")).collect();
    let found = entities(&tags).into_iter();
    found
        .map(|entity| NamedEntity {
            kind: entity.kind,
            text: words[entity.start..entity.end].join(" "),
            start: entity.start,
            end: entity.end,
        })
        .collect()
}

/// Entities, if the tags name some, else every word with its tag.
fn in_words(prediction: &WordPrediction<'_>) -> String {
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
