//! The demo's tables.

use anyhow::Result;
use lora_eval::report::{Better, Cell, Column, Table};
use lora_eval::{Bootstrap, Scores};

use super::plan::Method;
use super::results::DemoResults;
use super::study::{MethodRun, PartScores, spread};

/// How the calibration error was computed, for captions.
pub const ECE_RULE: &str = "15 equal bins, (lo, hi]";

/// Both domains as they are, then both with temperature scaling.
pub fn all(results: &DemoResults) -> Result<Vec<Table>> {
    Ok(vec![
        in_domain(results)?,
        shifted(results)?,
        scaled(results, "With temperature scaling", "movie reviews", |run| {
            &run.test
        })?,
        scaled(
            results,
            "Shifted domain, with temperature scaling",
            "tweets",
            |run| &run.shifted,
        )?,
    ])
}

fn in_domain(results: &DemoResults) -> Result<Table> {
    let mut columns = score_columns();
    columns.extend([
        Column::new("NLL − LoRA's", Better::None, 3).with_unit("95 %"),
        Column::new("train/test gap", Better::Lower, 3).with_unit("NLL"),
        Column::new("training", Better::Lower, 1).with_unit("s"),
        Column::new("passes", Better::None, 0),
    ]);
    let mut table =
        Table::new("Movie reviews: the domain of training", "method", columns).with_note(note(results));
    for method in Method::ALL {
        let mut cells = score_cells(results, method, |run| &run.test)?;
        cells.extend([
            difference(results, method, |run| &run.test)?,
            spread(results.of(method).map(|run| run.test.plain.nll - run.train.nll))?,
            spread(results.of(method).map(|run| run.training_seconds))?,
            Cell::value(
                results.of(method).map(|run| run.members as f64).sum::<f64>()
                    / results.plan.seeds.len() as f64,
            ),
        ]);
        table.push(method.name(), cells);
    }
    Ok(table)
}

fn shifted(results: &DemoResults) -> Result<Table> {
    let mut columns = score_columns();
    columns.push(Column::new("NLL − LoRA's", Better::None, 3).with_unit("95 %"));
    let mut table = Table::new("Tweets: a domain that training never saw", "method", columns);
    for method in Method::ALL {
        let mut cells = score_cells(results, method, |run| &run.shifted)?;
        cells.push(difference(results, method, |run| &run.shifted)?);
        table.push(method.name(), cells);
    }
    Ok(table)
}

fn scaled(
    results: &DemoResults,
    title: &str,
    domain: &str,
    part: fn(&MethodRun) -> &PartScores,
) -> Result<Table> {
    let columns = vec![
        Column::new("NLL", Better::Lower, 3).with_unit("nats"),
        Column::new("ECE", Better::Lower, 3).with_unit("15 bins"),
        Column::new("Brier", Better::Lower, 3),
        Column::new("temperature", Better::None, 2),
    ];
    let note = format!("{domain}; the temperature was fitted on validation rows of movie reviews");
    let mut table = Table::new(title, "method", columns).with_note(note);
    for method in Method::ALL {
        let over_seeds = |of: fn(&Scores) -> f64| spread(results.of(method).map(|run| of(&part(run).scaled)));
        table.push(
            method.name(),
            vec![
                over_seeds(|scores| scores.nll)?,
                over_seeds(|scores| scores.ece)?,
                over_seeds(|scores| scores.brier)?,
                spread(results.of(method).map(|run| run.temperature))?,
            ],
        );
    }
    Ok(table)
}

fn score_columns() -> Vec<Column> {
    vec![
        Column::new("accuracy", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3).with_unit("nats"),
        Column::new("ECE", Better::Lower, 3).with_unit("15 bins"),
        Column::new("Brier", Better::Lower, 3),
        Column::new("against people", Better::Lower, 3).with_unit("nats"),
    ]
}

fn score_cells(
    results: &DemoResults,
    method: Method,
    part: fn(&MethodRun) -> &PartScores,
) -> Result<Vec<Cell>> {
    let over_seeds = |of: fn(&Scores) -> f64| spread(results.of(method).map(|run| of(&part(run).plain)));
    Ok(vec![
        over_seeds(|scores| scores.accuracy)?,
        over_seeds(|scores| scores.nll)?,
        over_seeds(|scores| scores.ece)?,
        over_seeds(|scores| scores.brier)?,
        spread(results.of(method).map(|run| part(run).people))?,
    ])
}

/// The paired bootstrap interval of the difference to plain LoRA in NLL: rows are drawn, seeds averaged for each row.
fn difference(results: &DemoResults, method: Method, part: fn(&MethodRun) -> &PartScores) -> Result<Cell> {
    if method == Method::Lora {
        return Ok(Cell::Empty);
    }
    let interval = Bootstrap::default().paired_means(
        &row_means(results, method, part),
        &row_means(results, Method::Lora, part),
    )?;
    Ok(Cell::interval(
        interval.difference,
        [interval.lower, interval.upper],
    ))
}

fn row_means(results: &DemoResults, method: Method, part: fn(&MethodRun) -> &PartScores) -> Vec<f64> {
    let runs: Vec<&Vec<f64>> = results.of(method).map(|run| &part(run).row_nll).collect();
    let rows = runs.first().map_or(0, |run| run.len());
    (0..rows)
        .map(|row| runs.iter().map(|run| run[row]).sum::<f64>() / runs.len() as f64)
        .collect()
}

fn note(results: &DemoResults) -> String {
    let plan = &results.plan;
    let seeds = plan.seeds.len();
    format!(
        "{} rows to train on, {} to test on, {}; ECE with {ECE_RULE}, a fraction; against people: cross-entropy with the \
         distribution of single ratings",
        plan.train,
        plan.test,
        if seeds == 1 {
            "one seed".to_owned()
        } else {
            format!("mean ± std over {seeds} seeds")
        },
    )
}
