//! The demo's tables.

use lora_eval::MeanStd;
use lora_pipeline::counted::counted;
use lora_pipeline::error::{Context, Result};
use lora_report::{Better, Cell, Column, Table};

use super::arms::{ARMS, AS_TRAINED, Arm, Arms, ENSEMBLE, PLAIN, PROTOCOLS, Protocol};
use crate::report::choice::Method;
use crate::report::measure::{Measure, cell_of};
use crate::report::results::Results;
use crate::report::tables::ECE_RULE;
use crate::sweep::record::TrialResult;

/// Without marks of the best where there is one seed.
fn marked(arms: &Arms<'_>, table: Table) -> Table {
    if arms.sizes.seeds < 2 {
        table.without_marks()
    } else {
        table
    }
}

/// Mean confidence beside the share of right answers.
pub fn trust(arms: &Arms<'_>) -> Result<Table> {
    let columns = vec![
        Column::new("mean confidence", Better::None, 3),
        Column::new("right", Better::None, 3),
        Column::new("ECE", Better::Lower, 3),
    ];
    let mut table = Table::new("Is it right as often as it says?", "method", columns).with_note(format!(
        "Test rows, all epochs. Confidence: the probability of the answer. ECE: how far confidence and share of right answers are \
         apart, {ECE_RULE}, a fraction."
    ));
    for arm in [PLAIN, ENSEMBLE] {
        let configuration = arms.configuration(arm, AS_TRAINED)?;
        let rows = || {
            configuration
                .results()
                .flat_map(|result| result.test_rows.plain.confidences())
        };
        let count = rows().count() as f64;
        let confidence = rows().map(|(confidence, _)| confidence).sum::<f64>() / count;
        let right = rows().filter(|(_, is_right)| *is_right).count() as f64 / count;
        let cells = vec![
            Cell::value(confidence),
            Cell::value(right),
            Measure::Ece.cell(configuration, false)?,
        ];
        table.push(arm.name(), cells);
    }
    Ok(table.without_marks())
}

/// Scores after all epochs.
pub fn scores(arms: &Arms<'_>) -> Result<Table> {
    let columns = [
        ("accuracy", Better::Higher, Measure::Accuracy),
        ("NLL", Better::Lower, Measure::Loss),
        ("ECE", Better::Lower, Measure::Ece),
        ("Brier", Better::Lower, Measure::Brier),
        ("NLL, test − train", Better::Lower, Measure::LossGap),
    ];
    let mut headings: Vec<Column> = columns
        .iter()
        .map(|(name, better, _)| Column::new(*name, *better, 3))
        .collect();
    let mut difference_note = "";
    if !arms.is_fast {
        headings.push(Column::new("NLL − LoRA's", Better::None, 3).with_unit("95 %"));
        difference_note = " NLL − LoRA's: with its 95 % interval over rows and seeds.";
    }
    let sizes = &arms.sizes;
    let mut table = Table::new("Test rows, after all epochs", "method", headings).with_note(format!(
        "{} rows to train on, {} to test on, {}; NLL in nats; ECE with {ECE_RULE}.{difference_note}",
        sizes.train,
        sizes.test,
        match sizes.seeds {
            1 => "one seed".to_owned(),
            many => format!("mean ± std over {}", counted(many as usize, "seed")),
        },
    ));
    for arm in ARMS {
        let configuration = arms.configuration(arm, AS_TRAINED)?;
        let cells = columns
            .iter()
            .map(|(_, _, measure)| measure.cell(configuration, false));
        let mut cells = cells.collect::<Result<Vec<Cell>>>()?;
        if !arms.is_fast {
            cells.push(difference(arms, arm, AS_TRAINED));
        }
        table.push(arm.name(), cells);
    }
    Ok(marked(arms, table))
}

fn difference(arms: &Arms<'_>, arm: Arm, protocol: Protocol) -> Cell {
    arms.comparison(arm, protocol).map_or(Cell::Empty, |comparison| {
        let interval = &comparison.interval;
        Cell::interval(interval.difference, [interval.lower, interval.upper])
    })
}

/// What early stopping and a temperature make of the same trainings; nothing of a quick look.
pub fn careful(arms: &Arms<'_>) -> Result<Vec<Table>> {
    if arms.is_fast {
        return Ok(Vec::new());
    }
    let columns = |better: Better| {
        PROTOCOLS
            .map(|protocol| Column::new(protocol.name(), better, 3))
            .to_vec()
    };
    let mut tables = Vec::new();
    for (title, measure) in [("NLL", Measure::Loss), ("ECE", Measure::Ece)] {
        let mut table = Table::new(
            format!("{title} of test rows, four ways"),
            "method",
            columns(Better::Lower),
        );
        for arm in ARMS {
            let cell = |protocol| {
                let configuration = arms.configuration(arm, protocol)?;
                measure.cell(configuration, protocol.is_scaled)
            };
            table.push(
                arm.name(),
                PROTOCOLS.into_iter().map(cell).collect::<Result<_>>()?,
            );
        }
        tables.push(marked(arms, table));
    }
    let mut table = Table::new("NLL − LoRA's, each under the same rule", "method", columns(Better::None)).with_note(
        "With 95 % intervals over rows and seeds. Early stopping: the epoch with the smallest validation loss of the same training. T: \
         one number that divides all logits, fitted on validation rows; where these do not show beyond chance that it helps, there is \
         none, and a column with T is the one without.",
    );
    for arm in ARMS.into_iter().filter(|arm| *arm != PLAIN) {
        table.push(
            arm.name(),
            PROTOCOLS.map(|protocol| difference(arms, arm, protocol)).to_vec(),
        );
    }
    tables.push(table);
    Ok(tables)
}

/// Settings on validation rows.
pub fn choices(results: &Results) -> Result<Table> {
    let columns = vec![
        Column::new("p", Better::None, 1),
        Column::new("NLL", Better::Lower, 3).with_unit("nats"),
        Column::new("accuracy", Better::Higher, 3),
        Column::new("NLL, train", Better::None, 3),
    ];
    let mut table = Table::new("Settings, on validation rows", "method", columns).without_marks();
    for task in results.tasks() {
        for configuration in &task.configurations {
            let number = |key: &str| {
                let value = configuration
                    .settings
                    .get(key)
                    .and_then(serde_json::Value::as_f64);
                value.map_or(Cell::Empty, Cell::value)
            };
            let mean = |of: &dyn Fn(&TrialResult) -> Option<f64>| -> Result<Cell> {
                let values: Option<Vec<f64>> = configuration.results().map(of).collect();
                let values = values.context("a trial has no classes")?;
                Ok(cell_of(MeanStd::of(&values)?))
            };
            let cells = vec![
                number("mask_probability"),
                mean(&|result| Some(result.validation.plain.loss()))?,
                mean(&|result| Measure::accuracy_of(&result.validation.plain))?,
                mean(&|result| Some(result.train.loss()))?,
            ];
            table.push(Method::of(configuration).name(), cells);
        }
    }
    Ok(table)
}
