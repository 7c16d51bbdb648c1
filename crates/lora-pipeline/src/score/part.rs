//! Passes, temperatures, thresholds and scores of a part of the data, whatever its kind.

use lora_core::Adapted;
use lora_core::peft::EnsembleSettings;
use lora_data::{LabelNames, WordPlace};
use lora_eval::entities::{EntityCounts, EntityScores, are_iob2};
use lora_eval::softmax::top_class;
use lora_models::Transformer;

use super::spans::{SpanOutputs, fit_spans, run_span_passes, score_spans};
use super::{Outputs, ScoredMethod, TaskScores, WordScores, fit_temperatures, run_passes, score};
use crate::data::encoded::{Detail, EncodedPart, WordDetail};
use crate::error::Result;
use crate::progress::Progress;
use crate::saved::task_file::Fit;

/// What the model said about a part.
#[derive(Clone, Debug)]
pub enum Said {
    /// Logits of classes, or numbers.
    Outputs(Outputs),
    /// Scores of starts and ends.
    Spans(SpanOutputs),
}

/// Runs the model over a part, with progress.
///
/// # Errors
///
/// If the model has diverged.
pub fn ask(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Result<Said> {
    Ok(match &part.detail {
        Detail::Spans(detail) => {
            Said::Spans(run_span_passes(adapted, part, detail, ensemble, what, progress)?)
        }
        _ => Said::Outputs(run_passes(adapted, part, ensemble, what, progress)),
    })
}

/// What fits the outputs on validation rows: temperatures, and thresholds for "no answer".
///
/// # Errors
///
/// If the model has diverged.
pub fn fit(said: &Said, part: &EncodedPart, scale: bool, progress: &dyn Progress) -> Result<Fit> {
    match (said, &part.detail) {
        (Said::Spans(outputs), Detail::Spans(detail)) => fit_spans(outputs, detail, scale, progress),
        (Said::Outputs(outputs), _) if scale => Ok(Fit {
            temperature: fit_temperatures(outputs, &part.truth(), progress)?,
            ..Fit::default()
        }),
        _ => Ok(Fit::default()),
    }
}

/// Scores what was said in every way: mean pass and ensemble, without and with temperature.
///
/// # Errors
///
/// If the model has diverged, or the part has no truth to score against.
pub fn score_part(said: &Said, part: &EncodedPart, fit: Fit) -> Result<Vec<ScoredMethod>> {
    match (said, &part.detail) {
        (Said::Spans(outputs), Detail::Spans(detail)) => score_spans(outputs, detail, fit),
        (Said::Outputs(outputs), Detail::Words(detail)) => {
            let methods = score(outputs, &part.truth(), fit.temperature)?;
            methods
                .into_iter()
                .map(|method| with_entities(method, outputs, detail))
                .collect()
        }
        (Said::Outputs(outputs), _) => score(outputs, &part.truth(), fit.temperature),
        (Said::Spans(_), _) => crate::bail!("starts and ends were asked of rows that are no windows"),
    }
}

/// The scores of words with those of the entities that their tags make.
fn with_entities(method: ScoredMethod, outputs: &Outputs, detail: &WordDetail) -> Result<ScoredMethod> {
    let TaskScores::Classification(words) = method.scores else {
        return Ok(method);
    };
    let outputs = match (&outputs.ensemble, method.average) {
        (Some((_, outputs)), Some(_)) => outputs,
        _ => &outputs.mean,
    };
    let predictions = outputs
        .clone()
        .into_predictions()?
        .with_temperature(method.temperature)?;
    let probabilities = predictions.average(method.average.unwrap_or_default());
    let tags: Vec<usize> = probabilities.rows().map(top_class).collect();
    Ok(ScoredMethod {
        scores: TaskScores::Words(WordScores {
            words,
            entities: entity_scores(detail, &tags)?,
        }),
        ..method
    })
}

/// `tags`: of each word that has a place, in the order of the rows. A word that the tokenizer makes nothing of is taken as outside.
fn entity_scores(detail: &WordDetail, tags: &[usize]) -> Result<Option<EntityScores>> {
    let names: &LabelNames = &detail.tagged.tags;
    if !are_iob2(names.names().iter().map(String::as_str)) {
        return Ok(None);
    }
    let sentences = detail.tagged.sentences.iter();
    let mut predicted: Vec<Vec<&str>> = sentences
        .map(|sentence| vec!["O"; sentence.words.len()])
        .collect();
    let places = detail.words.iter().flatten();
    for (WordPlace { sentence, word, .. }, tag) in places.zip(tags) {
        predicted[*sentence][*word] = names.name(*tag);
    }
    let mut counts = EntityCounts::default();
    for (sentence, predicted) in detail.tagged.sentences.iter().zip(&predicted) {
        let truth = sentence.tags.iter().flatten();
        let truth: Vec<&str> = truth.map(|tag| names.name(*tag)).collect();
        counts.update(&truth, predicted)?;
    }
    Ok(Some(counts.scores()))
}
