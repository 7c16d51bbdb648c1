//! The tables over all tasks: where each method wins, ties and loses, by how much, and mean ranks.

use itertools::Itertools as _;
use lora_eval::rank_table::{self, RankTable};
use lora_pipeline::error::Result;
use lora_report::{Better, Block, Cell, Column, Table};

use super::against::{ReferenceComparison, Verdict, pooled};
use super::choice::Method;
use super::measure::Measure;
use super::tables::TaskComparison;

/// What methods are ranked by: the measure, with or without temperature, the heading of its column, the title of its table.
const RANKED: [(Measure, bool, &str, &str); 5] = [
    (Measure::Loss, false, "loss", "Ranks by loss"),
    (
        Measure::Loss,
        true,
        "loss with T",
        "Ranks by loss, each with its temperature",
    ),
    (Measure::Ece, false, "ECE", "Ranks by calibration error"),
    (
        Measure::Ece,
        true,
        "ECE with T",
        "Ranks by calibration error, each with its temperature",
    ),
    (
        Measure::Metric,
        false,
        "score of the task",
        "Ranks by the score of the task",
    ),
];

/// The comparisons of a method, each with its task.
pub fn comparisons<'j>(
    judged: &'j [TaskComparison<'_>],
    method: &Method,
    is_scaled: bool,
) -> Vec<(String, &'j ReferenceComparison)> {
    let found = judged.iter().filter_map(|judged| {
        let (_, both) = judged.find(method)?;
        Some((judged.task.short(), both[usize::from(is_scaled)].as_ref()?))
    });
    found.collect()
}

/// The tasks whose comparisons come to this.
pub fn tasks_with<'f>(found: &'f [(String, &ReferenceComparison)], verdict: Verdict) -> Vec<&'f str> {
    let such = found
        .iter()
        .filter(|(_, comparison)| comparison.verdict == verdict);
    such.map(|(name, _)| name.as_str()).collect()
}

/// Where each method wins, ties and loses, by name.
pub fn verdicts(judged: &[TaskComparison<'_>], methods: &[Method], reference: &Method) -> Table {
    let names = [
        "compared",
        "lower loss on",
        "no clear difference on",
        "higher loss on",
    ];
    let columns = names.map(|name| Column::new(name, Better::None, 0)).to_vec();
    let title = format!(
        "Where each method differs from {}, on test rows",
        reference.name()
    );
    let mut table = Table::new(title, "method", columns).with_note(
        "Lower and higher: beyond what the choice of test rows and seeds explains, and enough to notice. With T: both with a temperature \
         fitted on validation rows.",
    );
    for method in methods {
        for is_scaled in [false, true] {
            let found = comparisons(judged, method, is_scaled);
            if found.is_empty() {
                continue;
            }
            let on = |verdict: Verdict| {
                let names = tasks_with(&found, verdict);
                if names.is_empty() {
                    Cell::Empty
                } else {
                    Cell::text(format!(
                        "{} of {}: {}",
                        names.len(),
                        found.len(),
                        names.join(", ")
                    ))
                }
            };
            let cells = vec![
                Cell::text(if is_scaled { "with T" } else { "as it is" }),
                on(Verdict::Wins),
                on(Verdict::Ties),
                on(Verdict::Loses),
            ];
            table.push(method.name(), cells);
        }
    }
    table
}

/// In a line for each method: its mean change of the loss, and how often it wins, ties and loses.
pub fn headline(judged: &[TaskComparison<'_>], methods: &[Method], reference: &Method) -> Table {
    let mut columns = Vec::new();
    for with in ["", ", with T"] {
        let change = Column::new(format!("mean change{with}"), Better::None, 1);
        columns.push(change.with_unit("%"));
        let counts = ["wins", "ties", "loses"];
        columns.extend(counts.map(|name| Column::new(format!("{name}{with}"), Better::None, 0)));
    }
    let title = format!("Test loss against {}", reference.name());
    let mut table = Table::new(title, "method", columns).with_note(
        "In per cent of the reference's loss (NLL, or squared error), mean over tasks with its 95 % interval; below zero is better. It \
         wins or loses on a task where the difference is more than the choice of test rows and seeds explains (95 % interval) and at \
         least 0.005 nats or 1 % of the squared error; of many comparisons without any difference, some would still look like one. \
         With T: both with a temperature fitted on validation rows.",
    );
    let most = |is_scaled| {
        let found = methods
            .iter()
            .map(|method| comparisons(judged, method, is_scaled).len());
        found.max().unwrap_or(0)
    };
    for method in methods {
        let cells: Vec<Cell> = [false, true]
            .into_iter()
            .flat_map(|is_scaled| {
                let found = comparisons(judged, method, is_scaled);
                let count = |verdict: Verdict| {
                    if found.is_empty() {
                        Cell::Empty
                    } else {
                        Cell::value(tasks_with(&found, verdict).len() as f64)
                    }
                };
                let mean = pooled(found.iter().map(|(_, comparison)| *comparison));
                // A mean over fewer tasks is another mean.
                let mean = mean.filter(|_| found.len() == most(is_scaled));
                let mean = mean.map_or(Cell::Empty, |(mean, interval)| Cell::interval(mean, interval));
                [
                    mean,
                    count(Verdict::Wins),
                    count(Verdict::Ties),
                    count(Verdict::Loses),
                ]
            })
            .collect();
        if cells.iter().any(|cell| *cell != Cell::Empty) {
            table.push(method.name(), cells);
        }
    }
    table
}

/// By how many per cent the loss differs from the reference's on the one task that there is: ranks and counts of tasks say nothing
/// there.
pub fn on_one_task(judged: &TaskComparison<'_>, methods: &[Method], reference: &Method) -> Table {
    let columns = ["change of the loss", "change, with T"]
        .map(|name| Column::new(name, Better::None, 1).with_unit("%"))
        .to_vec();
    let title = format!("Test loss against {}", reference.name());
    let mut table = Table::new(title, "method", columns).with_note(
        "In per cent of the reference's loss (NLL, or squared error), with 95 % intervals over rows and seeds; below zero is better. With \
         T: both with a temperature fitted on validation rows.",
    );
    for method in methods {
        let cells = [false, true].map(|is_scaled| {
            let found = comparisons(std::slice::from_ref(judged), method, is_scaled);
            let change = found.first().map(|(_, comparison)| comparison.per_cent());
            change.map_or(Cell::Empty, |(value, interval)| Cell::interval(value, interval))
        });
        if cells.iter().any(|cell| !matches!(cell, Cell::Empty)) {
            table.push(method.name(), cells.to_vec());
        }
    }
    table
}

/// By how many per cent the loss differs from the reference's: each task and their mean. None for fewer than two tasks.
pub fn differences(
    judged: &[TaskComparison<'_>],
    methods: &[Method],
    reference: &Method,
    is_scaled: bool,
) -> Option<Table> {
    let compared = methods
        .iter()
        .flat_map(|method| comparisons(judged, method, is_scaled));
    let tasks: Vec<String> = compared.map(|(name, _)| name).unique().collect();
    if tasks.len() < 2 {
        return None;
    }
    let columns = std::iter::once("mean").chain(tasks.iter().map(String::as_str));
    let columns = columns
        .map(|name| Column::new(name, Better::None, 1).with_unit("%"))
        .collect();
    let with = if is_scaled { ", both with temperature" } else { "" };
    let title = format!("Change of the loss against {}{with}", reference.name());
    let mut table = Table::new(title, "method", columns).with_note(
        "In per cent of the reference's loss (NLL, or squared error), with 95 % intervals over rows and seeds; below zero is better. The \
         interval of the mean takes the errors of tasks for independent, and speaks of these tasks alone.",
    );
    for method in methods {
        let found = comparisons(judged, method, is_scaled);
        if found.is_empty() {
            continue;
        }
        let mean = pooled(found.iter().map(|(_, comparison)| *comparison));
        let mean = mean.filter(|_| found.len() == tasks.len());
        let of = |(value, interval): (f64, [f64; 2])| Cell::interval(value, interval);
        let each = tasks.iter().map(|task| {
            let here = found.iter().find(|(name, _)| name == task);
            here.map_or(Cell::Empty, |(_, comparison)| of(comparison.per_cent()))
        });
        table.push(
            method.name(),
            std::iter::once(mean.map_or(Cell::Empty, of))
                .chain(each)
                .collect(),
        );
    }
    Some(table)
}

/// Ranks of methods over tasks.
struct Ranks<'f> {
    methods: Vec<&'f Method>,
    tasks: Vec<String>,
    table: RankTable,
}

impl<'f> Ranks<'f> {
    /// Over the tasks in which every method is; none where there are fewer than two methods or no task.
    fn of(
        judged: &[TaskComparison<'_>],
        methods: &'f [Method],
        measure: Measure,
        is_scaled: bool,
    ) -> Result<Option<Self>> {
        let better = match measure {
            Measure::Metric | Measure::Accuracy => rank_table::Direction::Maximize,
            _ => rank_table::Direction::Minimize,
        };
        let value = |judged: &TaskComparison<'_>, method: &Method| {
            let (selected, _) = judged.find(method)?;
            measure.mean(selected.configuration(is_scaled)?, is_scaled)
        };
        // A method that is missing somewhere has no mean rank; a task that most methods miss compares nothing.
        let tasks: Vec<&TaskComparison<'_>> = judged
            .iter()
            .filter(|judged| methods.iter().any(|method| value(judged, method).is_some()))
            .collect();
        let ranked: Vec<&Method> = methods
            .iter()
            .filter(|method| tasks.iter().all(|judged| value(judged, method).is_some()))
            .collect();
        if ranked.len() < 2 || tasks.is_empty() {
            return Ok(None);
        }
        let scores = ranked.iter().map(|method| {
            let of = tasks.iter().filter_map(|judged| value(judged, method));
            of.collect()
        });
        let scores: Vec<Vec<f64>> = scores.collect();
        Ok(Some(Self {
            table: RankTable::of(&scores, &vec![better; tasks.len()])?,
            tasks: tasks.iter().map(|judged| judged.task.short()).collect(),
            methods: ranked,
        }))
    }

    fn mean(&self, method: &Method) -> Option<f64> {
        let place = self.methods.iter().position(|other| *other == method)?;
        Some(self.table.mean[place])
    }

    fn left_out(&self, methods: &[Method]) -> String {
        match methods.len() - self.methods.len() {
            0 => String::new(),
            some => format!(" Left out, because they are missing on some of the tasks: {some}."),
        }
    }

    fn to_table(&self, title: &str, methods: &[Method]) -> Table {
        let names = std::iter::once("mean rank").chain(self.tasks.iter().map(String::as_str));
        let columns = names.map(|name| Column::new(name, Better::None, 1)).collect();
        let mut table = Table::new(title, "method", columns)
            .with_note(format!("1 is the best.{}", self.left_out(methods)));
        let mut order: Vec<usize> = (0..self.methods.len()).collect();
        order.sort_by(|left, right| self.table.mean[*left].total_cmp(&self.table.mean[*right]));
        for place in order {
            let cells =
                std::iter::once(self.table.mean[place]).chain(self.table.ranks[place].iter().copied());
            table.push(self.methods[place].name(), cells.map(Cell::value).collect());
        }
        table
    }
}

/// Mean ranks by everything that methods are ranked by; none for fewer than two tasks or methods.
///
/// # Errors
///
/// If a score is not finite.
pub fn mean_ranks(judged: &[TaskComparison<'_>], methods: &[Method]) -> Result<Option<Table>> {
    let mut columns = Vec::new();
    let mut all = Vec::new();
    let mut notes = vec!["Mean over tasks; 1 is the best.".to_owned()];
    for (measure, is_scaled, heading, _) in RANKED {
        let Some(ranks) = Ranks::of(judged, methods, measure, is_scaled)? else {
            continue;
        };
        if ranks.tasks.len() < 2 {
            continue;
        }
        columns.push(Column::new(heading, Better::None, 1));
        if let Some(difference) =
            rank_table::critical_difference(ranks.methods.len(), ranks.tasks.len()).filter(|_| all.is_empty())
        {
            notes.push(format!(
                "Mean ranks by loss that lie closer than {difference:.1} do not differ beyond chance (Nemenyi's test at 5 %, {} methods, \
                 {} tasks).{}",
                ranks.methods.len(),
                ranks.tasks.len(),
                ranks.left_out(methods)
            ));
        }
        all.push(ranks);
    }
    let Some(first) = all.first() else {
        return Ok(None);
    };
    let mut order: Vec<&Method> = methods.iter().collect();
    let place = |method: &&Method| first.mean(method).unwrap_or(f64::INFINITY);
    order.sort_by(|left, right| place(left).total_cmp(&place(right)));
    let mut table = Table::new("Mean ranks", "method", columns)
        .with_note(notes.join(" "))
        .without_marks();
    for method in order {
        let cells = all
            .iter()
            .map(|ranks| ranks.mean(method).map_or(Cell::Empty, Cell::value));
        table.push(method.name(), cells.collect());
    }
    Ok(Some(table))
}

/// The ranks on each task.
///
/// # Errors
///
/// If a score is not finite.
pub fn ranks(judged: &[TaskComparison<'_>], methods: &[Method]) -> Result<Vec<Block>> {
    let mut tables = Vec::new();
    for (measure, is_scaled, _, title) in RANKED {
        if let Some(ranks) = Ranks::of(judged, methods, measure, is_scaled)? {
            tables.push(Block::Table(ranks.to_table(title, methods)));
        }
    }
    Ok(tables)
}
