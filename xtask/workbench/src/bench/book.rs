//! The part of the book's page of benchmarks that this command writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::report::Results;

const PAGE: &str = "docs/src/benchmarks.md";
const CHART: &str = "benchmarks.svg";
const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";

/// Puts command, table and chart in the place of those that the page has.
///
/// # Errors
///
/// If the page lacks its marks, or cannot be written.
pub fn write(root: &Path, results: &Results) -> Result<()> {
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let written = replaced(&page, &block(results))
        .with_context(|| format!("{PAGE} has no lines `{}` and `{END}`", BEGIN.trim()))?;
    if let Some(chart) = results.chart() {
        let beside = path.with_file_name(CHART);
        lora_core::atomic::write_file(&beside, chart.as_bytes())?;
    }
    lora_core::atomic::write_file(&path, written.as_bytes())?;
    Ok(())
}

fn block(results: &Results) -> String {
    let chart = match results.chart() {
        Some(_) => format!("\n![How much longer others take]({CHART})\n"),
        None => String::new(),
    };
    format!(
        "```sh\n{}\n```\n\n{}\n{chart}",
        command(),
        results.table().to_markdown().trim_end()
    )
}

/// The command line as somebody else would type it: where files lie on this machine is nobody's business.
fn command() -> String {
    let mut words = vec!["cargo xtask".to_owned()];
    for word in std::env::args_os().skip(1) {
        let path = PathBuf::from(&word);
        words.push(match path.file_name() {
            Some(name) if path.is_absolute() => name.to_string_lossy().into_owned(),
            _ => word.to_string_lossy().into_owned(),
        });
    }
    words.join(" ")
}

/// The page with another text between its marks.
fn replaced(page: &str, block: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_outside_of_the_marks_stays() {
        let page = format!("above\n{BEGIN}old\n{END}\nbelow\n");
        let expected = format!("above\n{BEGIN}new\n{END}\nbelow\n");
        assert_eq!(replaced(&page, "new\n"), Some(expected));
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert!(replaced("above\nbelow\n", "new\n").is_none());
    }
}
