//! The demo's tables.

use lora_eval::Scores;
use lora_pipeline::error::Result;
use lora_report::{Better, Cell, Column, Table};

use super::base_rates::BaseRates;
use super::plan::Method;
use super::results::DemoResults;
use super::study::spread;
use super::summary::{Part, difference};

/// How the calibration error was computed, for captions.
pub const ECE_RULE: &str = "15 equal bins, (lo, hi]";

/// Both domains as they are, what it cost, then both with temperature scaling. Values are marked as best only where there
/// are several seeds to tell chance by.
pub fn all(results: &DemoResults) -> Result<Vec<Table>> {
    let tables = [
        domain(
            results,
            "Movie reviews: the domain of training",
            |run| &run.test,
            |rates| &rates.test,
        )?
        .with_note(note(results)),
        domain(
            results,
            "Tweets: a domain that training never saw",
            |run| &run.shifted,
            |rates| &rates.shifted,
        )?,
        further(results)?,
        scaled(results, "With temperature scaling", "movie reviews", |run| {
            &run.test
        })?,
        scaled(
            results,
            "Shifted domain, with temperature scaling",
            "tweets",
            |run| &run.shifted,
        )?,
    ];
    let has_spread = results.plan.seeds.len() > 1;
    let marked = |table: Table| if has_spread { table } else { table.without_marks() };
    Ok(tables.into_iter().map(marked).collect())
}

fn domain(results: &DemoResults, title: &str, part: Part, rates: fn(&BaseRates) -> &Scores) -> Result<Table> {
    let columns = vec![
        Column::new("accuracy", Better::Higher, 3),
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
        Column::new("Brier", Better::Lower, 3),
        Column::new("NLL − LoRA's", Better::None, 3).with_unit("95 %"),
    ];
    let four: [fn(&Scores) -> f64; 4] = [
        |scores| scores.accuracy,
        |scores| scores.nll,
        |scores| scores.ece,
        |scores| scores.brier,
    ];
    let mut table = Table::new(title, "method", columns);
    for method in Method::ALL {
        let of_runs = |of: &fn(&Scores) -> f64| spread(results.of(method).map(|run| of(&part(run).plain)));
        let mut cells = four.iter().map(of_runs).collect::<Result<Vec<_>>>()?;
        cells.push(if method == Method::Lora {
            Cell::Empty
        } else {
            let interval = difference(results, method, part)?;
            Cell::interval(interval.difference, [interval.lower, interval.upper])
        });
        table.push(method.name(), cells);
    }
    let of_rates = |of: &fn(&Scores) -> f64| spread(results.base_rates.iter().map(|seed| of(rates(seed))));
    let mut cells = four.iter().map(of_rates).collect::<Result<Vec<_>>>()?;
    cells.push(Cell::Empty);
    table.push("base rates, no text read", cells);
    Ok(table)
}

fn further(results: &DemoResults) -> Result<Table> {
    let columns = vec![
        Column::new("NLL, test − train", Better::Lower, 3),
        Column::new("people, reviews", Better::Lower, 3),
        Column::new("people, tweets", Better::Lower, 3),
        Column::new("training", Better::None, 1).with_unit("s"),
        Column::new("passes", Better::None, 0),
    ];
    let mut table = Table::new("Overfitting, doubt and cost", "method", columns).with_note(
        "NLL, test − train: how much higher the NLL is on movie reviews that were not trained on. People: several people rated \
         each sentence, and this is the cross-entropy (nats) with their ratings in place of one label; it is low where the \
         model doubts as they do. Training: wall time, with several trainings at once. Passes: of the model for one prediction.",
    );
    for method in Method::ALL {
        let members = results.of(method).map(|run| run.members as f64);
        table.push(
            method.name(),
            vec![
                spread(results.of(method).map(|run| run.test.plain.nll - run.train.nll))?,
                spread(results.of(method).map(|run| run.test.people))?,
                spread(results.of(method).map(|run| run.shifted.people))?,
                spread(results.of(method).map(|run| run.training_seconds))?,
                Cell::value(members.sum::<f64>() / results.plan.seeds.len() as f64),
            ],
        );
    }
    Ok(table)
}

fn scaled(results: &DemoResults, title: &str, domain: &str, part: Part) -> Result<Table> {
    let columns = vec![
        Column::new("NLL", Better::Lower, 3),
        Column::new("ECE", Better::Lower, 3),
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

fn note(results: &DemoResults) -> String {
    let plan = &results.plan;
    let seeds = plan.seeds.len();
    format!(
        "{} rows to train on, {} to test on, {}; NLL in nats; ECE with {ECE_RULE}, a fraction; NLL − LoRA's with the interval \
         that 95 % of paired draws of the test rows give",
        plan.train,
        plan.test,
        if seeds == 1 {
            "one seed".to_owned()
        } else {
            format!("mean ± std over {seeds} seeds")
        },
    )
}
