//! `lora predict`: labels for texts, with how sure the model is.

mod prediction;

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use lora_data::{Cells, Dataset, Example, LabelNames, LabelRule, ReadOptions, Task, read_file};
use lora_eval::softmax::top_class;
use lora_eval::{Average, ModelOutputs};

use crate::adapter::{AdapterArgs, ColumnArgs, OpenedAdapter, open_adapter, read_options};
use crate::eval::EnsembleArgs;
use crate::output::note_unfinished;
use crate::output_file::check_output;
use crate::pipeline::EncodedPart;
use crate::scoring::{Outputs, run_passes};
use crate::terminal::Terminal;
pub use prediction::{Answer, Prediction};
use prediction::{FileForm, in_words, lines, to_csv};

/// Arguments of `lora predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Texts, or - for one text a line from the standard input. After --, nothing is a flag: -- "-5 stars".
    #[arg(value_name = "TEXT", conflicts_with = "data")]
    texts: Vec<String>,
    /// File of texts (.csv, .tsv, .jsonl, .json, .parquet); labels in it are not read.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    #[command(flatten)]
    ensemble: EnsembleArgs,
    /// Write the predictions to a file in place of the standard output. A CSV also holds the columns of --data.
    #[arg(long, value_name = "FILE.jsonl|FILE.csv")]
    output: Option<PathBuf>,
    /// Write over a file that --output names.
    #[arg(long, requires = "output")]
    overwrite: bool,
}

/// Labels texts.
///
/// # Errors
///
/// If an input is wrong or the output cannot be written.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> Result<()> {
    let file_form = args.output.as_deref().map(FileForm::of_path).transpose()?;
    if let Some(output) = &args.output {
        check_output(output, args.data.as_deref(), args.overwrite)?;
    }
    let opened = open_adapter(&args.adapter)?;
    note_unfinished(&args.adapter.adapter, terminal);
    let ensemble = args.ensemble.settings(&opened)?;
    let (dataset, cells) = read_texts(args, &opened)?;
    let part = EncodedPart::new(&dataset, &opened.tokenizer, args.adapter.batch_size)?;
    if part.encoded.truncated > 0 {
        terminal.note(format!(
            "{} of {} texts are longer than the model reads and were cut",
            part.encoded.truncated,
            part.encoded.len()
        ));
    }
    let outputs = run_passes(&opened.adapted, &part, ensemble, "predicting", terminal);
    let answers = answers(&outputs, &opened)?;
    let predictions: Vec<Prediction> = dataset
        .examples
        .into_iter()
        .zip(answers)
        .map(|(Example { text, text_pair, .. }, answer)| Prediction {
            text,
            text_pair,
            answer,
        })
        .collect();
    match (&args.output, file_form) {
        (Some(path), Some(form)) => {
            let content = match form {
                FileForm::Jsonl => lines(&predictions)?.join("\n") + "\n",
                FileForm::Csv => to_csv(&predictions, cells.as_ref())?,
            };
            lora_core::atomic::write_file(path, content.as_bytes())?;
            terminal.note(format!("{} predictions: {}", predictions.len(), path.display()));
            Ok(())
        }
        _ if terminal.json() => lines(&predictions)?
            .iter()
            .try_for_each(|line| terminal.raw(line)),
        _ => predictions
            .iter()
            .try_for_each(|prediction| terminal.say(in_words(prediction))),
    }
}

/// The texts, and all cells of the file they stand in.
fn read_texts(args: &PredictArgs, opened: &OpenedAdapter) -> Result<(Dataset, Option<Cells>)> {
    let saved = opened.task_file.as_ref();
    if let Some(path) = &args.data {
        let options = read_options(saved, &args.columns, LabelRule::Unlabelled(opened.task.clone()));
        let options = ReadOptions {
            keep_cells: true,
            ..options
        };
        let read = read_file(path, &options)?;
        return Ok((read.dataset, read.cells));
    }
    let texts = if args.texts == ["-"] {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        read.context("cannot read the standard input")?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..good]);
            let line = before.matches('\n').count() + 1;
            anyhow::anyhow!("standard input, line {line}: not UTF-8; convert the text to UTF-8")
        })?;
        text.lines().map(str::to_owned).collect()
    } else {
        args.texts.clone()
    };
    let is_pair = saved.is_some_and(|task| task.text_pair_column.is_some());
    let examples: Result<Vec<Example>> = (1..)
        .zip(&texts)
        .map(|(number, text)| example(number, text, is_pair))
        .collect();
    let examples = examples?;
    if examples.is_empty() {
        bail!(
            "there is no text; give texts as arguments, lines on the standard input with -, or a file with --data"
        );
    }
    let task = opened.task.clone();
    Ok((Dataset { examples, task }, None))
}

fn example(number: usize, text: &str, is_pair: bool) -> Result<Example> {
    if text.trim().is_empty() {
        bail!("text {number} is empty; remove it");
    }
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

fn answers(outputs: &Outputs, opened: &OpenedAdapter) -> Result<Vec<Answer>> {
    let ensemble = outputs.ensemble.as_ref().map(|(settings, _)| *settings);
    let saved = opened.task_file.as_ref();
    let fitted = saved
        .map(|task| task.temperatures_for(ensemble))
        .unwrap_or_default();
    let (outputs, average, temperature, is_ensemble) = match &outputs.ensemble {
        Some((settings, outputs)) => (outputs, settings.average, fitted.ensemble, true),
        None => (&outputs.mean, Average::default(), fitted.mean, false),
    };
    match &opened.task {
        Task::Regression => Ok(values(outputs, is_ensemble)),
        Task::Classification { labels } => {
            classes(outputs.clone(), labels, average, temperature, is_ensemble)
        }
    }
}

fn classes(
    outputs: ModelOutputs,
    labels: &LabelNames,
    average: Average,
    temperature: Option<f64>,
    is_ensemble: bool,
) -> Result<Vec<Answer>> {
    let predictions = outputs
        .into_predictions()?
        .with_temperature(temperature.unwrap_or(1.0))?;
    let probabilities = predictions.average(average);
    let uncertainties = predictions.uncertainty();
    let answer = |(row, uncertainty): (&[f64], lora_eval::Uncertainty)| {
        let top = top_class(row);
        Answer::Class {
            label: labels.name(top).to_owned(),
            probability: row[top],
            probabilities: labels.names().iter().cloned().zip(row.iter().copied()).collect(),
            predictive_entropy: lora_eval::uncertainty::entropy(row),
            mutual_information: is_ensemble.then_some(uncertainty.mutual_information),
        }
    };
    Ok(probabilities.rows().zip(uncertainties).map(answer).collect())
}

fn values(outputs: &ModelOutputs, is_ensemble: bool) -> Vec<Answer> {
    let means = outputs.mean_values();
    let answer = |(example, value): (usize, f64)| {
        let of_member = |member: usize| {
            f64::from(outputs.values[(member * outputs.examples + example) * outputs.outputs])
        };
        let squares = (0..outputs.members).map(|member| (of_member(member) - value).powi(2));
        let variance = squares.sum::<f64>() / (outputs.members.max(2) - 1) as f64;
        Answer::Value {
            value,
            deviation: is_ensemble.then(|| variance.sqrt()),
        }
    };
    means.into_iter().enumerate().map(answer).collect()
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
