//! What is predicted of a text, and how it is written: a line for people, JSONL, CSV.

use std::collections::HashSet;
use std::path::Path;

use lora_data::Cells;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::bail;
use crate::error::{Context, Result};

/// What is predicted of one text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_pair: Option<String>,
    /// What is predicted of it.
    #[serde(flatten)]
    pub label: PredictedLabel,
}

/// A class, labels or a number.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PredictedLabel {
    /// A class.
    Class {
        /// Its name.
        label: String,
        /// Its probability.
        probability: f64,
        /// The probability of each class, by name, in the order of the labels.
        #[serde(serialize_with = "by_name")]
        probabilities: Vec<(String, f64)>,
        /// Entropy of the probabilities in nats: 0 is sure, ln(classes) is clueless.
        predictive_entropy: f64,
        /// What the members of the ensemble disagree about, in nats.
        #[serde(skip_serializing_if = "Option::is_none")]
        mutual_information: Option<f64>,
        /// The classes that hold the true one with the coverage that was asked for; may be none.
        #[serde(skip_serializing_if = "Option::is_none")]
        prediction_set: Option<Vec<String>>,
    },
    /// Labels any number of which may hold.
    Labels {
        /// Those with a probability above 0.5.
        labels: Vec<String>,
        /// The probability of each label, by name, in the order of the labels.
        #[serde(serialize_with = "by_name")]
        probabilities: Vec<(String, f64)>,
    },
    /// A number.
    Value {
        /// The number; the mean over members for an ensemble.
        value: f64,
        /// Standard deviation over the members.
        #[serde(skip_serializing_if = "Option::is_none")]
        deviation: Option<f64>,
    },
    /// For a row without a text: null under the keys of the others.
    Nothing(Map<String, Value>),
}

fn by_name<S: Serializer>(probabilities: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        probabilities
            .iter()
            .map(|(class, probability)| (class, probability)),
    )
}

/// Form of the output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileForm {
    /// One JSON object a line.
    Jsonl,
    /// With a header.
    Csv,
    /// One object for the whole file.
    Json,
}

impl Prediction {
    /// What stands for a row without a text: as this prediction, with null for everything that is predicted of it.
    ///
    /// # Errors
    ///
    /// Never: an answer is an object.
    pub(super) fn without_text(&self) -> Result<Self> {
        let answer = serde_json::to_value(&self.label).context("a prediction is no JSON")?;
        let keys = answer.as_object().into_iter().flat_map(serde_json::Map::keys);
        Ok(Self {
            text: String::new(),
            text_pair: self.text_pair.as_ref().map(|_| String::new()),
            label: PredictedLabel::Nothing(keys.map(|key| (key.clone(), Value::Null)).collect()),
        })
    }
}

impl FileForm {
    /// The form that a name's ending tells.
    ///
    /// # Errors
    ///
    /// If it tells none.
    pub fn of_path(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            Some("json") => Ok(Self::Json),
            _ => bail!(
                "--output `{}`: end the name in .jsonl or .csv, or in .json for answers in a context",
                path.display()
            ),
        }
    }
}

/// One line for people.
pub(super) fn in_words(prediction: &Prediction) -> String {
    let text = match &prediction.text_pair {
        Some(pair) => format!("{}\t{pair}", prediction.text),
        None => prediction.text.clone(),
    };
    match &prediction.label {
        PredictedLabel::Class {
            label,
            probability,
            probabilities,
            predictive_entropy,
            mutual_information,
            prediction_set,
        } => {
            // Of equal probabilities.
            let most = (probabilities.len() as f64).ln();
            let disagreement =
                mutual_information.map(|information| format!(" · mutual information {information:.3}"));
            let disagreement = disagreement.unwrap_or_default();
            let set = prediction_set
                .as_ref()
                .map(|set| format!(" · {{{}}}", set.join(", ")));
            let set = set.unwrap_or_default();
            format!(
                "{label}  {probability:.3} · entropy {predictive_entropy:.3} of {most:.3} nats{disagreement}{set} · {text}"
            )
        }
        PredictedLabel::Labels {
            labels,
            probabilities,
        } => {
            let all: Vec<String> = probabilities
                .iter()
                .map(|(label, probability)| format!("{label} {probability:.3}"))
                .collect();
            let held = if labels.is_empty() {
                "no label".to_owned()
            } else {
                labels.join(", ")
            };
            format!("{held} · {} · {text}", all.join(", "))
        }
        PredictedLabel::Value { value, deviation } => {
            let deviation = deviation
                .map(|deviation| format!(" ± {deviation:.4}"))
                .unwrap_or_default();
            format!("{value:.4}{deviation} · {text}")
        }
        PredictedLabel::Nothing(_) => NO_TEXT.to_owned(),
    }
}

/// What people read for a row without a text.
pub(super) const NO_TEXT: &str = "–  (no text)";

/// With a header, quoted where needed, with the separator and the byte-order mark of the file that was read. Its columns come first, as
/// they were; without a file the texts. A prediction whose name is taken by one of them is called `predicted_…`, or `predicted_…_2` where
/// that is taken too; with the sentences that say so.
pub(super) fn to_csv(predictions: &[Prediction], cells: Option<&Cells>) -> Result<(String, Vec<String>)> {
    let mut columns = UniqueNames::default();
    let of_file: Vec<String> = match (cells, predictions.first()) {
        (Some(cells), _) => cells.names.clone(),
        (None, Some(first)) => texts(first).into_iter().map(|(name, _)| name).collect(),
        (None, None) => Vec::new(),
    };
    for name in of_file {
        columns.add(&name, &name);
    }
    let answered = predictions
        .iter()
        .find(|prediction| !matches!(prediction.label, PredictedLabel::Nothing(_)));
    let names: Vec<String> = answered.map_or_else(Vec::new, |prediction| {
        label_fields(&prediction.label)
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    });
    for name in &names {
        columns.add(name, &format!("predicted_{name}"));
    }
    let mut writer = csv::WriterBuilder::new();
    if let Some(separator) = cells.and_then(|cells| cells.separator) {
        // All texts in quotes: a comma outside them in the header would make it the separator.
        writer
            .delimiter(separator.0)
            .quote_style(csv::QuoteStyle::NonNumeric);
    }
    let mark = cells.filter(|cells| cells.has_mark).map_or("", |_| "\u{FEFF}");
    let mut writer = writer.from_writer(mark.as_bytes().to_vec());
    writer.write_record(&columns.names)?;
    for (index, prediction) in predictions.iter().enumerate() {
        let mut values = match cells {
            Some(cells) => cells.rows[index].clone(),
            None => texts(prediction).into_iter().map(|(_, value)| value).collect(),
        };
        match &prediction.label {
            PredictedLabel::Nothing(_) => values.extend(names.iter().map(|_| String::new())),
            answer => values.extend(label_fields(answer).into_iter().map(|(_, value)| value)),
        }
        writer.write_record(values)?;
    }
    let table = String::from_utf8(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
        .context("the table is no text")?;
    Ok((table, columns.renamed))
}

/// Names of columns, each once.
#[derive(Default)]
struct UniqueNames {
    names: Vec<String>,
    taken: HashSet<String>,
    renamed: Vec<String>,
}

impl UniqueNames {
    /// Adds `name`, or where that is taken `other`, or that with a number.
    fn add(&mut self, name: &str, other: &str) {
        let numbered = (2..).map(|number| format!("{other}_{number}"));
        let mut candidates = [name.to_owned(), other.to_owned()].into_iter().chain(numbered);
        let unique = candidates
            .find(|candidate| !self.taken.contains(candidate))
            .unwrap_or_default();
        if unique != name {
            self.renamed.push(format!(
                "there is a column `{name}` already; the further one is called `{unique}`"
            ));
        }
        self.taken.insert(unique.clone());
        self.names.push(unique);
    }
}

fn texts(prediction: &Prediction) -> Vec<(String, String)> {
    let mut fields = vec![("text".to_owned(), prediction.text.clone())];
    fields.extend(
        prediction
            .text_pair
            .clone()
            .map(|pair| ("text_pair".to_owned(), pair)),
    );
    fields
}

fn label_fields(label: &PredictedLabel) -> Vec<(String, String)> {
    // Six digits: what lies behind them is rounding of single precision.
    let number = |name: &str, value: f64| (name.to_owned(), format!("{value:.6}"));
    match label {
        PredictedLabel::Class {
            label,
            probability,
            probabilities,
            predictive_entropy,
            mutual_information,
            prediction_set,
        } => {
            let mut fields = vec![
                ("label".to_owned(), label.clone()),
                number("probability", *probability),
            ];
            fields.extend(
                probabilities
                    .iter()
                    .map(|(class, probability)| number(&format!("p_{class}"), *probability)),
            );
            fields.push(number("predictive_entropy", *predictive_entropy));
            fields.extend(mutual_information.map(|value| number("mutual_information", value)));
            // A list as the reader takes it back.
            fields.extend(prediction_set.as_ref().map(|set| {
                let list = serde_json::json!(set).to_string();
                ("prediction_set".to_owned(), list)
            }));
            fields
        }
        PredictedLabel::Labels {
            labels,
            probabilities,
        } => {
            // A list as the reader takes it back.
            let mut fields = vec![("labels".to_owned(), serde_json::json!(labels).to_string())];
            fields.extend(
                probabilities
                    .iter()
                    .map(|(label, probability)| number(&format!("p_{label}"), *probability)),
            );
            fields
        }
        PredictedLabel::Value { value, deviation } => {
            // Numbers may be of any size: all digits of single precision.
            let of_any_size = |name: &str, value: f64| (name.to_owned(), (value as f32).to_string());
            let deviation = deviation.map(|value| of_any_size("deviation", value));
            std::iter::once(of_any_size("value", *value))
                .chain(deviation)
                .collect()
        }
        PredictedLabel::Nothing(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
