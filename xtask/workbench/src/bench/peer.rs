//! The same work by PyTorch + PEFT, in a Python that the user names.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::report::Workload;

/// What the script can do.
pub const WORKS: [Workload; 7] = [
    Workload::Forward,
    Workload::Step,
    Workload::StepBf16,
    Workload::StepAutocast,
    Workload::Decode,
    Workload::DecodeBf16,
    Workload::Epoch,
];

const SCRIPT: &str = "benches/peft_reference.py";

/// The script, which takes its turns as this program does. `of` is the name of a shape; for an epoch a file with the number of
/// tokens of each row, a JSON list.
pub fn command(root: &Path, python: &Path, threads: usize, work: Workload, of: &OsStr) -> Command {
    let mut command = Command::new(python);
    command
        .arg(root.join(SCRIPT))
        .args(["--threads", &threads.to_string()])
        .arg(work.argument())
        .arg(of);
    command
}

#[cfg(test)]
mod tests {
    use bench_model::{SHAPES, decoder};

    use super::super::measure::{EPOCH_BATCH, EPOCH_WARM_UP, TURN};
    use super::*;

    #[test]
    fn the_script_does_the_same_work() {
        let root = crate::repository_root();
        let script = std::fs::read_to_string(root.join(SCRIPT)).expect("the script is in the repository");
        let mut lines = vec![
            format!("TURN = {}  #", TURN.as_secs_f64()),
            format!("EPOCH_BATCH = {EPOCH_BATCH}\n"),
            format!("EPOCH_WARM_UP = {EPOCH_WARM_UP}  #"),
        ];
        for shape in SHAPES {
            let (d_model, d_ff, n_heads) = (shape.d_model, shape.d_ff, shape.n_heads);
            let (n_layers, batch, seq) = (shape.n_layers, shape.batch, shape.seq);
            let name = shape.name;
            lines.push(format!(
                "\"{name}\": ({d_model}, {d_ff}, {n_heads}, {n_layers}, {batch}, {seq})"
            ));
        }
        let decoder::DecoderShape {
            d_model,
            d_ff,
            n_heads,
            n_key_value_heads,
            n_layers,
            vocab_size,
            batch,
            seq,
        } = decoder::SIZES;
        lines.push(format!(
            "\"{}\": ({d_model}, {d_ff}, {n_heads}, {n_key_value_heads}, {n_layers}, {vocab_size}, {batch}, {seq})",
            decoder::NAME
        ));
        lines.push(format!(
            "PROMPT, NEW_TOKENS = {}, {}\n",
            decoder::PROMPT,
            decoder::NEW_TOKENS
        ));
        let works: Vec<String> = WORKS
            .iter()
            .map(|work| format!("\"{}\"", work.argument()))
            .collect();
        lines.push(format!("choices=[{}]", works.join(", ")));
        for line in lines {
            assert!(script.contains(&line), "{line}");
        }
    }
}
