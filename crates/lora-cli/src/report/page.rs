//! The page of a report, and the same as Markdown.

use anyhow::{Context, Result};
use lora_eval::report::{Block, Page, Provenance, Section, Table};
use serde_json::{Value, json};

use super::against::{compare, reference, reference_family};
use super::choice::{Family, contenders, families};
use super::measure::Measure;
use super::results::Results;
use super::tables::{self, Judged};
use super::{curves, figures, sentences};
use crate::provenance::MadeBy;

/// Everything that a report says.
pub struct Report {
    /// Its title.
    pub title: String,
    /// What came out, in sentences.
    pub summary: Vec<String>,
    /// Tables over all tasks.
    pub overall: Vec<Table>,
    /// For each task and number of rows its title, tables and groups of pictures.
    pub studies: Vec<StudyReport>,
    /// Every setting.
    pub settings: Value,
}

/// What a report says about one task with one number of training rows.
pub struct StudyReport {
    /// Task and rows.
    pub title: String,
    /// Its tables.
    pub tables: Vec<Table>,
    /// Pictures in groups, each with a sentence on how to read them.
    pub pictures: Vec<(&'static str, Vec<lora_eval::report::Figure>)>,
}

/// Compares everything with the reference.
///
/// # Errors
///
/// If nothing can stand as reference, or cells of one file do not fit each other.
pub fn judge(results: &Results) -> Result<(Vec<Judged<'_>>, Vec<Family>, Family)> {
    let studies = results.studies();
    let named = results.runs.iter().rev().find_map(|run| {
        let first = run.sweep.methods.first().map(|method| method.name.as_str());
        run.sweep.reference.as_deref().or(first)
    });
    let family = reference_family(named, &studies)
        .context("no method predicts by its mean pass, so there is nothing to compare with; add `mean` to the predictions of one")?;
    let mut judged = Vec::new();
    for study in studies {
        let contenders = contenders(&study);
        let reference = reference(&contenders, &family).cloned();
        let mut comparisons = Vec::new();
        for contender in &contenders {
            let mut both = [None, None];
            if let Some(reference) = reference.as_ref().filter(|_| contender.family != family) {
                for (is_scaled, found) in [false, true].into_iter().zip(&mut both) {
                    *found = compare(contender, reference, is_scaled)?;
                }
            }
            comparisons.push(both);
        }
        judged.push(Judged {
            study,
            contenders,
            comparisons,
        });
    }
    Ok((judged, families(results), family))
}

impl Report {
    /// Of results.
    ///
    /// # Errors
    ///
    /// As [`judge`].
    pub fn of(results: &Results) -> Result<Self> {
        let (judged, families, reference) = judge(results)?;
        let mut overall = vec![tables::outcomes(&judged, &families)];
        for (measure, is_scaled, title) in [
            (Measure::Loss, false, "Ranks by loss"),
            (Measure::Loss, true, "Ranks by loss, each with its temperature"),
            (Measure::Ece, false, "Ranks by calibration error"),
            (
                Measure::Ece,
                true,
                "Ranks by calibration error, each with its temperature",
            ),
            (Measure::Metric, false, "Ranks by the score of the task"),
        ] {
            overall.extend(tables::ranks(&judged, &families, measure, is_scaled, title)?);
        }
        let studies = judged
            .iter()
            .map(|judged| study(results, judged, &reference))
            .collect::<Result<_>>()?;
        let settings = results.runs.last().map(|run| json!(run.sweep));
        Ok(Self {
            title: "Methods side by side".to_owned(),
            summary: sentences::summary(results, &judged, &families, &reference),
            overall,
            studies,
            settings: settings.unwrap_or(Value::Null),
        })
    }

    /// As a page.
    pub fn page(self) -> Page {
        let mut page = Page::new(self.title);
        page.summary = self.summary;
        let mut section = Section::new("Over all tasks");
        for table in self.overall {
            section = section.with_block(Block::Table(table));
        }
        page.sections.push(section);
        for study in self.studies {
            let mut section = Section::new(study.title);
            for table in study.tables {
                section = section.with_block(Block::Table(table));
            }
            for (text, figures) in study.pictures {
                if !text.is_empty() {
                    section = section.with_block(Block::Text(text.to_owned()));
                }
                section = section.with_block(Block::Figures(figures));
            }
            page.sections.push(section);
        }
        let made_by = MadeBy::this_call();
        page.provenance = Provenance {
            versions: made_by.versions,
            command: made_by.command,
            date: None,
        };
        page.settings = self.settings;
        page
    }

    /// Sentences and tables as Markdown.
    pub fn to_markdown(&self) -> String {
        let mut parts = vec![format!("# {}", self.title)];
        parts.extend(self.summary.iter().cloned());
        parts.push("## Over all tasks".to_owned());
        parts.extend(self.overall.iter().map(Table::to_markdown));
        for study in &self.studies {
            parts.push(format!("## {}", study.title));
            parts.extend(study.tables.iter().map(Table::to_markdown));
        }
        let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
        parts.join("\n\n") + "\n"
    }
}

fn study(results: &Results, judged: &Judged<'_>, reference: &Family) -> Result<StudyReport> {
    let mut pictures = Vec::new();
    if !judged.is_regression() {
        let scatter: Vec<_> = [false, true]
            .into_iter()
            .map(|is_scaled| figures::accuracy_against_ece(judged, is_scaled))
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .chain(figures::risk_curves(judged, reference))
            .collect();
        pictures.push((
            "Accuracy and calibration; and what is gained by answering only where the model is sure.",
            scatter,
        ));
        pictures.push((
            "Is it right as often as it says? A bar shorter than the diagonal promises more than it keeps. Without temperature, seeds \
             together; the reference and the methods with the smallest validation loss.",
            figures::reliability(judged, reference, false)?,
        ));
    }
    for (index, figures) in curves::of_study(judged).into_iter().enumerate() {
        pictures.push((if index == 0 { curves::HOW_TO_READ } else { "" }, figures));
    }
    pictures.push((
        "How the trainings went.",
        figures::losses(judged, &results.trainings),
    ));
    pictures.retain(|(_, figures)| !figures.is_empty());
    Ok(StudyReport {
        title: judged.study.title(),
        tables: tables::of_study(judged)?,
        pictures,
    })
}
