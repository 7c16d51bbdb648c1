//! Measured times as a table of ratios.

use clap::ValueEnum;
use lora_eval::report::{Better, Cell, Column, Table};
use serde::Serialize;

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Forward pass.
    Forward,
    /// Forward, backward, optimizer, plain LoRA.
    Step,
    /// The same with LoRA Dropout, one mask an example.
    StepExampleMasks,
    /// The same with LoRA Dropout, four masks in one pass.
    StepFourGroups,
    /// The same with LoRA Dropout, four masks a step.
    StepFourMasks,
}

impl Work {
    const ALL: [Self; 5] = [
        Self::Forward,
        Self::Step,
        Self::StepExampleMasks,
        Self::StepFourGroups,
        Self::StepFourMasks,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Step => "training step",
            Self::StepExampleMasks => "training step, a mask an example",
            Self::StepFourGroups => "training step, 4 masks in one pass",
            Self::StepFourMasks => "training step, 4 masks",
        }
    }
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Who did it.
    pub tool: &'static str,
    /// Name of the shape.
    pub shape: String,
    /// What.
    pub work: Work,
    /// Median.
    pub milliseconds: f64,
}

/// All measurements of a run.
#[derive(Debug, Serialize)]
pub struct Results {
    threads: usize,
    repetitions: u32,
    processor: String,
    rows: Vec<Row>,
}

impl Results {
    /// Measurements and how they were taken.
    pub fn new(rows: Vec<Row>, threads: usize, repetitions: u32) -> Self {
        Self {
            threads,
            repetitions,
            processor: processor(),
            rows,
        }
    }

    /// A row for each shape and work: our time, and how many times as long the others took.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::new("this project", Better::None, 0).with_unit("ms"),
            Column::new("Burn apply_lora / ours", Better::None, 2),
            Column::new("PyTorch + PEFT / ours", Better::None, 2),
            Column::new("plain step / ours", Better::None, 2),
        ];
        let note = format!(
            "{}, {} threads, f32, LoRA r=8 on query and value, medians of {}; above 1: ours is faster",
            self.processor, self.threads, self.repetitions
        );
        let mut table = Table::new("Time", "work", columns).with_note(note);
        let mut shapes: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !shapes.contains(&row.shape.as_str()) {
                shapes.push(&row.shape);
            }
        }
        for shape in shapes {
            for work in Work::ALL {
                let Some(ours) = self.time("this project", shape, work) else {
                    continue;
                };
                let ratio = |tool: &str, work| {
                    self.time(tool, shape, work)
                        .map_or(Cell::Empty, |time| Cell::value(time / ours))
                };
                let plain_step = if work == Work::Forward {
                    Cell::Empty
                } else {
                    ratio("this project", Work::Step)
                };
                let cells = vec![
                    Cell::value(ours),
                    ratio("Burn apply_lora", work),
                    ratio("PyTorch + PEFT", work),
                    plain_step,
                ];
                table.push(format!("{shape}: {}", work.name()), cells);
            }
        }
        table
    }

    fn time(&self, tool: &str, shape: &str, work: Work) -> Option<f64> {
        let row = self
            .rows
            .iter()
            .find(|row| row.tool == tool && row.shape == shape && row.work == work);
        row.map(|row| row.milliseconds)
    }
}

/// The processor's name where the system tells it.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(
        || std::env::consts::ARCH.to_owned(),
        |(_, name)| name.trim().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_means_that_ours_is_faster() {
        let row = |tool, work, milliseconds| Row {
            tool,
            shape: "s".into(),
            work,
            milliseconds,
        };
        let rows = vec![
            row("this project", Work::Forward, 10.0),
            row("this project", Work::Step, 20.0),
            row("this project", Work::StepFourMasks, 80.0),
            row("PyTorch + PEFT", Work::Forward, 15.0),
            row("PyTorch + PEFT", Work::Step, 10.0),
        ];
        let csv = Results::new(rows, 2, 7).table().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[1].starts_with("s: forward,10"), "{csv}");
        assert!(lines[1].contains(",1.5"), "{csv}");
        assert!(lines[2].contains(",0.5"), "{csv}");
        assert!(lines[3].contains(",0.25"), "{csv}");
    }
}
