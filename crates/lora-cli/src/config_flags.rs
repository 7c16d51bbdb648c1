//! Flags made from the table of keys.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use lora_pipeline::config::keys::{KEYS, Key, KeyForm};
use lora_pipeline::config::{NEWEST, Overrides};

/// The keys that were given as flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigFlags(pub Overrides);

impl Args for ConfigFlags {
    fn augment_args(command: Command) -> Command {
        KEYS.iter()
            .fold(command, |command, key| command.arg(flag_of(key)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |key: &'static Key| Some((key, matches.get_one::<String>(key.name)?.clone()));
        Ok(Self(Overrides::from_pairs(
            KEYS.iter().filter_map(given).collect(),
        )))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flag_of(key: &'static Key) -> Arg {
    let arg = Arg::new(key.name)
        .long(key.flag())
        .help(key.help)
        .help_heading(key.section)
        .visible_aliases(key.alias())
        .action(ArgAction::Set);
    // As in every other command.
    let arg = if key.flag() == "output" {
        arg.short('o')
    } else {
        arg
    };
    match key.form {
        KeyForm::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false"),
        KeyForm::Newest => arg
            .num_args(0..=1)
            .default_missing_value(NEWEST)
            .value_name("auto|FOLDER"),
        KeyForm::Text | KeyForm::Scalar => arg.value_name("VALUE"),
        // A list may begin with a minus.
        KeyForm::Names => arg.value_name("NAMES|PATTERN").allow_hyphen_values(true),
        KeyForm::List => arg.value_name("LIST").allow_hyphen_values(true),
        KeyForm::Pairs => arg.value_name("PAIRS").allow_hyphen_values(true),
        KeyForm::PairsOrWord => arg.value_name("WORD|PAIRS").allow_hyphen_values(true),
    }
}
