//! What made a result: program, versions, command line.

use serde::{Deserialize, Serialize};

use crate::counted::counted;

/// Name of the program, by which its own files are known.
pub const PROGRAM: &str = "lora";
/// Version of the tensor library; a test compares it with the lock file.
const BURN: &str = "0.22.1";

/// What made a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeBy {
    /// [`PROGRAM`].
    pub program: String,
    /// Versions, each with the name of what has it.
    pub versions: Vec<(String, String)>,
    /// The command as typed.
    pub command: String,
    /// Operating system, architecture, cores, and the model of the processor where the system tells it.
    pub platform: String,
}

impl MadeBy {
    /// This program, as it was called.
    pub fn this_call() -> Self {
        let words: Vec<String> = std::env::args_os()
            .map(|word| quoted(&word.to_string_lossy()))
            .collect();
        let mut command = words;
        if let Some(program) = command.first_mut() {
            // Where the program lies says nothing about what it did.
            PROGRAM.clone_into(program);
        }
        Self {
            program: PROGRAM.to_owned(),
            versions: vec![
                (PROGRAM.to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("burn".to_owned(), BURN.to_owned()),
            ],
            command: command.join(" "),
            platform: platform(),
        }
    }
}

fn platform() -> String {
    let cores =
        std::thread::available_parallelism().map(|cores| format!(", {}", counted(cores.get(), "core")));
    // Linux has it as a line for each core.
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = told.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map(|model| format!(" of {}", model.trim_start_matches([' ', '\t', ':']).trim()));
    format!(
        "{} {}{}{}",
        std::env::consts::OS,
        std::env::consts::ARCH,
        cores.unwrap_or_default(),
        model.unwrap_or_default()
    )
}

/// A word as a shell would read it back.
pub fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./=,:+@%~".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(quoted("--r"), "--r");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a b.csv"), "'a b.csv'");
        assert_eq!(quoted("runs/a.csv"), "runs/a.csv");
    }

    #[test]
    fn the_version_of_burn_is_that_of_the_lock_file() {
        let lock = include_str!("../../../../Cargo.lock");
        let package = format!("name = \"burn\"\nversion = \"{BURN}\"\n");
        assert!(lock.contains(&package));
    }
}
