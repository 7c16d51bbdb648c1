//! A process that does one piece of work whenever it is told to.
//!
//! Machines are faster one minute than the next. Works whose times are compared therefore take turns: each has a process of its
//! own, which waits while the others work, and whose peak memory is that of its work.
//!
//! A line to its standard input asks for a turn; the answer is a line with the milliseconds of each repetition, as a JSON list. At
//! the end of its input it says, in a JSON object, how much memory it took, and what it is.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::report::{Measurement, Workload};

/// What a process says of itself in the end.
#[derive(Serialize, Deserialize)]
pub struct Finished {
    /// The most memory that it held.
    pub peak_mib: Option<f64>,
    /// Of the tool and of what it is built on.
    pub versions: String,
}

/// A process, and how long its repetitions took.
pub struct Worker {
    tool: &'static str,
    shape: String,
    work: Workload,
    process: Child,
    /// None once there is nothing more to ask.
    requests: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
    /// The median of each turn that counts.
    milliseconds: Vec<f64>,
}

impl Drop for Worker {
    /// Nobody waits for a process whose measurement is given up.
    fn drop(&mut self) {
        self.requests = None;
        // If it has ended already, there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Worker {
    /// Starts the process; it prepares its work while others do theirs.
    ///
    /// # Errors
    ///
    /// If there is no such program.
    pub fn start(command: &mut Command, tool: &'static str, shape: &str, work: Workload) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let requests = process.stdin.take();
        let answers = process.stdout.take().context("a pipe from the process")?;
        Ok(Self {
            tool,
            shape: shape.to_owned(),
            work,
            process,
            requests,
            answers: BufReader::new(answers).lines(),
            milliseconds: Vec::new(),
        })
    }

    /// One turn; `counted` or thrown away.
    ///
    /// # Errors
    ///
    /// If the process has ended, or says something else.
    pub fn turn(&mut self, counted: bool) -> Result<()> {
        if let Some(requests) = &mut self.requests {
            // If it has ended, reading its answer will tell.
            let _ = requests.write_all(b"\n");
        }
        let milliseconds = median(self.answer()?).context("a turn without a repetition")?;
        if counted {
            self.milliseconds.push(milliseconds);
        }
        Ok(())
    }

    /// Ends the process; the median of its turns.
    ///
    /// # Errors
    ///
    /// As [`Worker::turn`], and if no turn was counted.
    pub fn finish(mut self) -> Result<Measurement> {
        self.requests = None;
        let Finished { peak_mib, versions } = self.answer()?;
        let status = self.process.wait().context("a process that does not end")?;
        ensure!(status.success(), "{}: it ended with {status}", self.name());
        let milliseconds = median(std::mem::take(&mut self.milliseconds)).context("no turn was counted")?;
        Ok(Measurement {
            tool: self.tool.to_owned(),
            shape: self.shape.clone(),
            work: self.work,
            milliseconds,
            peak_mib,
            versions,
        })
    }

    /// Who does what.
    pub fn name(&self) -> String {
        format!("{}, {}: {}", self.tool, self.shape, self.work.name())
    }

    fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let Some(line) = self.answers.next() else {
            // It may still wait for a request.
            self.requests = None;
            let status = self.process.wait().context("a process that does not end")?;
            bail!("{}: it ended with {status}", self.name());
        };
        let line = line.with_context(|| format!("reading from {}", self.name()))?;
        serde_json::from_str(&line).with_context(|| format!("{}: unexpected output: {line}", self.name()))
    }
}

/// The middle number; the mean of the two in the middle of an even count; none of none.
fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    Some(if numbers.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(numbers[middle - 1], upper)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 20.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 3.0, 20.0]), Some(3.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[cfg(unix)]
    mod with_a_shell {
        use super::*;

        fn worker(script: &str) -> Worker {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Worker::start(&mut command, "tool", "shape", Workload::Step).expect("there is a shell")
        }

        #[test]
        fn turns_that_count_are_in_the_median() {
            let script = r#"n=0; while read -r _; do n=$((n + 1)); if [ $n = 4 ]; then echo "[4,4,4]"; else echo "[$n]"; fi; done; echo '{"peak_mib": 7.5, "versions": "v"}'"#;
            let mut worker = worker(script);
            for counted in [false, true, true, true] {
                worker.turn(counted).expect("a list of numbers");
            }
            let row = worker.finish().expect("an object");
            // Turns 2, 3 and 4; a long list has no more weight than a short one.
            assert_eq!(
                (row.milliseconds, row.peak_mib, row.versions.as_str()),
                (3.0, Some(7.5), "v")
            );
        }

        #[test]
        fn a_process_that_ends_too_early_is_named() {
            let error = worker("read -r _; exec >&-; while read -r _; do :; done; exit 3")
                .turn(true)
                .expect_err("it said nothing");
            assert!(
                error.to_string().contains("tool, shape: training step"),
                "{error}"
            );
            assert!(error.to_string().contains('3'), "{error}");
        }
    }
}
