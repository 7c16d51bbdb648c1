//! What is said about a text, and how it is written: a line for people, JSONL, CSV.

use std::path::Path;

use lora_data::Cells;
use serde::{Serialize, Serializer};

use crate::bail;
use crate::error::{Context, Result};

/// What is said about one text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_pair: Option<String>,
    /// The answer.
    #[serde(flatten)]
    pub answer: Answer,
}

/// The answer of either task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
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

/// One JSON object each.
pub(super) fn lines(predictions: &[Prediction]) -> Result<Vec<String>> {
    let line = |prediction| serde_json::to_string(prediction).context("a prediction is no JSON");
    predictions.iter().map(line).collect()
}

/// One line for people.
pub(super) fn in_words(prediction: &Prediction) -> String {
    let text = match &prediction.text_pair {
        Some(pair) => format!("{}\t{pair}", prediction.text),
        None => prediction.text.clone(),
    };
    match &prediction.answer {
        Answer::Class {
            label,
            probability,
            predictive_entropy,
            mutual_information,
            ..
        } => {
            let disagreement =
                mutual_information.map(|information| format!(" · mutual information {information:.3}"));
            let disagreement = disagreement.unwrap_or_default();
            format!("{label}  {probability:.3} · entropy {predictive_entropy:.3}{disagreement} · {text}")
        }
        Answer::Labels {
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
        Answer::Value { value, deviation } => {
            let deviation = deviation
                .map(|deviation| format!(" ± {deviation:.4}"))
                .unwrap_or_default();
            format!("{value:.4}{deviation} · {text}")
        }
    }
}

/// With a header, quoted where needed. The columns of the file that was read come first, as they were; without a file the
/// texts. A prediction whose name is taken by one of them is called `predicted_…`.
pub(super) fn to_csv(predictions: &[Prediction], cells: Option<&Cells>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (index, prediction) in predictions.iter().enumerate() {
        let mut fields: Vec<(String, String)> = match cells {
            Some(cells) => cells
                .names
                .iter()
                .cloned()
                .zip(cells.rows[index].iter().cloned())
                .collect(),
            None => texts(prediction),
        };
        for (name, value) in answer_fields(&prediction.answer) {
            let is_taken = fields.iter().any(|(taken, _)| *taken == name);
            fields.push((
                if is_taken {
                    format!("predicted_{name}")
                } else {
                    name
                },
                value,
            ));
        }
        if index == 0 {
            writer.write_record(fields.iter().map(|(name, _)| name))?;
        }
        writer.write_record(fields.iter().map(|(_, value)| value))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
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

fn answer_fields(answer: &Answer) -> Vec<(String, String)> {
    // Six digits: what lies behind them is rounding of single precision.
    let number = |name: &str, value: f64| (name.to_owned(), format!("{value:.6}"));
    match answer {
        Answer::Class {
            label,
            probability,
            probabilities,
            predictive_entropy,
            mutual_information,
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
            fields
        }
        Answer::Labels {
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
        Answer::Value { value, deviation } => {
            let deviation = deviation.map(|value| number("deviation", value));
            std::iter::once(number("value", *value))
                .chain(deviation)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn prediction() -> Prediction {
        Prediction {
            text: "plain, \"quoted\"".to_owned(),
            text_pair: None,
            answer: Answer::Class {
                label: "good".to_owned(),
                probability: 0.75,
                probabilities: vec![("bad".to_owned(), 0.25), ("good".to_owned(), 0.75)],
                predictive_entropy: 0.5,
                mutual_information: Some(0.125),
            },
        }
    }

    #[test]
    fn a_table_has_a_header_and_quotes_where_needed() {
        let expected = "text,label,probability,p_bad,p_good,predictive_entropy,mutual_information\n\
            \"plain, \"\"quoted\"\"\",good,0.750000,0.250000,0.750000,0.500000,0.125000\n";
        assert_eq!(to_csv(&[prediction()], None).unwrap(), expected);
    }

    #[test]
    fn the_columns_that_were_read_stay_and_keep_their_names() {
        let cells = Cells {
            names: ["id", "review", "label"].map(str::to_owned).into(),
            rows: vec![["7", "a film", "bad"].map(str::to_owned).into()],
        };
        let table = to_csv(&[prediction()], Some(&cells)).unwrap();
        assert!(
            table.starts_with("id,review,label,predicted_label,probability,"),
            "{table}"
        );
        assert!(table.contains("\n7,a film,bad,good,0.750000,"), "{table}");
    }

    #[test]
    fn a_line_of_json_is_flat() {
        let line = &lines(&[prediction()]).unwrap()[0];
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&value["label"], &value["probabilities"]["good"]),
            (&"good".into(), &0.75.into())
        );
    }
}
