//! The page: everything about one run in one HTML file that needs nothing else.

use minijinja::value::Serde;
use minijinja::{Value as Markup, context};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Table;
use super::templates::{CHART_STYLE, json_for_script, render};

mod markdown;
#[cfg(test)]
mod tests;

/// A report. All texts are plain text: markup in them is shown, never obeyed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// What was done, in a few words.
    pub title: String,
    /// One line under the title; empty for none.
    #[serde(default)]
    pub subtitle: String,
    /// What came out, in a few paragraphs: the part that everybody reads.
    #[serde(default)]
    pub summary: Vec<String>,
    /// The parts of the report.
    #[serde(default)]
    pub sections: Vec<Section>,
    /// Every setting of the run, as an object; shown with dotted names. `null` for none.
    #[serde(default)]
    pub settings: Value,
    /// What made the report.
    #[serde(default)]
    pub provenance: Provenance,
    /// The raw results. The page carries them and offers them as a file; `null` for none.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub results: Value,
}

/// How the report can be made again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Programs and libraries, each with its version.
    #[serde(default)]
    pub versions: Vec<(String, String)>,
    /// The command as typed; empty for none.
    #[serde(default)]
    pub command: String,
    /// When it ran, already in words. Left out where the same run must give the same bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
}

/// A part of the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// Paragraphs under the heading.
    #[serde(default)]
    pub text: Vec<String>,
    /// Tables, charts and more, in order.
    #[serde(default)]
    pub blocks: Vec<Block>,
}

/// What a section is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// Numbers.
    Table(Table),
    /// Charts, side by side where there is room.
    Figures(Vec<Figure>),
    /// Names and values.
    Settings(Vec<(String, String)>),
    /// A heading inside of the section.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Lines as they are, such as a file or a command.
    Code(String),
    /// What is folded away until the reader opens it.
    Details {
        /// What there is to open.
        summary: String,
        /// What is inside.
        blocks: Vec<Block>,
    },
}

/// A chart with words under it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Markup of the chart, made by a chart function of [this crate](crate). It is put into the page as it is: never
    /// pass markup from elsewhere.
    pub svg: String,
    /// How to read it; empty for nothing.
    pub caption: String,
    /// What it shows, in a few words: in a file's name, and in its place where it cannot be seen.
    #[serde(default)]
    pub name: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// The page as one HTML file: no fonts, scripts or charts from elsewhere, light or dark as the reader's system
    /// is, from phone to print. The same page gives the same bytes.
    pub fn to_html(&self) -> String {
        let sections: Vec<_> = self.sections.iter().map(section_context).collect();
        let has_figures = !self.figures().is_empty();
        let results =
            (!self.results.is_null()).then(|| Markup::from_safe_string(json_for_script(&self.results)));
        let settings = flatten_settings(&self.settings);
        render(
            "page.html",
            context! { page => Serde(self), sections, settings => Serde(settings), results, has_figures },
        )
    }
}

impl Section {
    /// A section without content.
    pub fn new(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            ..Self::default()
        }
    }

    /// The same section with one more paragraph.
    #[must_use]
    pub fn with_text(mut self, paragraph: impl Into<String>) -> Self {
        self.text.push(paragraph.into());
        self
    }

    /// The same section with one more block.
    #[must_use]
    pub fn with_block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

impl Figure {
    /// A chart and its caption.
    pub fn new(svg: impl Into<String>, caption: impl Into<String>) -> Self {
        Self {
            svg: svg.into(),
            caption: caption.into(),
            name: String::new(),
        }
    }

    /// The same chart with a name for what it shows.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

fn section_context(section: &Section) -> Markup {
    let blocks = blocks_to_html(&section.blocks);
    context! { heading => section.heading.as_str(), text => Serde(&section.text), blocks }
}

fn blocks_to_html(blocks: &[Block]) -> Markup {
    Markup::from_safe_string(blocks.iter().map(block_to_html).collect())
}

fn block_to_html(block: &Block) -> String {
    let context = match block {
        Block::Table(table) => return table.to_html(),
        Block::Settings(settings) => {
            return render("settings.html", context! { settings => Serde(settings) });
        }
        Block::Heading(heading) => context! { heading => heading.as_str() },
        Block::Text(text) => context! { text => text.as_str() },
        Block::Code(code) => context! { code => code.as_str() },
        Block::Details { summary, blocks } => {
            context! { summary => summary.as_str(), blocks => blocks_to_html(blocks) }
        }
        Block::Figures(figures) => {
            let figures: Vec<_> = figures
                .iter()
                .map(|figure| {
                    // The page has the style once.
                    let svg = figure.svg.replacen(CHART_STYLE, "", 1);
                    context! { svg => Markup::from_safe_string(svg), caption => figure.caption.as_str() }
                })
                .collect();
            context! { figures }
        }
    };
    render("block.html", context)
}

/// The leaves of a settings tree with dotted names, in order. Lists of plain values stay together.
fn flatten_settings(settings: &Value) -> Vec<(String, String)> {
    fn visit(name: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
        match value {
            Value::Object(entries) if !entries.is_empty() => {
                for (key, value) in entries {
                    let name = if name.is_empty() {
                        key.clone()
                    } else {
                        format!("{name}.{key}")
                    };
                    visit(&name, value, leaves);
                }
            }
            Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
                for (index, item) in items.iter().enumerate() {
                    visit(&format!("{name}[{index}]"), item, leaves);
                }
            }
            Value::Array(items) => {
                let words: Vec<_> = items.iter().map(leaf).collect();
                leaves.push((name.to_owned(), words.join(", ")));
            }
            _ => leaves.push((name.to_owned(), leaf(value))),
        }
    }
    let mut leaves = Vec::new();
    if !settings.is_null() {
        visit("", settings, &mut leaves);
    }
    leaves
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    }
}
