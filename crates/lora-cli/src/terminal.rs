//! The one place that prints. Results go to stdout, everything for people watching goes to stderr; with `--json` stdout
//! holds JSON and nothing else.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lora_eval::report::Table;
use serde::Serialize;

/// How this run talks.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    quiet: bool,
    json: bool,
}

impl Terminal {
    /// `quiet`: no progress and no notes. `json`: results as JSON.
    pub fn new(quiet: bool, json: bool) -> Self {
        Self { quiet, json }
    }

    /// Whether results are to be JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether nobody wants notes and progress.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// A line about what is going on, to stderr.
    pub fn note(&self, line: impl AsRef<str>) {
        if !self.quiet {
            // A closed stderr is nothing to fail about.
            let _ = writeln!(io::stderr(), "{}", line.as_ref());
        }
    }

    /// A result for people, to stdout; to stderr where stdout is for JSON.
    ///
    /// # Errors
    ///
    /// If stdout cannot be written. A reader that went away is no error.
    pub fn say(&self, text: impl AsRef<str>) -> Result<()> {
        if self.json {
            self.note(text);
            Ok(())
        } else {
            print(text.as_ref().trim_end_matches('\n'))
        }
    }

    /// A table; see [`Terminal::say`].
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn table(&self, table: &Table) -> Result<()> {
        self.say(table.to_text(columns()))
    }

    /// The result as one JSON document on stdout, if JSON is wanted.
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn document(&self, value: &impl Serialize) -> Result<()> {
        if self.json {
            print(&serde_json::to_string_pretty(value).context("the result is no JSON")?)?;
        }
        Ok(())
    }

    /// One line of raw output on stdout: a row of JSONL, a shell script.
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn raw(&self, text: &str) -> Result<()> {
        print(text)
    }

    /// A piece of a text that is still being made, to stdout, without a line's end; nothing where stdout is for JSON.
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn piece(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { write(text) }
    }

    /// A bar with rate and time left on stderr; hidden where stderr is no terminal.
    ///
    /// # Panics
    ///
    /// Never: the template is checked by a test.
    pub fn progress(&self, length: u64, what: &str) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        bar.set_style(style());
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

#[expect(clippy::expect_used, reason = "a constant template, checked by a test")]
fn style() -> ProgressStyle {
    let template = "{prefix} {bar:28} {pos}/{len} · {per_sec} · {eta} left  {wide_msg}";
    ProgressStyle::with_template(template)
        .expect("the template is valid")
        .progress_chars("━╸ ")
}

/// The width that tables are fitted to, where the shell says it.
fn columns() -> Option<u16> {
    let given = std::env::var("COLUMNS").ok()?.parse().ok()?;
    io::stdout().is_terminal().then_some(given)
}

fn print(text: &str) -> Result<()> {
    write(&format!("{text}\n"))
}

fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to the standard output; check where it is redirected to"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_of_the_bar_is_valid() {
        let _ = super::style();
    }
}
