//! What the parser would guess at: a flag that belongs to other subcommands is said by their names, a file without its flag by that flag.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Flags whose absence has a reason.
const REASONS: [(&str, &str); 1] = [(
    "dtype",
    "trainings compute in f32, because in 16 bits small updates are rounded away",
)];

/// The sentence for a flag that the subcommand does not have and others do; none for any other mistake. `words` are those of the
/// command line.
pub fn of_another_subcommand(
    command: &clap::Command,
    error: &clap::Error,
    words: &[String],
) -> Option<String> {
    let (unknown, asked) = unknown(command, error, words)?;
    let flag = unknown.strip_prefix("--")?.split('=').next()?;
    let owners: Vec<String> = command
        .get_subcommands()
        .filter(|command| has_flag(command, flag))
        .map(|owner| format!("lora {}", owner.get_name()))
        .collect();
    if owners.is_empty() {
        return None;
    }
    let reason = REASONS.iter().find(|(name, _)| *name == flag);
    let reason = reason.map_or_else(String::new, |(_, reason)| format!(" ({reason})"));
    let name = asked.get_name();
    Some(format!(
        "lora {name} has no --{flag}{reason}; it is a flag of {}; lora {name} --help lists those of lora {name}",
        owners.join(", ")
    ))
}

/// The sentence for a file by its place, where the subcommand takes it by a flag: settings by --config, rows by --data.
pub fn of_a_file_without_flag(
    command: &clap::Command,
    error: &clap::Error,
    words: &[String],
) -> Option<String> {
    let (unknown, asked) = unknown(command, error, words)?;
    let ending = Path::new(unknown).extension()?.to_str()?.to_ascii_lowercase();
    let flags: &[&str] = match ending.as_str() {
        "yaml" | "yml" | "toml" => &["config"],
        "json" => &["config", "data"],
        "csv" | "tsv" | "jsonl" | "parquet" | "conll" => &["data"],
        _ => return None,
    };
    let flags: Vec<String> = flags
        .iter()
        .filter(|flag| has_flag(asked, flag))
        .map(|flag| format!("--{flag} {unknown}"))
        .collect();
    if flags.is_empty() || unknown.starts_with('-') {
        return None;
    }
    Some(format!(
        "lora {} takes `{unknown}` by its flag: {}",
        asked.get_name(),
        flags.join(" or ")
    ))
}

/// What the parser does not know, and the subcommand that it was given to.
fn unknown<'a>(
    command: &'a clap::Command,
    error: &'a clap::Error,
    words: &[String],
) -> Option<(&'a str, &'a clap::Command)> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let asked = words.iter().find_map(|word| command.find_subcommand(word))?;
    Some((unknown.as_str(), asked))
}

fn has_flag(command: &clap::Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(flag))
}
