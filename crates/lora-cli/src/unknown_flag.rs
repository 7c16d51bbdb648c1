//! What the parser would guess at: a flag that belongs to other subcommands is said by their names, a file without its flag by that flag,
//! an adapter folder that is missing by both ways to give it.

use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::shared_args::is_of_rows;

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
    if unknown.starts_with('-') {
        return None;
    }
    let ending = Path::new(unknown).extension()?.to_str()?.to_ascii_lowercase();
    let is_of_settings = matches!(ending.as_str(), "yaml" | "yml" | "toml" | "json");
    let is_of_rows = match is_of_rows(unknown) {
        Ok(is_of_rows) => is_of_rows,
        Err(error) => return Some(error.to_string()),
    };
    let flags: Vec<String> = [("config", is_of_settings), ("data", is_of_rows)]
        .into_iter()
        .filter(|(flag, takes_it)| *takes_it && has_flag(asked, flag))
        .map(|(flag, _)| format!("--{flag} {unknown}"))
        .collect();
    if flags.is_empty() {
        return None;
    }
    Some(format!(
        "lora {} takes `{unknown}` by its flag: {}",
        asked.get_name(),
        flags.join(" or ")
    ))
}

/// The sentence for a missing adapter folder, with what else is missing: the parser names its flag alone.
pub fn of_a_missing_folder(command: &clap::Command, error: &clap::Error, words: &[String]) -> Option<String> {
    const FOLDER: &str = "--adapter <DIR>";
    if error.kind() != ErrorKind::MissingRequiredArgument {
        return None;
    }
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let (folder, further): (Vec<&String>, Vec<&String>) = missing.iter().partition(|arg| *arg == FOLDER);
    let name = asked(command, words).filter(|_| !folder.is_empty())?.get_name();
    let further: Vec<String> = further.into_iter().map(|arg| format!(", {arg}")).collect();
    Some(format!(
        "lora {name} lacks the adapter folder (lora {name} DIR …, or {FOLDER}){}; lora {name} --help has examples",
        further.concat()
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
    Some((unknown.as_str(), asked(command, words)?))
}

/// The subcommand of a command line.
fn asked<'a>(command: &'a clap::Command, words: &[String]) -> Option<&'a clap::Command> {
    words.iter().find_map(|word| command.find_subcommand(word))
}

fn has_flag(command: &clap::Command, flag: &str) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some(flag))
}
