//! Rows with the same text, which flatter a test: found after normalization of white space.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Example, Target};
use crate::tasks::Rows;

/// Examples that are kept, at most.
const EXAMPLES: usize = 3;

/// What a model reads of a row, with each run of white space as one space, and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct RowText {
    /// The text; parts of it (a pair, a question and its context) are separated by a vertical bar.
    pub text: String,
    /// The class or number of a text, if the row has one.
    pub target: Option<Target>,
}

impl RowText {
    fn new(parts: &[&str], target: Option<Target>) -> Self {
        let parts: Vec<String> = parts.iter().map(|part| normalized(part)).collect();
        Self {
            text: parts.join(" | "),
            target,
        }
    }

    /// The texts of all rows, in their order.
    pub fn of_rows(rows: &Rows) -> Vec<Self> {
        match rows {
            Rows::Texts(dataset) => Self::of_dataset(dataset),
            Rows::Spans(spans) => (0..spans.questions.len())
                .map(|row| Self::new(&[&spans.questions[row].question, spans.context(row)], None))
                .collect(),
            Rows::Words(words) => words
                .sentences
                .iter()
                .map(|sentence| Self::new(&[&sentence.words.join(" ")], None))
                .collect(),
            Rows::Choices(questions) => questions
                .iter()
                .map(|question| {
                    let passage = question.passage.as_deref();
                    let choices = question.choices.iter().map(String::as_str);
                    let parts = passage
                        .into_iter()
                        .chain([question.question.as_str()])
                        .chain(choices);
                    Self::new(&parts.collect::<Vec<_>>(), None)
                })
                .collect(),
            Rows::Instructions(instructions) => instructions
                .iter()
                .map(|row| Self::new(&[&row.instruction, &row.input], None))
                .collect(),
            Rows::Completions(completions) => completions
                .iter()
                .map(|row| Self::new(&[&row.prompt], None))
                .collect(),
        }
    }

    /// Those of texts or pairs of texts.
    pub fn of_dataset(dataset: &Dataset) -> Vec<Self> {
        let text = |example: &Example| match &example.text_pair {
            Some(pair) => Self::new(&[&example.text, pair], example.target.clone()),
            None => Self::new(&[&example.text], example.target.clone()),
        };
        dataset.examples.iter().map(text).collect()
    }

    /// What [`training_split`](crate::training_split) keeps together.
    pub fn groups(texts: &[Self]) -> Vec<&str> {
        texts.iter().map(|row| row.text.as_str()).collect()
    }
}

/// Each run of white space as one space, none at the ends.
pub(crate) fn normalized(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Texts that stand in several rows of one set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedTexts {
    /// Different texts that stand in more than one row.
    pub texts: usize,
    /// The rows that they stand in.
    pub rows: usize,
    /// Of the texts, those whose rows have different labels.
    pub contradictory: usize,
    /// The first of these texts.
    pub examples: Vec<String>,
}

impl RepeatedTexts {
    /// Those of a set; `None` where every row has a text of its own.
    pub fn find(rows: &[RowText]) -> Option<Self> {
        let mut found = Self {
            texts: 0,
            rows: 0,
            contradictory: 0,
            examples: Vec::new(),
        };
        let targets = targets_by_text(rows);
        for row in rows {
            // Counted where it first occurs, so that examples are in the order of the file.
            let Some((first, rows_of_text)) = targets.get(row.text.as_str()) else {
                continue;
            };
            if rows_of_text.len() < 2 || !std::ptr::eq(*first, row) {
                continue;
            }
            found.texts += 1;
            found.rows += rows_of_text.len();
            found.contradictory += usize::from(rows_of_text.iter().any(|target| *target != row.target));
            if found.examples.len() < EXAMPLES {
                found.examples.push(row.text.clone());
            }
        }
        (found.texts > 0).then_some(found)
    }
}

/// Rows of a set whose text stands in another set too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedTexts {
    /// How many rows of the second set have a text of the first.
    pub rows: usize,
    /// How many rows the second set has.
    pub of: usize,
    /// Of the shared rows, those whose label no row of this text has in the first set.
    pub contradictory: usize,
    /// The texts of the first shared rows, each once.
    pub examples: Vec<String>,
}

impl SharedTexts {
    /// The rows of `second` whose text is in `first`; `None` where there is none.
    pub fn find(first: &[RowText], second: &[RowText]) -> Option<Self> {
        let known = targets_by_text(first);
        let mut found = Self {
            rows: 0,
            of: second.len(),
            contradictory: 0,
            examples: Vec::new(),
        };
        for row in second {
            let Some((_, targets)) = known.get(row.text.as_str()) else {
                continue;
            };
            found.rows += 1;
            found.contradictory += usize::from(!targets.contains(&row.target));
            if found.examples.len() < EXAMPLES && !found.examples.contains(&row.text) {
                found.examples.push(row.text.clone());
            }
        }
        (found.rows > 0).then_some(found)
    }
}

/// The first row of each text, and the targets of all its rows.
fn targets_by_text(rows: &[RowText]) -> HashMap<&str, (&RowText, Vec<Option<Target>>)> {
    let mut of_text: HashMap<&str, (&RowText, Vec<Option<Target>>)> = HashMap::new();
    for row in rows {
        let (_, targets) = of_text.entry(&row.text).or_insert_with(|| (row, Vec::new()));
        targets.push(row.target.clone());
    }
    of_text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Task;

    fn rows(texts: &[(&str, f32)]) -> Vec<RowText> {
        let example = |&(text, value): &(&str, f32)| Example {
            text: text.to_owned(),
            text_pair: None,
            target: Some(Target::Value(value)),
        };
        RowText::of_rows(&Rows::Texts(Dataset {
            examples: texts.iter().map(example).collect(),
            task: Task::Regression,
        }))
    }

    #[test]
    fn white_space_does_not_make_another_text() {
        let rows = rows(&[
            ("a  film", 1.0),
            (" a\tfilm\u{A0}", 1.0),
            ("A film", 1.0),
            ("x", 1.0),
            ("a film", 2.0),
            ("x\n", 1.0),
        ]);
        let repeated = RepeatedTexts::find(&rows);
        let expected = RepeatedTexts {
            texts: 2,
            rows: 5,
            contradictory: 1,
            examples: vec!["a film".to_owned(), "x".to_owned()],
        };
        assert_eq!(repeated, Some(expected));
        assert_eq!(RepeatedTexts::find(&rows[2..4]), None);
    }

    #[test]
    fn shared_rows_are_counted_on_the_second_side() {
        let first = rows(&[("a", 0.0), ("b", 1.0), ("b", 2.0), ("c", 0.0)]);
        let second = rows(&[("b ", 2.0), ("b", 3.0), ("d", 1.0), (" a", 1.0), ("b", 1.0)]);
        let expected = SharedTexts {
            rows: 4,
            of: 5,
            contradictory: 2,
            examples: vec!["b".to_owned(), "a".to_owned()],
        };
        assert_eq!(SharedTexts::find(&first, &second), Some(expected));
        assert_eq!(SharedTexts::find(&second[2..3], &first), None);
    }

    #[test]
    fn a_pair_is_the_same_only_as_a_whole() {
        let pair = |first: &str, second: &str| RowText::new(&[first, second], None);
        let known = [pair("a", "b"), pair("c", "d")];
        assert!(SharedTexts::find(&known, &[pair("a", "d"), pair("c", "b")]).is_none());
        assert!(SharedTexts::find(&known, &[pair("c", " d")]).is_some());
    }
}
