//! The score tables, for terminal and page.

use lora_eval::calibration::Binning;
use lora_report::{Better, Cell, Column, Table};

use super::spans::ALL_EMPTY;
use super::{ScoredMethod, TaskScores};

/// The score table of one data set. Nothing in it is marked as best: one model on one set of rows says nothing about chance,
/// and a method for which no temperature could be fitted cannot be compared with one that has it, as the note then says.
pub fn table(title: &str, methods: &[ScoredMethod]) -> Table {
    let table = match methods.first().map(|method| &method.scores) {
        Some(TaskScores::Regression(_)) => regression_table(title, methods),
        Some(TaskScores::Words(_)) => word_table(title, methods),
        Some(TaskScores::Labels(_)) => label_table(title, methods),
        Some(TaskScores::Spans(_)) => span_table(title, methods),
        _ => classification_table(title, methods),
    };
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

fn classification_table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = vec![
        Column::new("T", Better::None, 3),
        Column::new("accuracy", Better::Higher, 3),
        Column::new("F1", Better::Higher, 3),
        Column::new("MCC", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
        Column::new("Brier", Better::Lower, 3),
    ];
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        if let TaskScores::Classification(scores) = &method.scores {
            let cells = [
                scores.accuracy,
                scores.f1,
                scores.matthews,
                scores.nll,
                scores.ece,
                scores.brier,
            ];
            let cells = std::iter::once(temperature(method)).chain(cells.map(Cell::value));
            table.push(method.name(), cells.collect());
        }
    }
    table
}

fn label_table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = vec![
        Column::new("T", Better::None, 3),
        Column::new("F1 micro", Better::Higher, 3),
        Column::new("F1 macro", Better::Higher, 3),
        Column::new("exact match", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
        Column::new("Brier", Better::Lower, 3),
    ];
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        if let TaskScores::Labels(scores) = &method.scores {
            let cells = [
                scores.f1_micro,
                scores.f1_macro,
                scores.exact_match,
                scores.nll,
                scores.ece,
                scores.brier,
            ];
            let cells = std::iter::once(temperature(method)).chain(cells.map(Cell::value));
            table.push(method.name(), cells.collect());
        }
    }
    table
}

fn regression_table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = vec![
        Column::new("Pearson", Better::Higher, 3),
        Column::new("Spearman", Better::Higher, 3),
        Column::new("MSE", Better::Lower, 4),
        Column::new("MAE", Better::Lower, 4),
    ];
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        if let TaskScores::Regression(scores) = &method.scores {
            let correlation = |value: Option<f64>| value.map_or(Cell::Empty, Cell::value);
            let cells = vec![
                correlation(scores.pearson),
                correlation(scores.spearman),
                Cell::value(scores.mse),
                Cell::value(scores.mae),
            ];
            table.push(method.name(), cells);
        }
    }
    table
}

fn temperature(method: &ScoredMethod) -> Cell {
    if method.is_scaled {
        Cell::value(method.temperature)
    } else {
        Cell::Empty
    }
}

fn word_table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = vec![
        Column::new("T", Better::None, 3),
        Column::new("accuracy", Better::Higher, 3),
        Column::new("precision", Better::Higher, 3).with_unit("entities"),
        Column::new("recall", Better::Higher, 3).with_unit("entities"),
        Column::new("F1", Better::Higher, 3).with_unit("entities"),
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
    ];
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        if let TaskScores::Words(scores) = &method.scores {
            let entities = scores.entities.as_ref();
            let of_entities = entities.map(|scores| [scores.precision, scores.recall, scores.f1]);
            let of_entities = of_entities.map_or([Cell::Empty, Cell::Empty, Cell::Empty], |values| {
                values.map(Cell::value)
            });
            let mut cells = vec![temperature(method), Cell::value(scores.words.accuracy)];
            cells.extend(of_entities);
            cells.extend([scores.words.nll, scores.words.ece].map(Cell::value));
            table.push(method.name(), cells);
        }
    }
    table
}

fn span_table(title: &str, methods: &[ScoredMethod]) -> Table {
    let columns = vec![
        Column::new("T", Better::None, 3),
        Column::new("threshold", Better::None, 3),
        Column::new("exact match", Better::Higher, 3),
        Column::new("F1", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
    ];
    let mut table = Table::new(title, "method", columns);
    for method in methods {
        if let TaskScores::Spans(scores) = &method.scores {
            let threshold = match scores.threshold {
                Some(threshold) if threshold <= ALL_EMPTY => Cell::text("all empty"),
                Some(threshold) => Cell::value(threshold),
                None => Cell::Empty,
            };
            let all = &scores.squad.all;
            let mut cells = vec![temperature(method), threshold];
            cells.extend([all.exact, all.f1, scores.nll, scores.ece].map(Cell::value));
            table.push(method.name(), cells);
        }
    }
    table
}
