//! The one place that prints. Results go to stdout, everything for people watching goes to stderr; with `--json` stdout
//! holds JSON and nothing else.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lora_pipeline::progress::{Counter, Progress};
use lora_report::Table;
use serde::Serialize;
use thiserror::Error;

use crate::time_left::TimeLeft;

/// A result that the standard output did not take.
#[derive(Debug, Error)]
#[error("cannot write to the standard output ({source}); check where it is redirected to")]
pub struct StdoutError {
    source: io::Error,
}

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

    /// As [`Terminal::say`], with lines broken between words.
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn paragraph(&self, text: &str) -> Result<()> {
        self.say(textwrap::fill(text, columns().map_or(120, usize::from)))
    }

    /// What a result begins with, a paragraph each, and an empty line before all that follows.
    ///
    /// # Errors
    ///
    /// As [`Terminal::say`].
    pub fn first_lines(&self, lines: &[String]) -> Result<()> {
        lines.iter().try_for_each(|line| self.paragraph(line))?;
        if lines.is_empty() {
            return Ok(());
        }
        self.say("")
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
}

impl Progress for Terminal {
    fn note(&self, line: &str) {
        Self::note(self, line);
    }

    /// A bar with rate and time left on stderr; a line every half minute where stderr is no terminal.
    fn start(&self, length: u64, what: &str, unit: &'static str) -> Box<dyn Counter> {
        let terminal = *self;
        let time_left = OfShares::default();
        if self.quiet || !io::stderr().is_terminal() {
            let bar = ProgressBar::hidden();
            bar.set_length(length);
            let heartbeat =
                (!self.quiet).then(|| Heartbeat::begin(bar.clone(), time_left.clone(), what, unit, terminal));
            return Box::new(Counting {
                bar,
                time_left,
                terminal,
                heartbeat,
            });
        }
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        bar.set_style(style(unit, time_left.clone()));
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Box::new(Counting {
            bar,
            time_left,
            terminal,
            heartbeat: None,
        })
    }
}

/// The time left where shares of the work are told; none where units are.
#[derive(Clone, Debug, Default)]
struct OfShares(Arc<Mutex<Option<TimeLeft>>>);

impl OfShares {
    fn tell(&self, share: f64, elapsed: Duration) {
        let mut of_shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of_shares.get_or_insert_default().tell(share, elapsed);
    }

    /// Nothing as long as nobody knows; `of_units`: what the count of units says.
    fn or(&self, of_units: Duration) -> Duration {
        let of_shares = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        of_shares.map_or(of_units, |time| time.left().unwrap_or_default())
    }
}

/// A bar on stderr.
struct Counting {
    bar: ProgressBar,
    time_left: OfShares,
    terminal: Terminal,
    /// Where nobody sees the bar.
    heartbeat: Option<Heartbeat>,
}

impl Counter for Counting {
    fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    fn add(&self, more: u64) {
        self.bar.inc(more);
    }

    fn set_share(&self, share: f64) {
        self.time_left.tell(share, self.bar.elapsed());
    }

    fn message(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    fn note(&self, line: &str) {
        if self.bar.is_hidden() {
            self.terminal.note(line);
        } else {
            self.bar.println(line);
        }
    }

    fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    fn finish(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.end();
        }
        self.bar.finish_and_clear();
    }
}

/// How often work says that it goes on, where stderr is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// A thread that says every now and then how far a piece of work has come, until it is dropped.
struct Heartbeat(Arc<(Mutex<bool>, Condvar)>);

impl Heartbeat {
    fn begin(
        bar: ProgressBar,
        time_left: OfShares,
        what: &str,
        unit: &'static str,
        terminal: Terminal,
    ) -> Self {
        let has_ended = Arc::new((Mutex::new(false), Condvar::new()));
        let (shared, what) = (Arc::clone(&has_ended), what.to_owned());
        std::thread::spawn(move || {
            let (ended, changed) = &*shared;
            let begun = Instant::now();
            let Ok(mut ended) = ended.lock() else { return };
            while !*ended {
                let Ok((now, waited)) = changed.wait_timeout(ended, HEARTBEAT) else {
                    return;
                };
                ended = now;
                if waited.timed_out() && !*ended {
                    let done = [bar.position(), bar.length().unwrap_or(0)];
                    let times = [begun.elapsed(), time_left.or(bar.eta())];
                    terminal.note(heartbeat_line(&what, done, unit, times, &bar.message()));
                }
            }
        });
        Self(has_ended)
    }

    fn end(&self) {
        let (ended, changed) = &*self.0;
        if let Ok(mut ended) = ended.lock() {
            *ended = true;
        }
        changed.notify_all();
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.end();
    }
}

/// How far work has come, and what is done at the moment: `training: 320 of 2000 steps after 60 s, about 315 s left; epoch 1.2`.
fn heartbeat_line(
    what: &str,
    [done, all]: [u64; 2],
    unit: &str,
    [elapsed, left]: [Duration; 2],
    message: &str,
) -> String {
    // Before anything is done nobody knows.
    let left = match left.as_secs() {
        0 => String::new(),
        seconds => format!(", about {seconds} s left"),
    };
    let message = if message.is_empty() {
        String::new()
    } else {
        format!("; {message}")
    };
    format!(
        "{what}: {done} of {all} {unit} after {} s{left}{message}",
        elapsed.as_secs()
    )
}

#[expect(clippy::expect_used, reason = "a constant template, checked by a test")]
fn style(unit: &'static str, time_left: OfShares) -> ProgressStyle {
    let template = "{prefix} {bar:28} {pos}/{len} · {rate}{left}  {wide_msg}";
    ProgressStyle::with_template(template)
        .expect("the template is valid")
        .with_key(
            "rate",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // Whoever formats a bar has no way to hear of an error.
                let _ = write!(out, "{:.1} {unit}/s", state.per_sec());
            },
        )
        .with_key(
            "left",
            move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let left = time_left.or(state.eta());
                if !left.is_zero() {
                    let _ = write!(out, " · {:#} left", HumanDuration(left));
                }
            },
        )
        .progress_chars("━╸ ")
}

/// The width that tables are fitted to, where it is known: what the shell says, else that of the terminal.
fn columns() -> Option<u16> {
    let terminal = console::Term::stdout();
    let given = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    let measured = || Some(terminal.size_checked()?.1);
    io::stdout()
        .is_terminal()
        .then(|| given.or_else(measured))
        .flatten()
}

fn print(text: &str) -> Result<()> {
    write(&format!("{text}\n"))
}

fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome.map_err(|source| StdoutError { source })?),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_without_a_terminal_says_what_is_done_of_how_much() {
        let line = |done, left, message| {
            let times = [60_400, left].map(std::time::Duration::from_millis);
            super::heartbeat_line("searching", [done, 2000], "rows", times, message)
        };
        assert_eq!(line(0, 0, ""), "searching: 0 of 2000 rows after 60 s");
        assert_eq!(
            line(500, 181_200, "round 2 of at most 12: σ = 0.1"),
            "searching: 500 of 2000 rows after 60 s, about 181 s left; round 2 of at most 12: σ = 0.1"
        );
    }

    #[test]
    fn shares_of_the_work_outvote_the_count_of_units() {
        let [of_units, elapsed] = [5, 10].map(std::time::Duration::from_secs);
        let time_left = super::OfShares::default();
        assert_eq!(time_left.or(of_units), of_units);
        time_left.tell(0.0, elapsed);
        assert!(time_left.or(of_units).is_zero(), "nothing is done yet");
        time_left.tell(0.5, elapsed);
        assert_eq!(time_left.or(of_units), elapsed);
    }

    #[test]
    fn the_template_of_the_bar_is_valid() {
        let _ = super::style("steps", super::OfShares::default());
    }
}
