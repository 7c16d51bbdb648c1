//! A flag that belongs to other subcommands: said by their names, where the parser would guess at something else.

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
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = unknown.strip_prefix("--")?.split('=').next()?;
    let asked = words.iter().find_map(|word| command.find_subcommand(word))?;
    let has_flag = |command: &&clap::Command| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
    let owners: Vec<String> = command
        .get_subcommands()
        .filter(has_flag)
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
