//! What makes scores misleading: texts that stand on two sides, texts that repeat, classes that a split does not have, labels that may
//! be one.

use std::collections::HashSet;

use lora_data::tasks::Rows;
use lora_data::{LabelNames, RepeatedTexts, RowText, SharedTexts, Target};
use lora_report::Section;
use serde::Serialize;

use crate::counted::counted;

/// Longest example in a sentence, in characters.
const LONGEST_EXAMPLE: usize = 60;
/// Classes that are named in a sentence, at most.
const NAMED: usize = 8;

/// What was found in the rows of a training, before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RowChecks {
    /// Texts in several rows of the file that was split.
    pub repeated: Option<RepeatedTexts>,
    /// Texts that two splits share, as they can where they are files of their own.
    pub shared: Vec<OverlappingSplits>,
    /// Classes without a row in a split.
    pub missing_classes: Vec<MissingClasses>,
    /// Labels that differ only in case, or in the Unicode form of a letter, in groups.
    pub alike_labels: Vec<Vec<String>>,
}

/// Texts of one split that another split has too.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OverlappingSplits {
    /// The split that is learned or chosen from.
    pub first: &'static str,
    /// The split that is scored.
    pub second: &'static str,
    /// What they share.
    pub texts: SharedTexts,
}

/// Classes without a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissingClasses {
    /// The split.
    pub split: &'static str,
    /// Their names.
    pub classes: Vec<String>,
    /// How many classes there are.
    pub of: usize,
}

impl RowChecks {
    /// Looks at the rows that are trained on, chosen by and tested on. `split_off` says whether validation and test rows come from the
    /// file of the training rows.
    pub fn of(train: &Rows, validation: Option<&Rows>, test: Option<&Rows>, split_off: [bool; 2]) -> Self {
        let splits = [
            ("training", Some(train)),
            ("validation", validation),
            ("test", test),
        ];
        let splits: Vec<(&'static str, &Rows)> = splits
            .into_iter()
            .filter_map(|(split, rows)| Some((split, rows?)))
            .collect();
        let texts: Vec<(&'static str, Vec<RowText>)> = splits
            .iter()
            .map(|(split, rows)| (*split, RowText::of_rows(rows)))
            .collect();
        Self {
            missing_classes: splits
                .iter()
                .filter_map(|(split, rows)| missing_classes(split, rows))
                .collect(),
            alike_labels: alike_labels(train),
            ..Self::of_texts(texts, split_off)
        }
    }

    /// The same of texts alone: training rows first.
    pub fn of_texts(splits: Vec<(&'static str, Vec<RowText>)>, split_off: [bool; 2]) -> Self {
        let mut shared = Vec::new();
        for (index, (second, texts)) in splits.iter().enumerate() {
            for (first, known) in &splits[..index] {
                shared.extend(SharedTexts::find(known, texts).map(|texts| OverlappingSplits {
                    first,
                    second,
                    texts,
                }));
            }
        }
        let is_of_file = |split: &str| match split {
            "validation" => split_off[0],
            "test" => split_off[1],
            _ => true,
        };
        let of_file: Vec<_> = splits
            .into_iter()
            .filter(|(split, _)| is_of_file(split))
            .collect();
        let is_split = of_file.len() > 1;
        let of_file: Vec<RowText> = of_file.into_iter().flat_map(|(_, texts)| texts).collect();
        Self {
            repeated: RepeatedTexts::find(&of_file).filter(|_| is_split),
            shared,
            ..Self::default()
        }
    }

    /// A sentence for each finding, for people: of labels, then of rows.
    pub fn sentences(&self) -> Vec<String> {
        self.of_labels().into_iter().chain(self.of_rows()).collect()
    }

    /// Of labels that may be one.
    pub fn of_labels(&self) -> Option<String> {
        alike_sentence(&self.alike_labels)
    }

    /// A sentence for each finding about the rows of splits.
    pub fn of_rows(&self) -> Vec<String> {
        let repeated = self.repeated.iter().map(repeated_sentence);
        let shared = self.shared.iter().map(shared_sentence);
        let missing = self.missing_classes.iter().map(missing_sentence);
        repeated.chain(shared).chain(missing).collect()
    }

    /// The findings as a section of a page.
    pub fn section(&self) -> Option<Section> {
        let sentences = self.sentences();
        let section = || Section::new("What to know about the rows");
        (!sentences.is_empty()).then(|| sentences.into_iter().fold(section(), Section::with_text))
    }
}

fn repeated_sentence(found: &RepeatedTexts) -> String {
    let is_one = found.texts == 1;
    let contradictory = match found.contradictory {
        0 => String::new(),
        _ if is_one => ", with different labels".to_owned(),
        texts => format!(", {texts} of them with different labels"),
    };
    format!(
        "{} {} in more than one row ({} rows, such as {}){contradictory}",
        counted(found.texts, "text"),
        if is_one { "stands" } else { "stand" },
        found.rows,
        examples(&found.examples),
    )
}

fn shared_sentence(found: &OverlappingSplits) -> String {
    let OverlappingSplits { first, second, texts } = found;
    let contradictory = match texts.contradictory {
        0 => String::new(),
        rows => format!(" ({rows} of them with another label)"),
    };
    let consequence = if *first == "training" {
        format!(
            "what is measured on them was learned by heart; remove them from the {first} or the {second} file"
        )
    } else {
        format!(
            "the {second} rows are no independent check of what was chosen by the {first} rows; remove them from one of the files"
        )
    };
    let have = if texts.rows == 1 { "has" } else { "have" };
    format!(
        "warning: {} of {} {second} rows ({:.1} %) {have} a text that is among the {first} rows too{contradictory}, such as {}: \
         {consequence}",
        texts.rows,
        texts.of,
        100.0 * texts.rows as f64 / texts.of as f64,
        examples(&texts.examples),
    )
}

fn missing_sentence(found: &MissingClasses) -> String {
    let MissingClasses { split, classes, of } = found;
    let is_one = classes.len() == 1;
    let consequence = match (*split, is_one) {
        ("training", true) => "it cannot be learned",
        ("training", false) => "they cannot be learned",
        (_, true) => "scores there say nothing about it",
        (_, false) => "scores there say nothing about them",
    };
    format!(
        "{} of {of} classes {} no {split} row ({}): {consequence}",
        classes.len(),
        if is_one { "has" } else { "have" },
        named(classes)
    )
}

fn alike_sentence(groups: &[Vec<String>]) -> Option<String> {
    let labels = groups.first()?;
    let lower = |label: &String| label.to_lowercase();
    let differ = if labels.iter().map(lower).collect::<HashSet<_>>().len() == 1 {
        "differ only in case"
    } else {
        "differ only in case or in the Unicode form of a letter"
    };
    let further = match groups.len() - 1 {
        0 => String::new(),
        further => format!(" (and so do the labels of {})", counted(further, "further group")),
    };
    Some(format!(
        "note: the labels {} {differ} and are {} classes{further}; write them alike if one is meant",
        named(labels),
        labels.len()
    ))
}

/// The first names, and how many more there are.
pub(crate) fn named(classes: &[impl AsRef<str>]) -> String {
    let first = classes.iter().take(NAMED);
    let mut named: Vec<String> = first.map(|class| format!("`{}`", class.as_ref())).collect();
    if classes.len() > NAMED {
        named.push(format!("and {} more", classes.len() - NAMED));
    }
    named.join(", ")
}

fn examples(texts: &[String]) -> String {
    let texts = texts
        .iter()
        .map(|text| format!("`{}`", shortened(text, LONGEST_EXAMPLE)));
    texts.collect::<Vec<_>>().join(", ")
}

/// The first characters of a text, at most so many.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn alike_labels(rows: &Rows) -> Vec<Vec<String>> {
    let Rows::Texts(dataset) = rows else {
        return Vec::new();
    };
    let groups = dataset.task.labels().map(LabelNames::alike).unwrap_or_default();
    let owned = |labels: Vec<&str>| labels.into_iter().map(str::to_owned).collect::<Vec<_>>();
    groups.into_iter().map(owned).collect()
}

/// Classes or labels of texts without a row. Rows without labels say nothing.
fn missing_classes(split: &'static str, rows: &Rows) -> Option<MissingClasses> {
    let Rows::Texts(dataset) = rows else { return None };
    let labels = dataset.task.labels()?;
    let mut has_row = vec![false; labels.len()];
    for example in &dataset.examples {
        match &example.target {
            Some(Target::Class(class)) => has_row[*class] = true,
            Some(Target::Labels(held)) => held.iter().for_each(|label| has_row[*label] = true),
            Some(Target::Value(_)) | None => return None,
        }
    }
    let missing = labels
        .names()
        .iter()
        .zip(&has_row)
        .filter(|(_, has_row)| !**has_row);
    let classes: Vec<String> = missing.map(|(name, _)| name.clone()).collect();
    (!classes.is_empty()).then_some(MissingClasses {
        split,
        classes,
        of: labels.len(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_data::{Dataset, Example, Task};

    use super::*;

    fn rows(rows: &[(&str, usize)]) -> Rows {
        rows_of(["bad", "good", "fine"], rows)
    }

    fn rows_of(labels: [&str; 3], rows: &[(&str, usize)]) -> Rows {
        let example = |&(text, class): &(&str, usize)| Example {
            text: text.to_owned(),
            text_pair: None,
            target: Some(Target::Class(class)),
        };
        Rows::Texts(Dataset {
            examples: rows.iter().map(example).collect(),
            task: Task::Classification {
                labels: LabelNames::new(labels).unwrap(),
            },
        })
    }

    #[test]
    fn files_that_share_texts_and_lack_classes_are_said_with_counts_and_examples() {
        let train = rows(&[("a film", 0), ("b", 1), ("c", 2), ("c", 2)]);
        let test = rows(&[("a  film", 1), ("d", 1), ("c", 2), ("e", 1)]);
        let checks = RowChecks::of(&train, None, Some(&test), [false, false]);
        assert_eq!(checks.repeated, None, "nothing was split");
        assert_eq!(
            checks.sentences(),
            [
                "warning: 2 of 4 test rows (50.0 %) have a text that is among the training rows too (1 of them with another \
                 label), such as `a film`, `c`: what is measured on them was learned by heart; remove them from the training \
                 or the test file",
                "1 of 3 classes has no test row (`bad`): scores there say nothing about it",
            ]
        );
    }

    #[test]
    fn labels_that_may_be_one_are_told_with_the_number_of_their_classes() {
        let told = |labels| {
            let train = rows_of(labels, &[("a", 0), ("b", 1), ("c", 2)]);
            RowChecks::of(&train, None, None, [false, false]).sentences()
        };
        assert_eq!(
            told(["Billing", "billing", "BILLING"]),
            [
                "note: the labels `Billing`, `billing`, `BILLING` differ only in case and are 3 classes; write them alike if one is meant"
            ]
        );
        let sentences = told(["caf\u{e9}", "cafe\u{301}", "bar"]);
        assert!(
            sentences[0].contains("differ only in case or in the Unicode form of a letter and are 2 classes"),
            "{sentences:?}"
        );
        assert_eq!(told(["cafe", "caf\u{e9}", "bar"]), [""; 0]);
    }

    #[test]
    fn texts_that_repeat_in_a_split_file_are_counted_over_its_parts() {
        let train = rows(&[("a", 0), ("a", 1), ("b", 2)]);
        let validation = rows(&[("c", 0), ("c ", 0), ("d", 1), ("e", 2)]);
        let checks = RowChecks::of(&train, Some(&validation), None, [true, false]);
        let repeated = checks.repeated.unwrap();
        assert_eq!((repeated.texts, repeated.rows, repeated.contradictory), (2, 4, 1));
        assert_eq!(
            repeated_sentence(&repeated),
            "2 texts stand in more than one row (4 rows, such as `a`, `c`), 1 of them with different labels"
        );
        let one = RepeatedTexts {
            texts: 1,
            rows: 3,
            contradictory: 1,
            examples: vec!["a".to_owned()],
        };
        assert_eq!(
            repeated_sentence(&one),
            "1 text stands in more than one row (3 rows, such as `a`), with different labels"
        );
        assert!(checks.shared.is_empty() && checks.missing_classes.is_empty());
        let clean = RowChecks::of(&rows(&[("a", 0), ("b", 1), ("c", 2)]), None, None, [true, true]);
        assert!(clean.section().is_none());
    }
}
