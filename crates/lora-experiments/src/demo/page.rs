//! The demo's page: the picture, how far to trust the probabilities, the scores, and the same for a careful user.

use lora_pipeline::counted::counted;
use lora_pipeline::error::Result;
use lora_pipeline::files::provenance::MadeBy;
use lora_report::{Block, Figure, Page, Panel, Provenance, Section, panel_chart, text_chart};

use super::arms::{AS_TRAINED, Arms, ENSEMBLE, PLAIN};
use super::preset::LONGEST;
use super::{sentences, tables};
use crate::report::figures;
use crate::report::page::Report;
use crate::report::results::Results;

/// Columns and rows of a chart in letters.
const TEXT_CHART: [usize; 2] = [60, 11];

/// All of it.
pub fn page(arms: &Arms<'_>, results: &Results, made_by: &MadeBy) -> Result<Page> {
    let mut page = Page::new("What LoRA Dropout does");
    page.subtitle = format!(
        "{}MiniLM-L6 with adapters on all linear layers, {} movie reviews cut at {} tokens, {}, {}; {} test reviews",
        if arms.is_fast {
            "A quick look (--fast): "
        } else {
            ""
        },
        arms.sizes.train,
        LONGEST,
        counted(arms.sizes.epochs as usize, "epoch"),
        counted(arms.sizes.seeds as usize, "seed"),
        arms.sizes.test,
    );
    // The picture comes before any word.
    let mut overfitting = Section::new("Overfitting").with_block(Block::Figures(vec![picture(arms)]));
    for sentence in sentences::first(arms)? {
        overfitting = overfitting.with_block(Block::Text(sentence));
    }
    page.sections = vec![
        overfitting,
        Section::new("Is it right as often as it says?")
            .with_text("Bars on the diagonal are trustworthy; bars below it promise more than they keep.")
            .with_block(Block::Figures(reliability(arms)?))
            .with_block(Block::Table(tables::trust(arms)?)),
        Section::new("Scores").with_block(Block::Table(tables::scores(arms)?)),
    ];
    page.sections.extend(careful(arms)?);
    let mut numbers = Section::new("All numbers, and every setting");
    // The sections that every sweep has, for those who want all the numbers.
    for section in Report::of(results)?.sections {
        numbers.blocks.push(Block::Details {
            summary: section.heading,
            blocks: section.blocks,
        });
    }
    page.sections.push(numbers);
    page.provenance = Provenance {
        versions: made_by.versions.clone(),
        command: made_by.command.clone(),
        date: None,
    };
    Ok(page)
}

fn careful(arms: &Arms<'_>) -> Result<Option<Section>> {
    let Some(sentence) = sentences::careful(arms)? else {
        return Ok(None);
    };
    let mut section = Section::new("The same for a careful user").with_text(
        "Early stopping keeps the epoch with the smallest validation loss; a temperature divides all logits by one number that is fitted on \
         validation rows. Both need labelled rows that are not trained on.",
    );
    section = section.with_text(sentence);
    for table in tables::careful(arms)? {
        section = section.with_block(Block::Table(table));
    }
    Ok(Some(section))
}

/// Loss by epoch on test rows and on training rows.
pub fn picture(arms: &Arms<'_>) -> Figure {
    let svg = panel_chart("Loss by epoch", "epoch", "NLL, nats", &arms.panels);
    let caption = "One seed. Where a line rises again on test rows, training overfits: what is learned then helps on training rows alone.";
    Figure::new(svg, caption).named("test and training loss by epoch")
}

/// The same in letters, a chart for each kind of rows.
pub fn text_charts(arms: &Arms<'_>) -> Vec<String> {
    let [width, height] = TEXT_CHART;
    let chart = |panel: &Panel| {
        let label = format!("loss on {}, nats", panel.title);
        text_chart(&label, "epoch", &panel.series, width, height)
    };
    arms.panels.iter().map(chart).collect()
}

fn reliability(arms: &Arms<'_>) -> Result<Vec<Figure>> {
    let diagram = |arm| figures::reliability_of(arms.selected(arm, AS_TRAINED.stopping)?, false);
    let both = [PLAIN, ENSEMBLE].into_iter();
    both.filter_map(|arm| diagram(arm).transpose()).collect()
}
