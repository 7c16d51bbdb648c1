//! The names of the classes, in the order of the model's outputs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokenizers::NormalizedString;

use crate::error::{DataError, LabelNamesError};
use crate::suggest::nearest;

/// Class names in the order of the model's outputs: at least two, none empty, each once.
///
/// Serializes as a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct LabelNames(Vec<String>);

impl LabelNames {
    /// The names in the order of the model's outputs.
    ///
    /// # Errors
    /// [`LabelNamesError::TooFewLabels`], [`LabelNamesError::RepeatedLabel`], [`LabelNamesError::EmptyLabelName`].
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, LabelNamesError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.len() < 2 {
            return Err(LabelNamesError::TooFewLabels { names });
        }
        let mut seen = HashSet::new();
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                return Err(LabelNamesError::EmptyLabelName { index });
            }
            if !seen.insert(name.as_str()) {
                return Err(LabelNamesError::RepeatedLabel {
                    label: name.clone(),
                    index,
                });
            }
        }
        Ok(Self(names))
    }

    /// The names that a Hugging Face `config.json` keeps under `id2label`, or `None` where it has none, or only the
    /// placeholders `LABEL_0`, `LABEL_1`… that Transformers writes when nobody has named the classes.
    ///
    /// `origin` is the file's path, for messages.
    ///
    /// # Errors
    /// [`DataError::Json`] when the text is not a JSON object; [`LabelNamesError::Id2Label`] when the ids are not
    /// 0, 1, 2…; the errors of [`LabelNames::new`].
    pub fn from_config_json(config: &str, origin: impl AsRef<Path>) -> Result<Option<Self>, DataError> {
        #[derive(Deserialize)]
        struct Config {
            id2label: Option<BTreeMap<String, String>>,
        }
        let file = origin.as_ref();
        let config: Config = serde_json::from_str(config).map_err(|source| DataError::Json {
            file: file.to_path_buf(),
            line: source.line(),
            column: source.column(),
            source,
        })?;
        let Some(mut by_id) = config.id2label else {
            return Ok(None);
        };
        if by_id.is_empty() {
            return Ok(None);
        }
        let mut names = Vec::with_capacity(by_id.len());
        for id in 0..by_id.len() {
            let name = by_id
                .remove(&id.to_string())
                .ok_or_else(|| LabelNamesError::Id2Label {
                    file: file.to_path_buf(),
                    missing: id,
                    found: by_id.keys().cloned().collect(),
                })?;
            names.push(name);
        }
        let placeholders = names
            .iter()
            .enumerate()
            .all(|(id, name)| *name == format!("LABEL_{id}"));
        // One name is how a regression head is written: no classes.
        if placeholders || names.len() == 1 {
            Ok(None)
        } else {
            Ok(Some(Self::new(names)?))
        }
    }

    /// Names that differ in nothing but case or the Unicode form of a letter, such as `Billing` and `billing`: groups of two or more,
    /// each in the order of the outputs.
    pub fn alike(&self) -> Vec<Vec<&str>> {
        let mut groups = BTreeMap::<String, Vec<&str>>::new();
        for name in &self.0 {
            let mut folded = NormalizedString::from(name.as_str());
            let folded = folded.nfc().lowercase().get().to_owned();
            groups.entry(folded).or_default().push(name);
        }
        groups.into_values().filter(|names| names.len() > 1).collect()
    }

    /// [`DataError::UnknownLabel`] for a label in a file that is none of these.
    pub(crate) fn unknown(&self, label: &str, column: &str, file: &Path, line: usize) -> DataError {
        DataError::UnknownLabel {
            file: file.to_path_buf(),
            line,
            column: column.into(),
            label: label.into(),
            known: self.names().into(),
            nearest: self.nearest(label),
        }
    }

    /// The number of classes.
    #[expect(clippy::len_without_is_empty, reason = "there are always at least two names")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All names in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of class `index`.
    ///
    /// # Panics
    /// When `index` is not below [`LabelNames::len`].
    pub fn name(&self, index: usize) -> &str {
        &self.0[index]
    }

    /// The class of this name, or `None`.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    /// The class that a value of a data file means: its name; the name that is the same number (`1.0` for `1`, as pandas
    /// writes integers in a column with gaps), or the same truth (`True` for `true`); or, where no name is itself a number, its index (data sets often keep 0
    /// and 1 while the model calls them negative and positive).
    pub fn class_of(&self, value: &str) -> Option<usize> {
        self.by_name(value).or_else(|| self.by_index(value))
    }

    /// The class whose name a value is: letter by letter, or as the same number or truth.
    pub(crate) fn by_name(&self, value: &str) -> Option<usize> {
        self.index_of(value).or_else(|| {
            // Truths are written in small letters in JSON, with a capital by pandas.
            if ["true", "false"]
                .iter()
                .any(|truth| value.eq_ignore_ascii_case(truth))
            {
                return self.0.iter().position(|name| name.eq_ignore_ascii_case(value));
            }
            let number = finite(value)?;
            self.0.iter().position(|name| {
                // Identifiers are integers that floats cannot tell apart.
                match (value.parse::<i64>(), name.parse::<i64>()) {
                    (Ok(value), Ok(name)) => value == name,
                    _ => finite(name) == Some(number),
                }
            })
        })
    }

    /// The class whose index a value is, where no name is itself a number.
    fn by_index(&self, value: &str) -> Option<usize> {
        let index = usize::try_from(whole_number(value)?).ok()?;
        let are_words = self.0.iter().all(|name| finite(name).is_none());
        (are_words && index < self.len()).then_some(index)
    }

    /// The names that occur in data, in order: as numbers when all are, else by code point.
    pub(crate) fn from_data<'a>(
        values: impl Iterator<Item = &'a str>,
        file: &Path,
    ) -> Result<Self, DataError> {
        let mut names: Vec<&str> = values.collect::<HashSet<_>>().into_iter().collect();
        names.sort_unstable();
        let mut by_meaning = HashMap::new();
        for name in &names {
            if let Some(first) = meaning(name).and_then(|meaning| by_meaning.insert(meaning, *name)) {
                let (first, second) = (first.to_owned(), (*name).to_owned());
                let file = file.to_owned();
                return Err(LabelNamesError::Alike { file, first, second }.into());
            }
        }
        if names.iter().all(|name| name.parse::<i64>().is_ok()) {
            names.sort_by_key(|name| name.parse::<i64>().ok());
        } else if names.iter().all(|name| finite(name).is_some()) {
            names.sort_by(|a, b| {
                finite(a)
                    .unwrap_or_default()
                    .total_cmp(&finite(b).unwrap_or_default())
            });
        }
        match names[..] {
            [only] => Err(DataError::OneClass {
                file: PathBuf::from(file),
                label: only.to_owned(),
            }),
            _ => Ok(Self::new(names)?),
        }
    }

    /// The known name nearest to a wrong one, if any is near.
    pub(crate) fn nearest(&self, wrong: &str) -> Option<String> {
        nearest(wrong, self.0.iter().map(String::as_str))
    }
}

impl TryFrom<Vec<String>> for LabelNames {
    type Error = LabelNamesError;

    fn try_from(names: Vec<String>) -> Result<Self, LabelNamesError> {
        Self::new(names)
    }
}

impl From<LabelNames> for Vec<String> {
    fn from(labels: LabelNames) -> Self {
        labels.0
    }
}

/// What is the same for all names that [`LabelNames::by_name`] takes for one: a number, or a truth.
fn meaning(name: &str) -> Option<String> {
    let truth = name.to_ascii_lowercase();
    if ["true", "false"].contains(&truth.as_str()) {
        return Some(truth);
    }
    let integer = name.parse::<i64>().ok().map(|number| number.to_string());
    integer.or_else(|| Some(finite(name)?.to_string()))
}

/// The value of a finite number.
pub(crate) fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The value of a whole number, written as an integer or as a decimal: `3`, `3.0`, `3e0`.
pub(crate) fn whole_number(text: &str) -> Option<i64> {
    /// Up to here every whole number of 64-bit floats is itself.
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    text.parse().ok().or_else(|| {
        let value = finite(text).filter(|value| value.fract() == 0.0 && value.abs() <= LARGEST)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
        Some(value as i64)
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn names(labels: &LabelNames) -> Vec<&str> {
        labels.names().iter().map(String::as_str).collect()
    }

    #[test]
    fn integers_sort_by_value_and_words_by_code_point() {
        let file = Path::new("x.csv");
        let numbers = LabelNames::from_data(["10", "9", "-1", "9"].into_iter(), file).unwrap();
        assert_eq!(names(&numbers), ["-1", "9", "10"]);
        let words = LabelNames::from_data(["b", "10", "9"].into_iter(), file).unwrap();
        assert_eq!(names(&words), ["10", "9", "b"]);
    }

    #[test]
    fn labels_that_mean_the_same_are_not_two_classes() {
        let file = Path::new("x.csv");
        for [one, other] in [["True", "true"], ["1", "1.0"], ["01", "1"]] {
            let error = LabelNames::from_data([one, "word", other].into_iter(), file).unwrap_err();
            let sentence = error.to_string();
            assert!(
                sentence.contains(&format!("`{one}`")) && sentence.contains(&format!("`{other}`")),
                "{sentence}"
            );
        }
        // Integers that no 64-bit float tells apart, and words that are none.
        let apart = ["9007199254740993", "9007199254740992", "truth", "Truth"];
        assert!(LabelNames::from_data(apart.into_iter(), file).is_ok());
    }

    #[test]
    fn an_integer_in_data_means_the_index_unless_names_are_integers() {
        let words = LabelNames::new(["negative", "positive"]).unwrap();
        assert_eq!(words.class_of("1"), Some(1));
        assert_eq!(words.class_of("positive"), Some(1));
        assert_eq!(words.class_of("2"), None);
        let numbers = LabelNames::new(["1", "2"]).unwrap();
        assert_eq!(numbers.class_of("1"), Some(0));
        assert_eq!(numbers.class_of("0"), None);
        // 2⁵³ and the next integer are one 64-bit float.
        let identifiers = LabelNames::new(["9007199254740992", "7"]).unwrap();
        assert_eq!(identifiers.class_of("9007199254740993"), None);
        assert_eq!(identifiers.class_of("9007199254740992.0"), Some(0));
        assert_eq!(identifiers.class_of("+7"), Some(1));
    }

    #[test]
    fn names_that_differ_in_case_or_unicode_form_alone_are_alike() {
        let labels = [
            "Billing",
            "caf\u{e9}",
            "true",
            "billing",
            "other",
            "Cafe\u{301}",
            "BILLING",
            "True",
        ];
        let labels = LabelNames::new(labels).unwrap();
        assert_eq!(
            labels.alike(),
            [
                vec!["Billing", "billing", "BILLING"],
                vec!["caf\u{e9}", "Cafe\u{301}"],
                vec!["true", "True"],
            ]
        );
        assert!(LabelNames::new(["cafe", "caf\u{e9}"]).unwrap().alike().is_empty());
    }

    #[test]
    fn names_that_are_empty_repeated_or_alone_are_refused() {
        assert!(matches!(
            LabelNames::new(["a"]),
            Err(LabelNamesError::TooFewLabels { .. })
        ));
        assert!(matches!(
            LabelNames::new(["a", "b", "a"]),
            Err(LabelNamesError::RepeatedLabel { index: 2, .. })
        ));
        assert!(matches!(
            LabelNames::new(["a", " "]),
            Err(LabelNamesError::EmptyLabelName { index: 1 })
        ));
    }

    #[test]
    fn config_json_gives_names_in_the_order_of_their_ids() {
        let eleven: Vec<String> = (0..11).map(|id| format!("\"{id}\": \"class {id}\"")).collect();
        let config = format!("{{\"id2label\": {{{}}}}}", eleven.join(", "));
        let labels = LabelNames::from_config_json(&config, "config.json")
            .unwrap()
            .unwrap();
        assert_eq!(labels.name(10), "class 10");
        assert_eq!(labels.index_of("class 2"), Some(2));
    }

    #[test]
    fn config_json_without_names_or_with_placeholders_gives_none() {
        for config in [
            "{}",
            r#"{"id2label": null}"#,
            r#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}"#,
        ] {
            assert_eq!(LabelNames::from_config_json(config, "config.json").unwrap(), None);
        }
    }

    #[test]
    fn config_json_with_a_gap_in_its_ids_is_refused_by_the_missing_id() {
        let error = LabelNames::from_config_json(r#"{"id2label": {"0": "a", "2": "c"}}"#, "m/config.json");
        assert!(matches!(
            error,
            Err(DataError::LabelNames(LabelNamesError::Id2Label {
                missing: 1,
                ..
            }))
        ));
    }

    #[test]
    fn serializes_as_a_list_and_refuses_a_bad_list() {
        let labels = LabelNames::new(["x", "y"]).unwrap();
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"["x","y"]"#);
        assert_eq!(
            serde_json::from_str::<LabelNames>(r#"["x","y"]"#).unwrap(),
            labels
        );
        assert!(serde_json::from_str::<LabelNames>(r#"["x","x"]"#).is_err());
    }
}
