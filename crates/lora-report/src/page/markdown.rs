//! The page as Markdown, and its charts as files.

use std::collections::{HashMap, VecDeque};

use super::{Block, Figure, Page};
use crate::table::as_markdown::escape;

impl Page {
    /// The charts in the order of the page, each with a name for its file, without ending: section and what it shows, in
    /// small letters, digits and hyphens. No name stands twice.
    pub fn figures(&self) -> Vec<(String, &Figure)> {
        let mut found = Vec::new();
        for section in &self.sections {
            collect(&section.blocks, &section.heading, &mut found);
        }
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (name, _) in &mut found {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                *name = format!("{name}-{count}");
            }
        }
        found
    }

    /// Texts and tables as Markdown, under the command that made them. `figures` is the folder with the charts, as a
    /// reader of the text finds it, with [the names of their files](Self::figures) and the ending `svg`; without one they
    /// are left out.
    pub fn to_markdown(&self, figures: Option<&str>) -> String {
        let mut writer = Writer {
            parts: vec![format!("# {}", escape(&self.title))],
            names: figures
                .map(|folder| {
                    let path = |name: String| format!("{}/{name}.svg", folder.trim_end_matches('/'));
                    self.figures().into_iter().map(|(name, _)| path(name)).collect()
                })
                .unwrap_or_default(),
        };
        if !self.provenance.command.is_empty() {
            writer.text("Made by");
            writer.code(&self.provenance.command);
        }
        if !self.subtitle.is_empty() {
            writer.text(&self.subtitle);
        }
        for paragraph in &self.summary {
            writer.text(paragraph);
        }
        for section in &self.sections {
            writer.parts.push(format!("## {}", escape(&section.heading)));
            for paragraph in &section.text {
                writer.text(paragraph);
            }
            writer.blocks(&section.blocks);
        }
        let versions = self.provenance.versions.iter();
        let versions: Vec<String> = versions
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        if !versions.is_empty() {
            writer.text(&format!("Versions: {}.", versions.join(", ")));
        }
        writer.parts.join("\n\n") + "\n"
    }
}

fn collect<'page>(blocks: &'page [Block], heading: &str, found: &mut Vec<(String, &'page Figure)>) {
    for block in blocks {
        match block {
            Block::Figures(figures) => {
                found.extend(figures.iter().map(|figure| {
                    let name = if figure.name.is_empty() {
                        "figure"
                    } else {
                        &figure.name
                    };
                    (file_name(&format!("{heading} {name}")), figure)
                }));
            }
            Block::Details { blocks, .. } => collect(blocks, heading, found),
            _ => {}
        }
    }
}

/// Words as a file's name on any system.
fn file_name(words: &str) -> String {
    let parts = words.split(|character: char| !character.is_ascii_alphanumeric());
    let parts: Vec<String> = parts
        .filter(|part| !part.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    parts.join("-")
}

struct Writer {
    parts: Vec<String>,
    /// Paths of the charts that follow; none without a folder of charts.
    names: VecDeque<String>,
}

impl Writer {
    fn text(&mut self, text: &str) {
        self.parts.push(escape(text));
    }

    fn code(&mut self, code: &str) {
        self.parts.push(format!("~~~text\n{}\n~~~", code.trim_end()));
    }

    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            match block {
                Block::Table(table) => self.parts.push(table.to_markdown().trim_end().to_owned()),
                Block::Heading(heading) => self.parts.push(format!("### {}", escape(heading))),
                Block::Text(text) => self.text(text),
                Block::Code(code) => self.code(code),
                Block::Settings(settings) => {
                    let lines: Vec<String> = settings
                        .iter()
                        .map(|(name, value)| format!("- {}: {}", escape(name), escape(value)))
                        .collect();
                    self.parts.push(lines.join("\n"));
                }
                Block::Details { summary, blocks } => {
                    // Inside of a tag nothing but markup needs escaping.
                    let summary = summary.replace('&', "&amp;").replace('<', "&lt;");
                    self.parts
                        .push(format!("<details>\n<summary>{summary}</summary>"));
                    self.blocks(blocks);
                    self.parts.push("</details>".to_owned());
                }
                Block::Figures(figures) => self.figures(figures),
            }
        }
    }

    fn figures(&mut self, figures: &[Figure]) {
        for figure in figures {
            let Some(path) = self.names.pop_front() else {
                return;
            };
            let name = escape(&figure.name).replace(['[', ']'], "");
            self.parts.push(format!("![{name}]({path})"));
            if !figure.caption.is_empty() {
                self.text(&figure.caption);
            }
        }
    }
}
