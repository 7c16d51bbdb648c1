//! Named entities from tags of words, by the strict rules of seqeval for IOB2.
//!
//! An entity of kind X is a word tagged `B-X` and the words tagged `I-X` behind it. An `I-X` that follows neither belongs to none. A
//! predicted entity is right if there is a true one of the same kind with the same first and last word; precision, recall and F1 count all
//! entities alike (the micro average of the script `conlleval` and of seqeval).

use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::checks::same_count;
use crate::share::share_of;

/// An entity of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity<'a> {
    /// What it is: the tag without `B-`.
    pub kind: &'a str,
    /// The first word.
    pub start: usize,
    /// The word after the last.
    pub end: usize,
}

/// Scores of entities, as fractions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EntityScores {
    /// True entities.
    pub entities: usize,
    /// Predicted ones.
    pub predicted: usize,
    /// Share of the predicted ones that are right; 0 where nothing was predicted.
    pub precision: f64,
    /// Share of the true ones that were found; 0 where there are none.
    pub recall: f64,
    /// `2 · precision · recall / (precision + recall)`; 0 where both are.
    pub f1: f64,
}

/// Counts of entities, gathered sentence by sentence.
///
/// ```
/// use lora_eval::entities::EntityCounts;
/// let mut counts = EntityCounts::default();
/// // The place is found, the person loses a word.
/// let truth = ["B-PER", "I-PER", "O", "B-LOC"];
/// counts.update(&truth, &["B-PER", "O", "O", "B-LOC"])?;
/// assert_eq!(counts.scores().f1, 0.5);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EntityCounts {
    entities: usize,
    predicted: usize,
    right: usize,
}

/// Whether tags name entities: `O`, or a kind behind `B-` or `I-`. Parts of speech do not.
pub fn are_iob2<'a>(mut tags: impl Iterator<Item = &'a str>) -> bool {
    tags.all(|tag| tag == "O" || tag.starts_with("B-") || tag.starts_with("I-"))
}

/// The entities of a sentence, in order.
pub fn entities<'a>(tags: &[&'a str]) -> Vec<Entity<'a>> {
    let mut found: Vec<Entity<'a>> = Vec::new();
    for (word, tag) in tags.iter().enumerate() {
        if let Some(kind) = tag.strip_prefix("B-") {
            found.push(Entity {
                kind,
                start: word,
                end: word + 1,
            });
        } else if let Some(kind) = tag.strip_prefix("I-")
            && let Some(last) = found.last_mut()
            && (last.kind, last.end) == (kind, word)
        {
            last.end = word + 1;
        }
    }
    found
}

impl EntityCounts {
    /// Adds a sentence.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] unless there is one predicted tag a word.
    pub fn update(&mut self, truth: &[&str], predicted: &[&str]) -> Result<(), EvalError> {
        same_count("the list of predicted tags", truth.len(), predicted.len())?;
        let (truth, predicted) = (entities(truth), entities(predicted));
        self.entities += truth.len();
        self.predicted += predicted.len();
        self.right += predicted.iter().filter(|entity| truth.contains(entity)).count();
        Ok(())
    }

    /// Adds the sentences of another one.
    pub fn merge(&mut self, other: Self) {
        self.entities += other.entities;
        self.predicted += other.predicted;
        self.right += other.right;
    }

    /// The scores of all sentences so far.
    pub fn scores(&self) -> EntityScores {
        let right = self.right as f64;
        let (entities, predicted) = (self.entities as f64, self.predicted as f64);
        EntityScores {
            entities: self.entities,
            predicted: self.predicted,
            precision: share_of(right, predicted),
            recall: share_of(right, entities),
            f1: share_of(2.0 * right, entities + predicted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inside_tag_without_its_beginning_is_no_entity() {
        let kinds = |tags: &[&'static str]| -> Vec<(&'static str, usize, usize)> {
            let found = entities(tags).into_iter();
            found
                .map(|entity| (entity.kind, entity.start, entity.end))
                .collect()
        };
        assert_eq!(kinds(&["I-PER", "I-PER", "O"]), []);
        assert_eq!(kinds(&["B-PER", "I-LOC", "I-PER"]), [("PER", 0, 1)]);
        assert_eq!(
            kinds(&["B-PER", "B-PER", "I-PER"]),
            [("PER", 0, 1), ("PER", 1, 3)]
        );
        assert_eq!(kinds(&["B-PER", "O", "I-PER"]), [("PER", 0, 1)]);
    }

    #[test]
    fn nothing_found_and_nothing_to_find_scores_zero() {
        let mut counts = EntityCounts::default();
        assert!(counts.update(&["O", "O"], &["O", "O"]).is_ok());
        let scores = counts.scores();
        assert_eq!((scores.precision, scores.recall, scores.f1), (0.0, 0.0, 0.0));
        assert!(counts.update(&["O"], &[]).is_err());
    }

    #[test]
    fn parts_of_speech_are_no_entities() {
        assert!(are_iob2(["O", "B-PER", "I-PER"].into_iter()));
        assert!(!are_iob2(["NOUN", "VERB"].into_iter()));
    }
}
