//! The tables over all tasks: where each method wins, ties and loses, by how much, and mean ranks.

use lora_eval::rank_table::{self, RankTable};
use lora_pipeline::error::Result;
use lora_report::{Better, Block, Cell, Column, Table};

use super::against::{Comparison, Verdict, pooled};
use super::choice::Family;
use super::measure::Measure;
use super::tables::Judged;

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

/// The comparisons of a family, each with its study.
pub fn comparisons<'j>(
    judged: &'j [Judged<'_>],
    family: &Family,
    is_scaled: bool,
) -> Vec<(String, &'j Comparison)> {
    let found = judged.iter().filter_map(|judged| {
        let (_, both) = judged.find(family)?;
        Some((judged.study.short(), both[usize::from(is_scaled)].as_ref()?))
    });
    found.collect()
}

/// Where each family wins, ties and loses, by name.
pub fn verdicts(judged: &[Judged<'_>], families: &[Family], reference: &Family) -> Table {
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
    for family in families {
        for is_scaled in [false, true] {
            let found = comparisons(judged, family, is_scaled);
            if found.is_empty() {
                continue;
            }
            let on = |verdict: Verdict| {
                let names = found
                    .iter()
                    .filter(|(_, comparison)| comparison.verdict == verdict);
                let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
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
            table.push(family.name(), cells);
        }
    }
    table
}

/// In a line for each family: its mean change of the loss, and how often it wins, ties and loses.
pub fn headline(judged: &[Judged<'_>], families: &[Family], reference: &Family) -> Table {
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
        let found = families
            .iter()
            .map(|family| comparisons(judged, family, is_scaled).len());
        found.max().unwrap_or(0)
    };
    for family in families {
        let cells: Vec<Cell> = [false, true]
            .into_iter()
            .flat_map(|is_scaled| {
                let found = comparisons(judged, family, is_scaled);
                let count = |verdict: Verdict| {
                    let of = found
                        .iter()
                        .filter(|(_, comparison)| comparison.verdict == verdict);
                    if found.is_empty() {
                        Cell::Empty
                    } else {
                        Cell::value(of.count() as f64)
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
            table.push(family.name(), cells);
        }
    }
    table
}

/// By how many per cent the loss differs from the reference's on the one task that there is: ranks and counts of tasks say nothing
/// there.
pub fn on_one_task(judged: &Judged<'_>, families: &[Family], reference: &Family) -> Table {
    let columns = ["change of the loss", "change, with T"]
        .map(|name| Column::new(name, Better::None, 1).with_unit("%"))
        .to_vec();
    let title = format!("Test loss against {}", reference.name());
    let mut table = Table::new(title, "method", columns).with_note(
        "In per cent of the reference's loss (NLL, or squared error), with 95 % intervals over rows and seeds; below zero is better. With \
         T: both with a temperature fitted on validation rows.",
    );
    for family in families {
        let cells = [false, true].map(|is_scaled| {
            let found = comparisons(std::slice::from_ref(judged), family, is_scaled);
            let change = found.first().map(|(_, comparison)| comparison.per_cent());
            change.map_or(Cell::Empty, |(value, interval)| Cell::interval(value, interval))
        });
        if cells.iter().any(|cell| !matches!(cell, Cell::Empty)) {
            table.push(family.name(), cells.to_vec());
        }
    }
    table
}

/// By how many per cent the loss differs from the reference's: each study and their mean. None for fewer than two studies.
pub fn differences(
    judged: &[Judged<'_>],
    families: &[Family],
    reference: &Family,
    is_scaled: bool,
) -> Option<Table> {
    let mut studies: Vec<String> = Vec::new();
    for family in families {
        for (name, _) in comparisons(judged, family, is_scaled) {
            if !studies.contains(&name) {
                studies.push(name);
            }
        }
    }
    if studies.len() < 2 {
        return None;
    }
    let columns = std::iter::once("mean").chain(studies.iter().map(String::as_str));
    let columns = columns
        .map(|name| Column::new(name, Better::None, 1).with_unit("%"))
        .collect();
    let with = if is_scaled { ", both with temperature" } else { "" };
    let title = format!("Change of the loss against {}{with}", reference.name());
    let mut table = Table::new(title, "method", columns).with_note(
        "In per cent of the reference's loss (NLL, or squared error), with 95 % intervals over rows and seeds; below zero is better. The \
         interval of the mean takes the errors of tasks for independent, and speaks of these tasks alone.",
    );
    for family in families {
        let found = comparisons(judged, family, is_scaled);
        if found.is_empty() {
            continue;
        }
        let mean = pooled(found.iter().map(|(_, comparison)| *comparison));
        let mean = mean.filter(|_| found.len() == studies.len());
        let of = |(value, interval): (f64, [f64; 2])| Cell::interval(value, interval);
        let each = studies.iter().map(|study| {
            let here = found.iter().find(|(name, _)| name == study);
            here.map_or(Cell::Empty, |(_, comparison)| of(comparison.per_cent()))
        });
        table.push(
            family.name(),
            std::iter::once(mean.map_or(Cell::Empty, of))
                .chain(each)
                .collect(),
        );
    }
    Some(table)
}

/// Ranks of families over studies.
struct Ranks<'f> {
    families: Vec<&'f Family>,
    studies: Vec<String>,
    table: RankTable,
}

impl<'f> Ranks<'f> {
    /// Over the studies in which every family is; none where there are fewer than two families or no study.
    fn of(
        judged: &[Judged<'_>],
        families: &'f [Family],
        measure: Measure,
        is_scaled: bool,
    ) -> Result<Option<Self>> {
        let better = match measure {
            Measure::Metric | Measure::Accuracy => rank_table::Better::Larger,
            _ => rank_table::Better::Smaller,
        };
        let value = |judged: &Judged<'_>, family: &Family| {
            let (contender, _) = judged.find(family)?;
            measure.mean(contender.variant(is_scaled)?, is_scaled)
        };
        // A family that is missing somewhere has no mean rank; a study that most families miss compares nothing.
        let studies: Vec<&Judged<'_>> = judged
            .iter()
            .filter(|judged| families.iter().any(|family| value(judged, family).is_some()))
            .collect();
        let ranked: Vec<&Family> = families
            .iter()
            .filter(|family| studies.iter().all(|judged| value(judged, family).is_some()))
            .collect();
        if ranked.len() < 2 || studies.is_empty() {
            return Ok(None);
        }
        let scores = ranked.iter().map(|family| {
            let of = studies.iter().filter_map(|judged| value(judged, family));
            of.collect()
        });
        let scores: Vec<Vec<f64>> = scores.collect();
        Ok(Some(Self {
            table: RankTable::of(&scores, &vec![better; studies.len()])?,
            studies: studies.iter().map(|judged| judged.study.short()).collect(),
            families: ranked,
        }))
    }

    fn mean(&self, family: &Family) -> Option<f64> {
        let place = self.families.iter().position(|other| *other == family)?;
        Some(self.table.mean[place])
    }

    fn left_out(&self, families: &[Family]) -> String {
        match families.len() - self.families.len() {
            0 => String::new(),
            some => format!(" Left out, because they are missing on some of the tasks: {some}."),
        }
    }

    fn to_table(&self, title: &str, families: &[Family]) -> Table {
        let names = std::iter::once("mean rank").chain(self.studies.iter().map(String::as_str));
        let columns = names.map(|name| Column::new(name, Better::None, 1)).collect();
        let mut table = Table::new(title, "method", columns)
            .with_note(format!("1 is the best.{}", self.left_out(families)));
        let mut order: Vec<usize> = (0..self.families.len()).collect();
        order.sort_by(|left, right| self.table.mean[*left].total_cmp(&self.table.mean[*right]));
        for place in order {
            let cells =
                std::iter::once(self.table.mean[place]).chain(self.table.ranks[place].iter().copied());
            table.push(self.families[place].name(), cells.map(Cell::value).collect());
        }
        table
    }
}

/// Mean ranks by everything that methods are ranked by; none for fewer than two studies or families.
///
/// # Errors
///
/// If a score is not finite.
pub fn mean_ranks(judged: &[Judged<'_>], families: &[Family]) -> Result<Option<Table>> {
    let mut columns = Vec::new();
    let mut all = Vec::new();
    let mut notes = vec!["Mean over tasks; 1 is the best.".to_owned()];
    for (measure, is_scaled, heading, _) in RANKED {
        let Some(ranks) = Ranks::of(judged, families, measure, is_scaled)? else {
            continue;
        };
        if ranks.studies.len() < 2 {
            continue;
        }
        columns.push(Column::new(heading, Better::None, 1));
        if let Some(difference) = rank_table::critical_difference(ranks.families.len(), ranks.studies.len())
            .filter(|_| all.is_empty())
        {
            notes.push(format!(
                "Mean ranks by loss that lie closer than {difference:.1} do not differ beyond chance (Nemenyi's test at 5 %, {} methods, \
                 {} tasks).{}",
                ranks.families.len(),
                ranks.studies.len(),
                ranks.left_out(families)
            ));
        }
        all.push(ranks);
    }
    let Some(first) = all.first() else {
        return Ok(None);
    };
    let mut order: Vec<&Family> = families.iter().collect();
    let place = |family: &&Family| first.mean(family).unwrap_or(f64::INFINITY);
    order.sort_by(|left, right| place(left).total_cmp(&place(right)));
    let mut table = Table::new("Mean ranks", "method", columns)
        .with_note(notes.join(" "))
        .without_marks();
    for family in order {
        let cells = all
            .iter()
            .map(|ranks| ranks.mean(family).map_or(Cell::Empty, Cell::value));
        table.push(family.name(), cells.collect());
    }
    Ok(Some(table))
}

/// The ranks on each task.
///
/// # Errors
///
/// If a score is not finite.
pub fn ranks(judged: &[Judged<'_>], families: &[Family]) -> Result<Vec<Block>> {
    let mut tables = Vec::new();
    for (measure, is_scaled, _, title) in RANKED {
        if let Some(ranks) = Ranks::of(judged, families, measure, is_scaled)? {
            tables.push(Block::Table(ranks.to_table(title, families)));
        }
    }
    Ok(tables)
}
