//! Scores of tagged words: each word for itself, and the entities that tags make.

use lora_data::{LabelNames, WordPlace};
use lora_eval::Scores;
use lora_eval::entities::{EntityCounts, EntityScores, are_iob2};
use serde::{Deserialize, Serialize};

use crate::data::encoded::WordDetail;
use crate::error::Result;

/// Scores of tagged words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordScores {
    /// Each word for itself.
    pub words: Scores,
    /// Whole entities; none for tags that name none.
    pub entities: Option<EntityScores>,
}

/// `tags`: of each word that has a place, in the order of the rows. A word that the tokenizer makes nothing of is taken as outside.
pub(super) fn entity_scores(detail: &WordDetail, tags: &[usize]) -> Result<Option<EntityScores>> {
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
