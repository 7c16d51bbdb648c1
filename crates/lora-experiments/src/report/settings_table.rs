//! Every setting that was tried on a task, with the scores that chose and the scores that count: what a choice would have cost.

use lora_pipeline::error::Result;
use lora_report::{Better, Cell, Column, Table};

use super::against::compare;
use super::choice::{Method, SelectedConfiguration};
use super::measure::Measure;
use super::tables::{TaskComparison, choice_words};

/// The table; none where no method had settings to choose from.
///
/// # Errors
///
/// If a score is not finite.
pub fn of_study(judged: &TaskComparison<'_>) -> Result<Option<Table>> {
    if judged.selected.iter().all(|selected| selected.candidates < 2) {
        return Ok(None);
    }
    let loss = if judged.is_regression() { "MSE" } else { "NLL" };
    let mut columns = vec![
        Column::new(format!("{loss}, validation"), Better::None, 3),
        Column::new(loss, Better::None, 3),
        Column::new("above the lowest", Better::None, 1).with_unit("%"),
        Column::new(format!("{loss} − reference's"), Better::None, 3).with_unit("95 %"),
        Column::new("verdict", Better::None, 0),
    ];
    if !judged.is_regression() {
        columns.extend([
            Column::new(format!("{loss}, with T"), Better::None, 3),
            Column::new("accuracy", Better::None, 3),
            Column::new("ECE", Better::None, 3),
        ]);
    }
    let title = format!("{}: every setting", judged.task.title());
    let mut table = Table::new(title, "setting", columns).without_marks().with_note(format!(
        "Test rows but for the first column, mean ± std over seeds. Above the lowest: than the smallest {loss} of this table, which is read \
         off the test rows, so nobody could have chosen by it."
    ));
    let all = &judged.task.configurations;
    let complete = all.iter().filter(|one| one.trials.len() == judged.seeds());
    let lowest = complete.filter_map(|one| Measure::Loss.mean(one, false));
    let lowest = lowest.fold(f64::INFINITY, f64::min);
    let reference = judged.find(&judged.reference).map(|(selected, _)| selected);
    for configuration in all {
        let mine = SelectedConfiguration {
            method: Method::of(configuration),
            chosen: [false, true].map(|_| Some(configuration.clone())),
            candidates: 1,
        };
        let comparison = match reference.filter(|reference| reference.method != mine.method) {
            Some(reference) => compare(&mine, reference, false)?,
            None => None,
        };
        let is_complete = configuration.trials.len() == judged.seeds();
        let above = Measure::Loss.mean(configuration, false).filter(|_| is_complete);
        let mut cells = vec![
            Measure::ValidationLoss.cell(configuration, false)?,
            Measure::Loss.cell(configuration, false)?,
            above.map_or(Cell::Empty, |loss| Cell::value(100.0 * (loss / lowest - 1.0))),
        ];
        match &comparison {
            Some(comparison) => {
                let interval = &comparison.interval;
                cells.push(Cell::interval(
                    interval.difference,
                    [interval.lower, interval.upper],
                ));
                cells.push(Cell::text(comparison.verdict.word()));
            }
            None => cells.extend([Cell::Empty, Cell::Empty]),
        }
        if !judged.is_regression() {
            cells.push(Measure::Loss.cell(configuration, true)?);
            cells.push(Measure::Accuracy.cell(configuration, false)?);
            cells.push(Measure::Ece.cell(configuration, false)?);
        }
        let name = format!(
            "{}, {}",
            configuration.method,
            choice_words(&judged.task, configuration)
        );
        table.push(name, cells);
    }
    Ok(Some(table))
}
