//! Whether a checkpoint's own output layer serves the classes that are asked for, and in which order.

use std::fmt;

use lora_data::LabelNames;
use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::error::LoadError;

/// How the classes of a checkpoint's output layer relate to the labels that are asked for. Names decide, never the
/// shape alone: a layer for as many other classes is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "relation", rename_all = "snake_case")]
pub enum SavedHead {
    /// The same names in the same order.
    SameOrder,
    /// The same names in another order: output `i` is the checkpoint's output `outputs[i]`.
    Reordered {
        /// Outputs of the checkpoint in the order of the labels.
        outputs: Vec<usize>,
    },
    /// The checkpoint names no classes, or only `LABEL_0`, `LABEL_1`…: its outputs are taken in their order, as
    /// Transformers does.
    Unnamed {
        /// The labels, in the order of the outputs.
        labels: Vec<String>,
    },
    /// The names differ: the output layer starts new.
    OtherClasses {
        /// The checkpoint's names, or their placeholders.
        found: Vec<String>,
    },
}

impl SavedHead {
    /// What a checkpoint's `id2label` says about these labels.
    ///
    /// Labels are the same when all names are, letter for letter or but for upper and lower case. Where all labels are
    /// the numbers 0, 1, 2… and no class of the checkpoint has a number for its name, they are its ids.
    ///
    /// # Errors
    ///
    /// [`LoadError::Setting`] if the ids of `id2label` are not 0, 1, 2….
    pub fn of(checkpoint: &Checkpoint, labels: &LabelNames) -> Result<Self, LoadError> {
        Ok(Self::between(&saved_names(checkpoint)?, labels.names()))
    }

    fn between(saved: &[String], labels: &[String]) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
        let outputs = places(labels, saved)
            .or_else(|| places(&lower(labels), &lower(saved)))
            .or_else(|| ids(labels, saved));
        match outputs {
            Some(outputs) if outputs.is_sorted() => Self::SameOrder,
            Some(outputs) => Self::Reordered { outputs },
            None if saved.len() == labels.len() && are_placeholders(saved) => Self::Unnamed {
                labels: labels.to_vec(),
            },
            None => Self::OtherClasses {
                found: saved.to_vec(),
            },
        }
    }
}

impl fmt::Display for SavedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameOrder => {
                f.write_str("the output layer is the base model's, which is for the same classes")
            }
            Self::Reordered { .. } => f.write_str(
                "the output layer is the base model's, which is for the same classes in another order; \
                 its rows were reordered by name",
            ),
            Self::Unnamed { labels } => {
                f.write_str(
                    "the output layer is the base model's, which names no classes; its outputs are taken in their order: ",
                )?;
                list(
                    f,
                    labels
                        .iter()
                        .enumerate()
                        .map(|(id, name)| format!("{id} = {name}")),
                )
            }
            Self::OtherClasses { found } => {
                f.write_str("the output layer is new, for the base model's is for other classes: ")?;
                list(f, found.iter().cloned())
            }
        }
    }
}

/// The first few of some items.
fn list(f: &mut fmt::Formatter<'_>, items: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    const MOST: usize = 8;
    let rest = items.len().saturating_sub(MOST);
    let first: Vec<String> = items.take(MOST).collect();
    f.write_str(&first.join(", "))?;
    if rest > 0 {
        write!(f, " and {rest} more")?;
    }
    Ok(())
}

/// The names of `id2label` in the order of their ids; placeholders where there are none, as many as Transformers would
/// make.
fn saved_names(checkpoint: &Checkpoint) -> Result<Vec<String>, LoadError> {
    let Some(by_id) = checkpoint.config["id2label"]
        .as_object()
        .filter(|by_id| !by_id.is_empty())
    else {
        return Ok((0..checkpoint.outputs()).map(placeholder).collect());
    };
    let name = |id: usize| by_id.get(&id.to_string())?.as_str().map(str::to_owned);
    let names: Option<Vec<String>> = (0..by_id.len()).map(name).collect();
    names.ok_or_else(|| {
        checkpoint.unsupported(
            "id2label",
            &checkpoint.config["id2label"].to_string(),
            "one name for each of the ids 0, 1, 2… without a gap",
        )
    })
}

/// Where each label stands among the saved names; `None` if the two are not the same set of names.
fn places(labels: &[String], saved: &[String]) -> Option<Vec<usize>> {
    let place = |label: &String| saved.iter().position(|name| name == label);
    permutation(labels.iter().map(place).collect::<Option<_>>()?, saved.len())
}

/// Labels that are the ids of the saved classes.
fn ids(labels: &[String], saved: &[String]) -> Option<Vec<usize>> {
    if saved.iter().any(|name| name.parse::<i64>().is_ok()) {
        return None;
    }
    let id = |label: &String| label.parse().ok();
    permutation(labels.iter().map(id).collect::<Option<_>>()?, saved.len())
}

/// The outputs, if they are 0 to `count - 1`, each once.
fn permutation(outputs: Vec<usize>, count: usize) -> Option<Vec<usize>> {
    let mut sorted = outputs.clone();
    sorted.sort_unstable();
    sorted.into_iter().eq(0..count).then_some(outputs)
}

fn are_placeholders(names: &[String]) -> bool {
    names
        .iter()
        .enumerate()
        .all(|(id, name)| *name == placeholder(id))
}

fn placeholder(id: usize) -> String {
    format!("LABEL_{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(saved: &[&str], labels: &[&str]) -> SavedHead {
        let owned = |names: &[&str]| names.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        SavedHead::between(&owned(saved), &owned(labels))
    }

    fn reordered(outputs: &[usize]) -> SavedHead {
        SavedHead::Reordered {
            outputs: outputs.to_vec(),
        }
    }

    #[test]
    fn the_same_names_are_found_in_any_order_and_case() {
        let saved = ["neutral", "bad", "good"];
        assert_eq!(between(&saved, &saved), SavedHead::SameOrder);
        assert_eq!(
            between(&saved, &["good", "neutral", "bad"]),
            reordered(&[2, 0, 1])
        );
        assert_eq!(
            between(&["NEGATIVE", "POSITIVE"], &["positive", "negative"]),
            reordered(&[1, 0])
        );
    }

    #[test]
    fn names_that_differ_in_case_alone_are_two_names() {
        assert_eq!(between(&["may", "May"], &["May", "may"]), reordered(&[1, 0]));
    }

    #[test]
    fn numbers_are_ids_unless_a_class_is_called_by_a_number() {
        assert_eq!(between(&["bad", "good"], &["0", "1"]), SavedHead::SameOrder);
        assert_eq!(between(&["bad", "good"], &["1", "0"]), reordered(&[1, 0]));
        assert_eq!(between(&["1", "0"], &["0", "1"]), reordered(&[1, 0]));
        let found = ["1", "2"].map(str::to_owned).to_vec();
        assert_eq!(
            between(&["1", "2"], &["0", "1"]),
            SavedHead::OtherClasses { found }
        );
    }

    #[test]
    fn placeholders_stand_for_any_names_in_their_order_but_for_their_own() {
        let saved = ["LABEL_0", "LABEL_1"];
        let labels = ["bad", "good"].map(str::to_owned).to_vec();
        assert_eq!(between(&saved, &["bad", "good"]), SavedHead::Unnamed { labels });
        assert_eq!(between(&saved, &["LABEL_1", "LABEL_0"]), reordered(&[1, 0]));
        assert_eq!(between(&saved, &["0", "1"]), SavedHead::SameOrder);
    }

    #[test]
    fn other_names_and_another_number_of_them_are_other_classes() {
        for (saved, labels) in [
            (vec!["bad", "good"], vec!["ham", "spam"]),
            (vec!["bad", "good"], vec!["bad", "good", "neutral"]),
            (vec!["bad", "good", "neutral"], vec!["bad", "good"]),
            (vec!["LABEL_0", "LABEL_1"], vec!["a", "b", "c"]),
            (vec!["bad", "bad"], vec!["bad", "good"]),
        ] {
            let found = saved.iter().copied().map(str::to_owned).collect();
            assert_eq!(between(&saved, &labels), SavedHead::OtherClasses { found });
        }
    }
}
