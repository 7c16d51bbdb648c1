//! The same work by PyTorch + PEFT, in a Python that the user names.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::report::{Row, Work};

#[derive(Deserialize)]
struct Line {
    shape: String,
    forward_ms: f64,
    train_step_ms: f64,
}

/// Runs `benches/peft_reference.py` and reads its lines.
pub fn run(
    root: &Path,
    python: &Path,
    shapes: &[String],
    repetitions: u32,
    threads: usize,
) -> Result<Vec<Row>> {
    let mut command = Command::new(python);
    command
        .arg(root.join("benches/peft_reference.py"))
        .args([
            "--threads",
            &threads.to_string(),
            "--steps",
            &repetitions.to_string(),
        ])
        .stderr(Stdio::inherit());
    if !shapes.is_empty() {
        command.arg("--shapes").args(shapes);
    }
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
        for (work, milliseconds) in [(Work::Forward, line.forward_ms), (Work::Step, line.train_step_ms)] {
            rows.push(Row {
                tool: "PyTorch + PEFT",
                shape: line.shape.clone(),
                work,
                milliseconds,
            });
        }
    }
    Ok(rows)
}
