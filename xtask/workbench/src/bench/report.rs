//! Measured times as a table of ratios.

use clap::ValueEnum;
use lora_kernels::Fp32Precision;
use lora_report::{Better, Cell, Column, IntervalRow, Table, interval_chart};
use serde::Serialize;

/// What was timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Forward pass.
    Forward,
    /// As many forward passes as the ensembles have members, one after the other.
    Forwards,
    /// Forward, backward, optimizer, plain LoRA.
    Step,
    /// The same with each f32 number of a product with frozen weights as two bf16 numbers.
    StepBf16x3,
    /// The same with frozen weights in bf16; PyTorch's with f32 products in bf16
    /// (`torch.backends.mkldnn.matmul.fp32_precision`).
    StepBf16,
    /// PyTorch's under autocast in bf16; ours has none.
    StepAutocast,
    /// The same with Burn's own LoRA.
    BurnStep,
    /// As many multiplications as the step's frozen products have, in one large product.
    Products,
    /// The step with LoRA Dropout, one mask an example.
    StepExampleMasks,
    /// The same with LoRA Dropout, four masks in one pass.
    StepFourGroups,
    /// The same with LoRA Dropout, four masks a step.
    StepFourMasks,
    /// Eight members of an ensemble in all layers' adapters.
    Ensemble,
    /// The same with adapters in the upper half of the layers.
    EnsembleUpperHalf,
    /// The plain step of the embedded MiniLM on real text in rows of 8 to 64 tokens, padded.
    Ragged,
    /// The same on as many tokens in rows of one length.
    Even,
    /// Continuing a prompt, per new token.
    Decode,
    /// The same with weights in bf16; PyTorch's model is all in bf16.
    DecodeBf16,
    /// Training on every row of a text once.
    Epoch,
}

impl Workload {
    /// What is timed for a shape: works whose times are compared stand together, and take turns.
    pub const COMPARED: [&[Self]; 2] = [
        &[
            Self::Forward,
            Self::Forwards,
            Self::Ensemble,
            Self::EnsembleUpperHalf,
        ],
        &[
            Self::Step,
            Self::StepBf16x3,
            Self::StepBf16,
            Self::StepAutocast,
            Self::BurnStep,
            Self::Products,
            Self::StepExampleMasks,
            Self::StepFourGroups,
            Self::StepFourMasks,
        ],
    ];

    /// What is timed of real text in rows of unequal length.
    pub const RAGGED: [Self; 2] = [Self::Ragged, Self::Even];

    /// What is timed of a decoder, as [`Workload::COMPARED`].
    pub const DECODER: [&[Self]; 2] = [
        &[Self::Step, Self::StepBf16x3, Self::StepBf16, Self::StepAutocast],
        &[Self::Decode, Self::DecodeBf16],
    ];

    /// What has a row in the table.
    const ROWS: [Self; 13] = [
        Self::Forward,
        Self::Step,
        Self::StepBf16x3,
        Self::StepBf16,
        Self::StepExampleMasks,
        Self::StepFourGroups,
        Self::StepFourMasks,
        Self::Ensemble,
        Self::EnsembleUpperHalf,
        Self::Ragged,
        Self::Decode,
        Self::DecodeBf16,
        Self::Epoch,
    ];

    /// The word for it on a command line.
    ///
    /// # Panics
    ///
    /// Never: every work has one.
    #[expect(clippy::expect_used, reason = "no variant is skipped")]
    pub fn argument(self) -> String {
        let value = self.to_possible_value().expect("a word for every work");
        value.get_name().to_owned()
    }

    /// Whose code does it in a process of this program.
    pub fn tool(self) -> &'static str {
        if self == Self::BurnStep { BURN } else { OURS }
    }

    /// Whether only the peer does it.
    pub fn is_of_peer_alone(self) -> bool {
        self == Self::StepAutocast
    }

    /// A step of plain LoRA, in any precision.
    fn is_plain_step(self) -> bool {
        matches!(self, Self::Step | Self::StepBf16x3 | Self::StepBf16)
    }

    /// In words, for the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Forwards => "forward passes in a row",
            Self::Step | Self::BurnStep => "training step",
            Self::StepBf16x3 => "training step, bf16x3",
            Self::StepBf16 => "training step, bf16",
            Self::StepAutocast => "training step, autocast",
            Self::Products => "products alone",
            Self::StepExampleMasks => "training step, a mask an example",
            Self::StepFourGroups => "training step, 4 masks in one pass",
            Self::StepFourMasks => "training step, 4 masks",
            Self::Ensemble => "ensemble of 8",
            Self::EnsembleUpperHalf => "ensemble of 8, adapters in the upper half",
            Self::Ragged => "training step, 16 rows of 8 to 64 tokens",
            Self::Even => "training step, 16 rows of 36 tokens",
            Self::Decode => "a token of a continued text",
            Self::DecodeBf16 => "a token of a continued text, bf16",
            Self::Epoch => "an epoch of the text",
        }
    }
}

/// This project, as a tool.
pub const OURS: &str = "this project";
/// What somebody writes with Burn alone.
pub const BURN: &str = "Burn apply_lora";
/// What most people use.
pub const PEER: &str = "PyTorch + PEFT";
/// Members of the ensembles that are timed.
pub const MEMBERS: u64 = 8;

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Who did it.
    pub tool: String,
    /// Name of the shape.
    pub shape: String,
    /// What.
    pub work: Workload,
    /// Median of the turns, each the median of its repetitions; of an epoch the only one.
    pub milliseconds: f64,
    /// The most memory that the process held.
    pub peak_mib: Option<f64>,
    /// Of the tool and of what it is built on.
    pub versions: String,
}

/// All measurements of a run.
#[derive(Debug, Serialize)]
pub struct BenchResults {
    threads: usize,
    turns: u32,
    device: String,
    processor: String,
    rows: Vec<Measurement>,
}

impl BenchResults {
    /// Measurements and how they were taken.
    pub fn new(rows: Vec<Measurement>, threads: usize, turns: u32, device: &str) -> Self {
        Self {
            threads,
            turns,
            device: device.to_owned(),
            processor: processor(),
            rows,
        }
    }

    /// The processor's name.
    pub fn processor(&self) -> &str {
        &self.processor
    }

    /// A row for each shape and work: our time, and how many times as long the others took.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::new("this project", Better::None, 0).with_unit("ms"),
            Column::new("Burn apply_lora / ours", Better::None, 2),
            Column::new("PyTorch + PEFT / ours", Better::None, 2),
            Column::new("its autocast bf16 / ours", Better::None, 2),
            Column::new("plain / ours", Better::None, 2),
            Column::new("products / ours", Better::None, 2),
            Column::new("ours / without padding", Better::None, 2),
            Column::new("peak memory", Better::None, 0).with_unit("MiB"),
            Column::new("PyTorch + PEFT / ours, memory", Better::None, 2),
        ];
        let note = format!(
            "{}; {}, {}, {} threads, f32, bf16 by {}, LoRA r=8 on query and value, medians of {} turns; PyTorch + PEFT: in f32, beside our bf16 with its f32 products in bf16; plain: a step without LoRA Dropout, a token with f32 weights, or {MEMBERS} forward passes in a row; without padding: a step on as many tokens in rows of one length; others / ours above 1: ours is faster, or smaller",
            self.versions(),
            self.device,
            self.processor,
            self.threads,
            Fp32Precision::bf16_unit().unwrap_or("nothing"),
            self.turns
        );
        let mut table = Table::new("Time", "work", columns).with_note(note);
        let mut shapes: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !shapes.contains(&row.shape.as_str()) {
                shapes.push(&row.shape);
            }
        }
        for shape in shapes {
            for work in Workload::ROWS {
                let Some(ours) = self.find(OURS, shape, work) else {
                    continue;
                };
                let time_of = |tool: &str, work| {
                    let other = self.find(tool, shape, work);
                    other.map_or(Cell::Empty, |other| {
                        Cell::value(other.milliseconds / ours.milliseconds)
                    })
                };
                // What plain LoRA needs: one step, or as many forward passes as there are members.
                let plain = match work {
                    Workload::Forward | Workload::Ragged | Workload::Decode | Workload::Epoch => Cell::Empty,
                    Workload::DecodeBf16 => time_of(OURS, Workload::Decode),
                    Workload::Ensemble | Workload::EnsembleUpperHalf => time_of(OURS, Workload::Forwards),
                    _ => time_of(OURS, Workload::Step),
                };
                let even = self
                    .find(OURS, shape, Workload::Even)
                    .filter(|_| work == Workload::Ragged);
                let only_if = |yes: bool, cell: Cell| if yes { cell } else { Cell::Empty };
                let peer = self.find(PEER, shape, work);
                let memory = peer.and_then(|peer| Some(Cell::value(peer.peak_mib? / ours.peak_mib?)));
                let cells = vec![
                    Cell::value(ours.milliseconds),
                    only_if(work == Workload::Step, time_of(BURN, Workload::BurnStep)),
                    // It has nothing between f32 and bf16.
                    time_of(
                        PEER,
                        if work == Workload::StepBf16x3 {
                            Workload::Step
                        } else {
                            work
                        },
                    ),
                    only_if(work.is_plain_step(), time_of(PEER, Workload::StepAutocast)),
                    plain,
                    only_if(work == Workload::Step, time_of(OURS, Workload::Products)),
                    even.map_or(Cell::Empty, |even| {
                        Cell::value(ours.milliseconds / even.milliseconds)
                    }),
                    ours.peak_mib.map_or(Cell::Empty, Cell::value),
                    memory.unwrap_or(Cell::Empty),
                ];
                table.push(format!("{shape}: {}", work.name()), cells);
            }
        }
        table
    }

    /// How much longer others take than this project, in per cent, as an SVG; none if nobody else was measured.
    pub fn chart(&self) -> Option<String> {
        let longer = |ours: &Measurement, tool: &str, work| {
            let other = self.find(tool, &ours.shape, work)?;
            let percent = 100.0 * (other.milliseconds / ours.milliseconds - 1.0);
            Some((percent, [percent.min(0.0), percent.max(0.0)]))
        };
        let mut rows = Vec::new();
        for ours in self.rows.iter().filter(|row| row.tool == OURS) {
            let burn = (ours.work == Workload::Step)
                .then(|| longer(ours, BURN, Workload::BurnStep))
                .flatten();
            let estimates = vec![longer(ours, PEER, ours.work), burn];
            if estimates.iter().any(Option::is_some) {
                rows.push(IntervalRow {
                    label: format!("{}: {}", ours.shape, ours.work.name()),
                    estimates,
                    is_total: false,
                });
            }
        }
        let names = [PEER, "Burn alone, with its apply_lora"];
        let x_label = "more time than this project takes (%); left of zero: less";
        (!rows.is_empty()).then(|| interval_chart("Time of others", x_label, &names, &rows, None))
    }

    /// Everything that took part, once.
    fn versions(&self) -> String {
        let mut all: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !row.versions.is_empty() && !all.contains(&row.versions.as_str()) {
                all.push(&row.versions);
            }
        }
        all.join("; ")
    }

    fn find(&self, tool: &str, shape: &str, work: Workload) -> Option<&Measurement> {
        self.rows
            .iter()
            .find(|row| row.tool == tool && row.shape == shape && row.work == work)
    }
}

/// The processor's name where the system tells it; with its family and model, for some names are those of many.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let of_key = |line: &str| {
            let (found, value) = line.split_once(':')?;
            (found.trim() == key).then(|| value.trim().to_owned())
        };
        info.lines().find_map(of_key)
    };
    match (value("model name"), value("cpu family"), value("model")) {
        (Some(name), Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        (Some(name), ..) => name,
        _ => std::env::consts::ARCH.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_means_that_ours_is_faster() {
        let row = |tool: &str, work, milliseconds| Measurement {
            tool: tool.into(),
            shape: "s".into(),
            work,
            milliseconds,
            peak_mib: None,
            versions: String::new(),
        };
        let rows = vec![
            row(OURS, Workload::Forward, 10.0),
            row(OURS, Workload::Step, 20.0),
            row(OURS, Workload::StepFourMasks, 80.0),
            row(PEER, Workload::Forward, 15.0),
            row(PEER, Workload::Step, 10.0),
        ];
        let csv = BenchResults::new(rows, 2, 7, "flex").table().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[1].starts_with("s: forward,10"), "{csv}");
        assert!(lines[1].contains(",1.5"), "{csv}");
        assert!(lines[2].contains(",0.5"), "{csv}");
        assert!(lines[3].contains(",0.25"), "{csv}");
    }
}
