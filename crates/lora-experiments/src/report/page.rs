//! The page of a report, and what else is made of it.

use lora_pipeline::counted::counted;
use lora_pipeline::error::{Context, Error, Result};
use lora_pipeline::files::provenance::MadeBy;
use lora_report::{Block, Figure, Page, Provenance, Section, Table};

use super::against::{compare, reference_method};
use super::choice::{Method, methods, selected};
use super::results::{Experiment, Results};
use super::tables::{self, TaskComparison, TaskTables};
use super::{curves, figures, intervals, over_tasks, sentences};
use crate::sweep::file::Stopping;
use crate::sweep::record::RunRecord;

/// How to read the reliability diagrams.
const RELIABILITY: &str = "Is it right as often as it says? A bar shorter than the diagonal promises more than it keeps. The reference and \
    the methods with the smallest validation loss, each without and with temperature; seeds together.";

/// Everything that a report says.
pub struct Report {
    /// Its title.
    pub title: String,
    /// What was compared.
    pub subtitle: String,
    /// What came out, in sentences.
    pub summary: Vec<String>,
    /// For each method where it wins, ties and loses, in sentences: what the page has as a table.
    pub outcomes: Vec<String>,
    /// Few and narrow tables over all tasks.
    pub overall: Vec<Table>,
    /// The tables of single tasks.
    pub tasks: Vec<Table>,
    /// The page, from top to bottom.
    pub sections: Vec<Section>,
}

/// Compares everything with the reference.
///
/// # Errors
///
/// If nothing can stand as reference, or trials of one file do not fit each other.
pub fn judge(results: &Results) -> Result<(Vec<TaskComparison<'_>>, Vec<Method>, Method)> {
    let tasks = results.tasks();
    let of_calls = || {
        results.runs.iter().rev().find_map(|run| {
            let first = run.sweep.methods.first().map(|method| method.name.as_str());
            run.sweep.reference.as_deref().or(first)
        })
    };
    let named = results.reference.as_deref().or_else(of_calls);
    let method = reference_method(named, &tasks)
        .context("no method predicts by its mean pass, so there is nothing to compare with; add `mean` to the predictions of one")?;
    let mut judged = Vec::new();
    for task in tasks {
        let selected = selected(&task);
        let reference = selected.iter().find(|selected| selected.method == method);
        let mut comparisons = Vec::new();
        for selected in &selected {
            let mut both = [None, None];
            if let Some(reference) = reference.filter(|_| selected.method != method) {
                for (is_scaled, found) in [false, true].into_iter().zip(&mut both) {
                    *found = compare(selected, reference, is_scaled)?;
                }
            }
            comparisons.push(both);
        }
        judged.push(TaskComparison {
            task,
            selected,
            comparisons,
            reference: method.clone(),
        });
    }
    Ok((judged, methods(results), method))
}

impl Report {
    /// Of one experiment.
    ///
    /// # Errors
    ///
    /// As [`judge`].
    pub fn of(results: &Results) -> Result<Self> {
        Self::of_parts(&[("", results)])
    }

    /// Of several experiments, one after the other.
    ///
    /// # Errors
    ///
    /// As [`judge`].
    pub fn of_experiments(experiments: &[Experiment]) -> Result<Self> {
        let is_one = experiments.len() == 1;
        let parts: Vec<(&str, &Results)> = experiments
            .iter()
            .map(|experiment| {
                (
                    if is_one { "" } else { experiment.name.as_str() },
                    &experiment.results,
                )
            })
            .collect();
        Self::of_parts(&parts)
    }

    fn of_parts(parts: &[(&str, &Results)]) -> Result<Self> {
        let mut report = Self {
            title: "Methods side by side".to_owned(),
            subtitle: sentences::subtitle(parts.iter().copied()),
            summary: Vec::new(),
            outcomes: Vec::new(),
            overall: Vec::new(),
            tasks: Vec::new(),
            sections: Vec::new(),
        };
        let mut settings = Section::new("Every setting, and what it ran on");
        for (name, results) in parts {
            report.add(name, results)?;
            for run in &results.runs {
                settings.blocks.extend(run_blocks(name, run)?);
            }
        }
        report.summary.push(sentences::HOW_COMPARED.to_owned());
        if !settings.blocks.is_empty() {
            report.sections.push(settings);
        }
        Ok(report)
    }

    fn add(&mut self, name: &str, results: &Results) -> Result<()> {
        let (judged, methods, reference) = judge(results)?;
        let titled = |title: String| {
            if name.is_empty() {
                title
            } else {
                format!("{name}: {title}")
            }
        };
        // Methods are compared under one rule of stopping.
        let (never, early): (Vec<TaskComparison<'_>>, Vec<TaskComparison<'_>>) = judged
            .into_iter()
            .partition(|judged| judged.task.stopping == Stopping::Never);
        let is_default = never.is_empty();
        for (rule, judged) in [("no early stopping", never), ("early stopping", early)] {
            if judged.is_empty() {
                continue;
            }
            let titled = |title: String| {
                titled(if is_default {
                    title
                } else {
                    format!("{rule}: {title}")
                })
            };
            let leads = sentences::leads(&judged, &methods, &reference);
            self.summary.extend(leads.into_iter().map(titled));
            let outcomes = sentences::outcomes(&judged, &methods, &reference);
            self.outcomes.extend(outcomes.into_iter().map(titled));
            let is_one_task = judged.iter().all(|other| other.task.name == judged[0].task.name);
            let overall = if is_one_task {
                // Of several numbers of rows of one task, which share test rows, means and ranks say nothing.
                let tables = judged.iter().map(|only| {
                    let mut table = over_tasks::on_one_task(only, &methods, &reference);
                    if judged.len() > 1 {
                        table.title = format!("{}: {}", only.task.short(), table.title);
                    }
                    if !is_default {
                        table.title = format!("{rule}: {}", table.title);
                    }
                    table
                });
                let tables: Vec<Table> = tables.collect();
                self.overall.extend(tables.clone());
                let mut section = Section::new(titled(format!("Against {}", reference.name())));
                section.blocks.extend(tables.into_iter().map(Block::Table));
                section
            } else {
                let title = titled("Over all tasks".to_owned());
                self.over_tasks(&judged, &methods, &reference, title)?
            };
            self.sections.push(overall);
            for judged in &judged {
                let tables = tables::of_study(judged)?;
                self.tasks.extend(tables.all().cloned());
                let mut section = Section::new(titled(judged.task.title()));
                section.blocks = task(results, judged, tables, &reference)?;
                self.sections.push(section);
            }
        }
        self.summary
            .extend(sentences::caveats(results).into_iter().map(titled));
        Ok(())
    }

    /// Where each method wins and loses, and the ranks.
    fn over_tasks(
        &mut self,
        judged: &[TaskComparison<'_>],
        methods: &[Method],
        reference: &Method,
        title: String,
    ) -> Result<Section> {
        let headline = over_tasks::headline(judged, methods, reference);
        self.overall.push(headline.clone());
        let mean_ranks = over_tasks::mean_ranks(judged, methods)?;
        self.overall.extend(mean_ranks.clone());

        let mut blocks = vec![Block::Table(headline)];
        let charts = intervals::over_tasks(judged, methods, reference);
        if !charts.is_empty() {
            blocks.push(Block::Text(intervals::HOW_TO_READ.to_owned()));
        }
        push_figures(&mut blocks, charts);
        blocks.push(Block::Table(over_tasks::verdicts(judged, methods, reference)));
        blocks.extend(mean_ranks.map(Block::Table));
        let differences = [false, true]
            .into_iter()
            .filter_map(|is_scaled| over_tasks::differences(judged, methods, reference, is_scaled));
        push_details(
            &mut blocks,
            "The numbers: change of the loss on each task, with intervals",
            differences.map(Block::Table).collect(),
        );
        push_details(
            &mut blocks,
            "The numbers: ranks on each task",
            over_tasks::ranks(judged, methods)?,
        );
        let mut overall = Section::new(title);
        overall.blocks = blocks;
        Ok(overall)
    }

    /// As a page.
    pub fn page(self) -> Page {
        let made_by = MadeBy::this_call();
        Page {
            title: self.title,
            subtitle: self.subtitle,
            summary: self.summary,
            sections: self.sections,
            provenance: Provenance {
                versions: made_by.versions,
                command: made_by.command,
                date: None,
            },
            ..Page::default()
        }
    }
}

fn push_figures(blocks: &mut Vec<Block>, figures: Vec<Figure>) {
    if !figures.is_empty() {
        blocks.push(Block::Figures(figures));
    }
}

fn push_details(blocks: &mut Vec<Block>, summary: &str, inside: Vec<Block>) {
    if !inside.is_empty() {
        blocks.push(Block::Details {
            summary: summary.to_owned(),
            blocks: inside,
        });
    }
}

/// A call of `lora sweep`: command, machine, versions, and its file.
fn run_blocks(name: &str, run: &RunRecord) -> Result<Vec<Block>> {
    let made_by = &run.made_by;
    let versions: Vec<String> = made_by
        .versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let of = if name.is_empty() {
        String::new()
    } else {
        format!("{name}: ")
    };
    Ok(vec![
        Block::Text(format!(
            "{of}computed on {} with {}, {} at once, by",
            made_by.platform,
            versions.join(", "),
            counted(run.jobs, "training"),
        )),
        Block::Code(made_by.command.clone()),
        Block::Details {
            summary: "The settings of this call".to_owned(),
            blocks: vec![Block::Code(
                serde_saphyr::to_string(&run.sweep).map_err(Error::other)?,
            )],
        },
    ])
}

fn task(
    results: &Results,
    judged: &TaskComparison<'_>,
    tables: TaskTables,
    reference: &Method,
) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut first: Vec<Figure> = intervals::on_task(judged, reference).into_iter().collect();
    if !judged.is_regression() {
        for is_scaled in [false, true] {
            first.extend(figures::accuracy_against_ece(judged, is_scaled)?);
        }
    }
    push_figures(&mut blocks, first);
    push_figures(&mut blocks, curves::epochs::of_study(judged, &results.trainings));
    blocks.extend(tables.scores.into_iter().map(Block::Table));
    if !judged.is_regression() {
        let diagrams = figures::reliability(judged, reference)?;
        if !diagrams.is_empty() {
            blocks.push(Block::Heading("How far to trust the probabilities".to_owned()));
            blocks.push(Block::Text(RELIABILITY.to_owned()));
            push_figures(&mut blocks, diagrams);
        }
        let risk = figures::risk_curves(judged, reference);
        push_figures(&mut blocks, risk.into_iter().collect());
    }
    blocks.extend(tables.sets.map(Block::Table));
    blocks.extend(tables.shifted.map(Block::Table));
    blocks.extend(curves::of_study(judged, reference)?);
    blocks.extend(curves::bound::of_study(judged, reference)?);
    blocks.push(Block::Heading("What was chosen, and what it takes".to_owned()));
    push_figures(&mut blocks, intervals::costs(judged)?);
    blocks.push(Block::Table(tables.costs));
    let losses = figures::losses(judged, &results.trainings);
    if !losses.is_empty() {
        push_details(
            &mut blocks,
            "How the trainings went",
            vec![Block::Figures(losses)],
        );
    }
    Ok(blocks)
}
