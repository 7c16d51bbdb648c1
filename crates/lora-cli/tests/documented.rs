//! Documents about the settings, held against the settings.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::{Path, PathBuf};

use clap::{Args, Command, FromArgMatches};
use serde_json::Value;

use lora_cli::config_flags::ConfigFlags;
use lora_cli::shared_args::with_former_names;
use lora_experiments::sweep::file;
use lora_pipeline::config::keys::{KEYS, Key};
use lora_pipeline::config::{Overrides, resolve};

const REFERENCE: &str = include_str!("../../../docs/src/configuration.md");
const QUICK_START: &str = include_str!("../../../docs/src/quick-start.md");

#[test]
fn the_reference_has_a_row_for_every_key_and_no_other() {
    let rows = REFERENCE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: Vec<&str> = rows.collect();
    let keys: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
    for key in &keys {
        assert!(documented.contains(key), "docs/src/configuration.md lacks {key}");
    }
    for row in documented {
        assert!(
            keys.contains(&row),
            "docs/src/configuration.md has {row}, which is no key"
        );
    }
}

#[test]
fn the_command_of_the_quick_start_spells_out_the_settings_that_the_program_has_of_its_own() {
    let start = QUICK_START.find("lora train --model").unwrap();
    let command = QUICK_START[start..]
        .split("```")
        .next()
        .unwrap()
        .replace('\\', " ");
    let words = command.split_whitespace().skip(1);
    let matches = ConfigFlags::augment_args(Command::new("train")).get_matches_from(words);
    let typed = resolve(None, &ConfigFlags::from_arg_matches(&matches).unwrap().0)
        .unwrap()
        .config;
    let data = Key::named("data_file").unwrap();
    let own = Overrides::from_pairs(vec![(data, "reviews.csv".to_owned())]);
    let own = resolve(None, &own).unwrap();
    assert!(own.uses_recipe);
    assert_eq!(typed, own.config);
}

/// Every recipe below the folder.
fn recipes(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(recipes(&path));
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_recipe_is_accepted_and_names_itself_in_its_command() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let recipes = recipes(&configs);
    assert!(recipes.len() >= 22, "{} recipes", recipes.len());
    for recipe in recipes {
        let shown = recipe
            .strip_prefix(&configs)
            .unwrap()
            .display()
            .to_string()
            .replace('\\', "/");
        let text = std::fs::read_to_string(&recipe).unwrap();
        let command = text.lines().next().unwrap_or_default();
        if command.starts_with("# lora sweep") {
            assert!(
                command.contains(&format!("--config configs/{shown} ")),
                "{command}"
            );
            let sweep = file::read(&recipe).unwrap_or_else(|error| panic!("{error}"));
            for entry in sweep.methods.iter().flat_map(|method| &method.predictions) {
                entry
                    .expand()
                    .unwrap_or_else(|reason| panic!("{shown}: {reason}"));
            }
        }
        if !command.starts_with("# lora train") {
            continue; // recipes of other commands have keys of their own
        }
        assert_eq!(command, format!("# lora train --config configs/{shown}"));
        let resolved = resolve(Some(&recipe), &Overrides::default());
        let config = resolved.unwrap_or_else(|error| panic!("{shown}: {error}")).config;
        if shown.starts_with("paper/") {
            assert!(config.data.benchmark().unwrap().is_some(), "{shown}");
            assert!(text.contains("time and result: not measured"), "{shown}");
        }
    }
}

#[test]
fn flags_have_the_names_of_the_other_commands_and_know_their_former_ones() {
    let value = |words: &[&str], key: &str| {
        let command = with_former_names(ConfigFlags::augment_args(Command::new("train")));
        let matches = command.get_matches_from([&["train"], words].concat());
        let flags = ConfigFlags::from_arg_matches(&matches).unwrap().0;
        let mut values = flags.values().unwrap().into_iter();
        values
            .find(|(found, _)| found.name == key)
            .map(|(_, value)| value)
    };
    for (flag, former, key) in [
        ("--model", "--model-name-or-path", "model_name_or_path"),
        ("--data", "--data-file", "data_file"),
        ("--output", "--output-dir", "output_dir"),
    ] {
        for spelling in [flag, former] {
            assert_eq!(value(&[spelling, "x"], key), Some(Value::from("x")), "{spelling}");
        }
    }
    for spelling in ["--overwrite", "--overwrite-output-dir"] {
        assert_eq!(
            value(&[spelling], "overwrite_output_dir"),
            Some(Value::from(true))
        );
    }
}
