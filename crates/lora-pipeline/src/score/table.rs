//! The score tables, for terminal and page.

use lora_eval::calibration::Binning;
use lora_report::{Better, Cell, Column, Table};

use super::spans::ALL_EMPTY;
use super::{ScoredMethod, TaskScores};

/// The score table of one data set. Nothing in it is marked as best: one model on one set of rows says nothing about chance,
/// and a method for which no temperature could be fitted cannot be compared with one that has it, as the note then says.
pub fn table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = methods
        .first()
        .map_or_else(Vec::new, |method| columns(&method.scores));
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        table.push(method.name(), cells(method));
    }
    let lacks_temperature = |method: &&ScoredMethod| {
        let mut same = methods
            .iter()
            .filter(|other| other.average.is_some() == method.average.is_some());
        !same.any(|other| other.is_scaled)
    };
    let unscaled: Vec<&str> = methods
        .iter()
        .filter(lacks_temperature)
        .map(|method| method.method.as_str())
        .collect();
    let table = table.without_marks();
    if unscaled.is_empty() || unscaled.len() == methods.len() {
        return table;
    }
    table.with_note(format!(
        "{}: no T (none helps beyond chance on the validation rows, or it was fitted for another number of members); compare the rows \
         without T with each other.",
        unscaled.join(", ")
    ))
}

/// What a reader of the score tables must know, once for all of them; nothing for a regression.
pub fn legend(methods: &[ScoredMethod]) -> Option<String> {
    let binning = Binning::default();
    let common = format!(
        "NLL in nats. ECE is a fraction over equal-width bins of confidence: {binning}. T: temperature fitted on validation rows."
    );
    match methods.first()?.scores {
        TaskScores::Regression(_) => None,
        TaskScores::Classification(_) => Some(format!(
            "{common} F1 is that of class 1 of two, else the macro average."
        )),
        TaskScores::Labels(_) => Some(format!(
            "{common} Any number of labels may hold, and each is predicted where its probability is above 0.5. F1 of all decisions \
             (micro) and as a mean over labels (macro); exact match: all labels of a row are right. NLL and ECE: of single decisions."
        )),
        TaskScores::Words(_) => Some(format!(
            "{common} All but the F1 of entities are means over words; an entity is right if all of its words and its kind are."
        )),
        TaskScores::Spans(_) => Some(format!(
            "{common} Exact match and F1 of words by the official rules. NLL: mean over windows and over start and end. ECE: the \
             probability of the answer beside exact match. Threshold: how far \"no answer\" must lead, tuned on validation rows."
        )),
    }
}

/// The columns of a task's scores.
fn columns(scores: &TaskScores) -> Vec<Column> {
    const DIGITS: usize = 3;
    let temperature = Column::new("T", Better::None, DIGITS);
    let higher = |name: &str| Column::new(name, Better::Higher, DIGITS);
    let lower = |name: &str| Column::new(name, Better::Lower, DIGITS);
    let of_entities = |name: &str| higher(name).with_unit("entities");
    match scores {
        TaskScores::Classification(_) => vec![
            temperature,
            higher("accuracy"),
            higher("F1"),
            higher("MCC"),
            lower("NLL"),
            lower("ECE"),
            lower("Brier"),
        ],
        TaskScores::Labels(_) => vec![
            temperature,
            higher("F1 micro"),
            higher("F1 macro"),
            higher("exact match"),
            lower("NLL"),
            lower("ECE"),
            lower("Brier"),
        ],
        TaskScores::Regression(_) => vec![
            higher("Pearson"),
            higher("Spearman"),
            Column::new("MSE", Better::Lower, 4),
            Column::new("MAE", Better::Lower, 4),
        ],
        TaskScores::Words(_) => vec![
            temperature,
            higher("accuracy"),
            of_entities("precision"),
            of_entities("recall"),
            of_entities("F1"),
            lower("NLL"),
            lower("ECE"),
        ],
        TaskScores::Spans(_) => vec![
            temperature,
            Column::new("threshold", Better::None, DIGITS),
            higher("exact match"),
            higher("F1"),
            lower("NLL"),
            lower("ECE"),
        ],
    }
}

/// The cells under [`columns`].
fn cells(method: &ScoredMethod) -> Vec<Cell> {
    let maybe = |value: Option<f64>| value.map_or(Cell::Empty, Cell::value);
    let temperature = maybe(method.is_scaled.then_some(method.temperature));
    let after = |first: Vec<Cell>, values: &[f64]| -> Vec<Cell> {
        first
            .into_iter()
            .chain(values.iter().copied().map(Cell::value))
            .collect()
    };
    match &method.scores {
        TaskScores::Classification(scores) => after(
            vec![temperature],
            &[
                scores.accuracy,
                scores.f1,
                scores.matthews,
                scores.nll,
                scores.ece,
                scores.brier,
            ],
        ),
        TaskScores::Labels(scores) => after(
            vec![temperature],
            &[
                scores.f1_micro,
                scores.f1_macro,
                scores.exact_match,
                scores.nll,
                scores.ece,
                scores.brier,
            ],
        ),
        TaskScores::Regression(scores) => after(
            vec![maybe(scores.pearson), maybe(scores.spearman)],
            &[scores.mse, scores.mae],
        ),
        TaskScores::Words(scores) => {
            let entities = scores.entities.as_ref();
            let first = vec![
                temperature,
                Cell::value(scores.words.accuracy),
                maybe(entities.map(|entities| entities.precision)),
                maybe(entities.map(|entities| entities.recall)),
                maybe(entities.map(|entities| entities.f1)),
            ];
            after(first, &[scores.words.nll, scores.words.ece])
        }
        TaskScores::Spans(scores) => {
            let threshold = match scores.threshold {
                Some(threshold) if threshold <= ALL_EMPTY => Cell::text("all empty"),
                threshold => maybe(threshold),
            };
            let all = &scores.squad.all;
            after(
                vec![temperature, threshold],
                &[all.exact, all.f1, scores.nll, scores.ece],
            )
        }
    }
}
