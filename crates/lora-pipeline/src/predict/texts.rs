//! Classes and values for texts.

use lora_data::tasks::Rows;
use lora_data::{Cells, Dataset, Example, LabelNames, LabelRule, ReadOptions, Task, read_file};
use lora_eval::conformal::PredictionSets;
use lora_eval::multi_label::THRESHOLD;
use lora_eval::softmax::top_class;
use lora_eval::{ClassProbabilities, ModelOutputs, Uncertainty};

use super::prediction::{FileForm, PredictedLabel, Prediction, in_words, to_csv};
use super::{Inference, PredictRequest, PredictRows, Predicted, TaskRows, split_off_empty};
use crate::bail;
use crate::counted::counted;
use crate::error::Result;
use crate::inference::adaptive::run_adaptively;
use crate::saved::adapter::read_options;

pub(super) fn answer(
    inference: &Inference<'_>,
    request: &PredictRequest,
    form: Option<FileForm>,
    task: &Task,
) -> Result<Predicted> {
    let (dataset, cells, without_text) = read_texts(inference, request, task)?;
    let mut predictions = dataset.predict(inference)?;
    if let Some(first) = predictions.first() {
        let nothing = first.without_text()?;
        for &row in &without_text {
            predictions.insert(row, nothing.clone());
        }
    }
    let (file, renamed) = match form {
        Some(FileForm::Csv) => {
            let (table, renamed) = to_csv(&predictions, cells.as_ref())?;
            (Some(table), renamed)
        }
        _ => (None, Vec::new()),
    };
    Ok(Predicted {
        file,
        notes: renamed
            .into_iter()
            .chain(super::without_text(&without_text, predictions.len()))
            .chain(empty_sets(&predictions))
            .collect(),
        ..Predicted::of(&predictions, in_words)?
    })
}

/// What an empty prediction set means, where there is one.
fn empty_sets(predictions: &[Prediction]) -> Option<String> {
    let is_empty = |prediction: &&Prediction| matches!(&prediction.label, PredictedLabel::Class { prediction_set: Some(set), .. } if set.is_empty());
    let empty = predictions.iter().filter(is_empty).count();
    (empty > 0).then(|| {
        format!(
            "an empty set {{}} ({}) says that no class is as probable as nearly all true classes of the validation rows were; a higher \
             --coverage gives larger sets",
            counted(empty, "text")
        )
    })
}

impl TaskRows for Dataset {
    const NOUN: &'static str = "texts with a class or a number";

    fn are_of(task: &Task) -> bool {
        task.is_of_texts()
    }
}

impl PredictRows for Dataset {
    type Prediction = Prediction;

    fn predict(&self, inference: &Inference<'_>) -> Result<Vec<Prediction>> {
        let opened = inference.opened;
        let split = inference.encode(&Rows::Texts(self.clone()))?;
        let found = match (inference.ensemble, inference.adaptive, &self.task) {
            (Some(settings), Some(confidence), Task::Classification { labels }) => {
                let temperature = inference.rules.temperature.ensemble;
                let (adapted, progress) = (&opened.adapted, inference.progress);
                let predictions =
                    run_adaptively(adapted, &split, settings, temperature, confidence, progress)?;
                classes(
                    &predictions.probabilities(),
                    Some(&predictions.uncertainty()),
                    None,
                    labels,
                )
            }
            (_, _, task) => labels_of(inference, inference.outputs(&split, "predicting")?, task)?,
        };
        let rows = self.examples.iter().zip(found);
        let prediction = |(example, label): (&Example, PredictedLabel)| Prediction {
            text: example.text.clone(),
            text_pair: example.text_pair.clone(),
            label,
        };
        Ok(rows.map(prediction).collect())
    }
}

/// The texts, all cells of the file they stand in, and the rows that have none.
fn read_texts(
    inference: &Inference<'_>,
    request: &PredictRequest,
    task: &Task,
) -> Result<(Dataset, Option<Cells>, Vec<usize>)> {
    let saved = inference.opened.task_file.as_ref();
    if let Some(path) = &request.data {
        let options = read_options(saved, &request.columns, LabelRule::Unlabelled(task.clone()));
        let options = ReadOptions {
            keep_cells: true,
            skip_empty: !request.strict,
            ..options
        };
        let read = read_file(path, &options)?;
        if read.columns.separator.is_some() {
            inference
                .progress
                .note(&format!("{}: {}", path.display(), read.columns));
        }
        if read.dataset.is_empty() {
            bail!(
                "`{}`: every text in `{}` is empty; fill it in, or name another column",
                path.display(),
                read.columns.text.name
            );
        }
        return Ok((read.dataset, read.cells, read.without_text));
    }
    if request.texts.is_empty() {
        bail!(
            "there is no text; give texts as arguments, lines on the standard input with -, or a file with --data"
        );
    }
    let (texts, without_text) = split_off_empty(&request.texts, "text", request.strict)?;
    let is_pair = inference.opened.reads_pairs();
    let examples = texts
        .into_iter()
        .map(|(place, text)| example(place + 1, text, is_pair));
    let examples = examples.collect::<Result<_>>()?;
    let task = task.clone();
    Ok((Dataset { examples, task }, None, without_text))
}

fn example(number: usize, text: &str, is_pair: bool) -> Result<Example> {
    let (text, text_pair) = match text.split_once('\t') {
        Some((first, second)) if is_pair => (first, Some(second.to_owned())),
        None if is_pair => {
            bail!("text {number}: this adapter reads pairs; put a tab between the first text and the second")
        }
        _ => (text, None),
    };
    Ok(Example {
        text: text.to_owned(),
        text_pair,
        target: None,
    })
}

/// What a model's outputs for texts mean.
pub(super) fn labels_of(
    inference: &Inference<'_>,
    outputs: ModelOutputs,
    task: &Task,
) -> Result<Vec<PredictedLabel>> {
    let is_ensemble = inference.ensemble.is_some();
    let (average, temperature) = (inference.average(), inference.temperature());
    match task {
        Task::MultiLabel { labels } => {
            let predictions = outputs.into_label_predictions()?.with_temperature(temperature)?;
            Ok(label_sets(&predictions.average(average), labels))
        }
        Task::Classification { labels } => {
            // A calibrator was fitted on probabilities without temperature.
            let temperature = inference.calibrator.as_ref().map_or(temperature, |_| 1.0);
            let predictions = outputs.into_predictions()?.with_temperature(temperature)?;
            let uncertainties = is_ensemble.then(|| predictions.uncertainty());
            let mut probabilities = predictions.average(average);
            if let Some(calibrator) = &inference.calibrator {
                probabilities = calibrator.apply(&probabilities)?;
            }
            let sets = inference.sets.as_ref().map(|sets| sets.sets(&probabilities));
            Ok(classes(
                &probabilities,
                uncertainties.as_deref(),
                sets.transpose()?.as_ref(),
                labels,
            ))
        }
        _ => Ok(values(&outputs, is_ensemble)),
    }
}

/// From the probabilities that each label of each text holds.
fn label_sets(pairs: &ClassProbabilities, labels: &LabelNames) -> Vec<PredictedLabel> {
    let held: Vec<f64> = pairs.rows().map(|row| row[1]).collect();
    let label = |of_text: &[f64]| {
        let probabilities: Vec<(String, f64)> = labels
            .names()
            .iter()
            .cloned()
            .zip(of_text.iter().copied())
            .collect();
        let above = probabilities
            .iter()
            .filter(|(_, probability)| *probability > THRESHOLD);
        PredictedLabel::Labels {
            labels: above.map(|(label, _)| label.clone()).collect(),
            probabilities,
        }
    };
    held.chunks_exact(labels.len()).map(label).collect()
}

/// `uncertainties` are those of an ensemble.
fn classes(
    probabilities: &ClassProbabilities,
    uncertainties: Option<&[Uncertainty]>,
    sets: Option<&PredictionSets>,
    labels: &LabelNames,
) -> Vec<PredictedLabel> {
    let label = |(example, row): (usize, &[f64])| {
        let top = top_class(row);
        let uncertainty = uncertainties.map(|all| all[example]);
        PredictedLabel::Class {
            label: labels.name(top).to_owned(),
            probability: row[top],
            probabilities: labels.names().iter().cloned().zip(row.iter().copied()).collect(),
            predictive_entropy: lora_eval::uncertainty::entropy(row),
            mutual_information: uncertainty.map(|uncertainty| uncertainty.mutual_information),
            prediction_set: sets.map(|sets| {
                let set = sets.of_row(example).iter();
                set.map(|class| labels.name(*class).to_owned()).collect()
            }),
        }
    };
    probabilities.rows().enumerate().map(label).collect()
}

fn values(outputs: &ModelOutputs, is_ensemble: bool) -> Vec<PredictedLabel> {
    let means = outputs.mean_values();
    let label = |(example, value): (usize, f64)| {
        let of_member = |member: usize| {
            f64::from(outputs.values[(member * outputs.examples + example) * outputs.outputs])
        };
        let squares = (0..outputs.members).map(|member| (of_member(member) - value).powi(2));
        let variance = squares.sum::<f64>() / (outputs.members.max(2) - 1) as f64;
        PredictedLabel::Value {
            value,
            deviation: is_ensemble.then(|| variance.sqrt()),
        }
    };
    means.into_iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn pairs_are_split_at_the_tab() {
        let example_of =
            |text, is_pair| example(1, text, is_pair).map(|example| (example.text, example.text_pair));
        assert_eq!(example_of("a\tb", true).unwrap(), ("a".into(), Some("b".into())));
        assert_eq!(example_of("a\tb", false).unwrap(), ("a\tb".into(), None));
        assert!(example_of("a", true).unwrap_err().to_string().contains("tab"));
    }
}
