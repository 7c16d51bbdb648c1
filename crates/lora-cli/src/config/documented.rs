//! Documents about the settings, held against the settings.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use clap::{Args, Command, FromArgMatches};
use serde_json::Value;

use super::flags::Overrides;
use super::keys::KEYS;
use super::{RunConfig, resolve};

const REFERENCE: &str = include_str!("../../../../docs/src/configuration.md");
const QUICK_START: &str = include_str!("../../../../docs/src/quick-start.md");

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
fn the_recipe_of_the_quick_start_is_its_command() {
    let start = QUICK_START.find("lora train --model-name-or-path").unwrap();
    let command = QUICK_START[start..]
        .split("```")
        .next()
        .unwrap()
        .replace('\\', " ");
    let words = command.split_whitespace().skip(1);
    let matches = Overrides::augment_args(Command::new("train")).get_matches_from(words);
    let typed = resolve(None, &Overrides::from_arg_matches(&matches).unwrap())
        .unwrap()
        .config;
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/own-csv.yaml");
    let recipe = resolve(Some(&recipe), &Overrides::default()).unwrap().config;
    let recipe = RunConfig {
        output_dir: typed.output_dir.clone(),
        ..recipe
    };
    let settings = |config: &RunConfig| -> Vec<(String, Value)> {
        let value = serde_json::to_value(config).unwrap();
        let pairs = value.as_object().unwrap().clone().into_iter();
        // What the recipe only spells out is the default.
        pairs
            .filter(|(name, _)| name != "target_modules" && name != "ensemble_members")
            .collect()
    };
    assert_eq!(settings(&typed), settings(&recipe));
}
