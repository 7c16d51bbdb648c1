//! The part of the book's page of benchmarks that this command writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::report::BenchResults;

const PAGE: &str = "docs/src/benchmarks.md";
const BEGIN: &str = "<!-- bench:begin -->\n";
const END: &str = "<!-- bench:end -->";
/// Begins the part of a processor.
const HEADING: &str = "### ";

/// Puts command, table and chart in the place of those that the page has of this processor; those of others stay.
///
/// # Errors
///
/// If the page lacks its marks, or cannot be written.
pub fn write(root: &Path, results: &BenchResults) -> Result<()> {
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let processor = results.processor();
    let written = replaced(&page, processor, &block(results))
        .with_context(|| format!("{PAGE} has no lines `{}` and `{END}`", BEGIN.trim()))?;
    if let Some(chart) = results.chart() {
        let beside = path.with_file_name(chart_name(processor));
        lora_core::atomic::write_file(&beside, chart.as_bytes())?;
    }
    lora_core::atomic::write_file(&path, written.as_bytes())?;
    Ok(())
}

/// What stands below the processor's heading.
fn block(results: &BenchResults) -> String {
    let chart = match results.chart() {
        Some(_) => {
            let file = chart_name(results.processor());
            format!("\n![How much longer others take]({file})\n")
        }
        None => String::new(),
    };
    format!(
        "```sh\n{}\n```\n\n{}\n{chart}",
        command(),
        results.table().to_markdown().trim_end()
    )
}

/// The file of a processor's chart: `benchmarks-amd-epyc-family-26-model-2.svg`.
fn chart_name(processor: &str) -> String {
    let words = processor.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    format!("benchmarks-{}.svg", words.join("-"))
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

/// The page with another part of this processor between its marks.
fn replaced(page: &str, processor: &str, block: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (measured, after) = rest.split_once(END)?;
    let own = format!("{HEADING}{processor}\n\n{}\n", block.trim_end());
    // The parts, each from its heading on.
    let mut parts: Vec<String> = Vec::new();
    for line in measured.lines() {
        if line.starts_with(HEADING) || parts.is_empty() {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts.retain(|part| part.starts_with(HEADING));
    let is_own = |part: &String| part.lines().next() == Some(own.lines().next().unwrap_or_default());
    match parts.iter().position(is_own) {
        Some(at) => parts[at] = own,
        None => parts.push(own),
    }
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    Some(format!("{before}{BEGIN}{}\n{END}{after}", parts.join("\n\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(measured: &str) -> String {
        format!("above\n{BEGIN}{measured}{END}\nbelow\n")
    }

    #[test]
    fn a_run_replaces_the_part_of_its_own_processor_alone() {
        let old = page("### One\n\nold\n\n### Two\n\nits table\n");
        let expected = page("### One\n\nnew\n\n### Two\n\nits table\n");
        assert_eq!(replaced(&old, "One", "new\n"), Some(expected));
        let expected = page("### One\n\nold\n\n### Two\n\nits table\n\n### Three\n\nnew\n");
        assert_eq!(replaced(&old, "Three", "new\n"), Some(expected));
    }

    #[test]
    fn the_first_part_needs_nothing_before_it() {
        let expected = page("### One\n\nnew\n");
        assert_eq!(replaced(&page(""), "One", "new\n"), Some(expected.clone()));
        assert_eq!(
            replaced(&page("of no processor\n"), "One", "new\n"),
            Some(expected)
        );
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert!(replaced("above\nbelow\n", "One", "new\n").is_none());
    }

    #[test]
    fn a_chart_is_named_after_its_processor() {
        let name = chart_name("AMD EPYC (family 26, model 2)");
        assert_eq!(name, "benchmarks-amd-epyc-family-26-model-2.svg");
    }
}
