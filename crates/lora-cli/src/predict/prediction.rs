//! What is said about a text, and how it is written: a line for people, JSONL, CSV.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;

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
        /// All probabilities, in the order of the labels.
        probabilities: Vec<f64>,
        /// Entropy of the probabilities in nats: 0 is sure, ln(classes) is clueless.
        predictive_entropy: f64,
        /// What the members of the ensemble disagree about, in nats.
        #[serde(skip_serializing_if = "Option::is_none")]
        mutual_information: Option<f64>,
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

/// Form of the output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileForm {
    /// One JSON object a line.
    Jsonl,
    /// With a header.
    Csv,
}

impl FileForm {
    /// The form that a name's ending tells.
    pub fn of_path(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl") => Ok(Self::Jsonl),
            Some("csv") => Ok(Self::Csv),
            _ => bail!("--output `{}`: end the name in .jsonl or .csv", path.display()),
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
        Answer::Value { value, deviation } => {
            let deviation = deviation
                .map(|deviation| format!(" ± {deviation:.4}"))
                .unwrap_or_default();
            format!("{value:.4}{deviation} · {text}")
        }
    }
}

/// With a header, quoted where needed.
pub(super) fn to_csv(predictions: &[Prediction]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let is_pair = predictions
        .iter()
        .any(|prediction| prediction.text_pair.is_some());
    for (index, prediction) in predictions.iter().enumerate() {
        let mut fields = vec![("text", prediction.text.clone())];
        if is_pair {
            fields.push(("text_pair", prediction.text_pair.clone().unwrap_or_default()));
        }
        match &prediction.answer {
            Answer::Class {
                label,
                probability,
                predictive_entropy,
                mutual_information,
                ..
            } => {
                fields.push(("label", label.clone()));
                fields.push(("probability", probability.to_string()));
                fields.push(("predictive_entropy", predictive_entropy.to_string()));
                fields.extend(mutual_information.map(|value| ("mutual_information", value.to_string())));
            }
            Answer::Value { value, deviation } => {
                fields.push(("value", value.to_string()));
                fields.extend(deviation.map(|value| ("deviation", value.to_string())));
            }
        }
        if index == 0 {
            writer.write_record(fields.iter().map(|(name, _)| name))?;
        }
        writer.write_record(fields.iter().map(|(_, value)| value))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
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
                probabilities: vec![0.25, 0.75],
                predictive_entropy: 0.5,
                mutual_information: Some(0.125),
            },
        }
    }

    #[test]
    fn a_table_has_a_header_and_quotes_where_needed() {
        let expected = "text,label,probability,predictive_entropy,mutual_information\n\
            \"plain, \"\"quoted\"\"\",good,0.75,0.5,0.125\n";
        assert_eq!(to_csv(&[prediction()]).unwrap(), expected);
    }

    #[test]
    fn a_line_of_json_is_flat() {
        let line = &lines(&[prediction()]).unwrap()[0];
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&value["label"], &value["probabilities"][1]),
            (&"good".into(), &0.75.into())
        );
    }
}
