//! The same work by PyTorch + PEFT, in a Python that the user names.

use std::path::Path;
use std::process::Command;

use super::report::Work;

/// What the script can do.
pub const WORKS: [Work; 3] = [Work::Forward, Work::Step, Work::Epoch];

/// `benches/peft_reference.py`, which takes its turns as this program does. For an epoch, `of` is a file with the number of
/// tokens of each row, a JSON list; for other work the name of a shape.
pub fn command(root: &Path, python: &Path, threads: usize, work: Work, of: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .arg(root.join("benches/peft_reference.py"))
        .args(["--threads", &threads.to_string()])
        .arg(work.argument())
        .arg(of);
    command
}
