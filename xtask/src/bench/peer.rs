//! The same work by PyTorch + PEFT, in a Python that the user names.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::report::{PEER, Row, Work};

#[derive(Deserialize)]
struct Line {
    shape: String,
    work: Work,
    milliseconds: f64,
    peak_mib: f64,
    versions: String,
}

/// The work of one start of the script.
pub enum Task<'a> {
    /// A forward pass and a training step.
    Shape(&'a str),
    /// Training on rows of so many tokens once.
    Epoch(&'a [usize]),
}

/// Runs `benches/peft_reference.py` and reads its lines: a process for each task, so that the peak memory is the task's.
pub fn run(
    root: &Path,
    python: &Path,
    task: &Task<'_>,
    repetitions: u32,
    threads: usize,
) -> Result<Vec<Row>> {
    let lengths = tempfile::NamedTempFile::new().context("a file for the lengths of rows")?;
    let mut command = Command::new(python);
    command
        .arg(root.join("benches/peft_reference.py"))
        .args(["--threads", &threads.to_string()])
        .args(["--repetitions", &repetitions.to_string()])
        .stderr(Stdio::inherit());
    match task {
        Task::Shape(name) => command.arg(name),
        Task::Epoch(rows) => {
            serde_json::to_writer(&lengths, rows).context("the lengths of rows")?;
            command.arg("--epoch").arg(lengths.path())
        }
    };
    eprintln!("measuring PyTorch + PEFT");
    let output = command
        .output()
        .with_context(|| format!("--peer-python {}: cannot start it", python.display()))?;
    ensure!(
        output.status.success(),
        "--peer-python {}: the script ended with {}",
        python.display(),
        output.status
    );
    let mut rows = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let line: Line =
            serde_json::from_str(line).with_context(|| format!("unexpected output of the peer: {line}"))?;
        rows.push(Row {
            tool: PEER.to_owned(),
            shape: line.shape,
            work: line.work,
            milliseconds: line.milliseconds,
            peak_mib: Some(line.peak_mib),
            versions: line.versions,
        });
    }
    Ok(rows)
}
