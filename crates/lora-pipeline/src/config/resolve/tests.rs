//! What is refused, by place and how to fix it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::*;
use lora_train::EvalStrategy;

use crate::config::SaveStrategy;
use crate::config::keys::REQUIRED;

const FILE: &str = "model_name_or_path: minilm-l6\ntrain_file: a.csv\noutput_dir: out\nlearning_rate: 1e-3\n\
    num_train_epochs: 2\nper_device_train_batch_size: 8\n";

fn resolve_text(text: &str, flags: &[(&str, &str)]) -> Result<Resolved> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.yaml");
    std::fs::write(&path, text).unwrap();
    let flags = flags
        .iter()
        .map(|(key, value)| (Key::named(key).unwrap(), (*value).to_owned()));
    resolve(Some(&path), &Overrides::from_pairs(flags.collect()))
}

fn message(extra: &str) -> String {
    resolve_text(&format!("{FILE}{extra}"), &[])
        .unwrap_err()
        .to_string()
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let config = resolve_text(&format!("{FILE}r: 4\nseed: 1\n"), &[("r", "2")])
        .unwrap()
        .config;
    assert_eq!((config.r, config.train.seed, config.lora_alpha), (2, 1, 8.0));
}

#[test]
fn every_wrong_value_names_file_line_key_and_fix() {
    let mistakes = [
        ("r: 0", ["rank is 0 in r", "8 is usual"]),
        ("r: -1", ["r is -1", "Rank of the update"]),
        (
            "mask_probability: 1",
            ["mask_probability is 1", "0.5 is the paper's"],
        ),
        (
            "mask_probability: often",
            ["mask_probability is \"often\"", "a number or auto"],
        ),
        ("lora_dropout: auto", ["lora_dropout is \"auto\"", "expected"]),
        ("lora_dropout: 1.5", ["lora_dropout is 1.5", "from 0 up to"]),
        ("rank_pattern: {query: 0}", ["rank_pattern `query`", "at least 1"]),
        (
            "target_modules: '('",
            ["target_modules", "not a regular expression"],
        ),
        (
            "weight_decay: fast",
            [
                "weight_decay is \"fast\": expected a number;",
                "stands for: Decoupled weight decay",
            ],
        ),
        (
            "text_column: true",
            [
                "text_column is true: expected the name of a column",
                "index from 0",
            ],
        ),
        (
            "class_weights: 3",
            [
                "class_weights is 3: expected balanced, or a number for each label",
                "stands for",
            ],
        ),
        (
            "swag: true",
            [
                "swag is true: expected its settings by their names;",
                "stands for",
            ],
        ),
        ("mask_rescale: none", ["mask_rescale is \"none\"", "rescaled"]),
        ("mask_grouping: row", ["mask_grouping is `row`", "example"]),
        (
            "r: two",
            ["r is \"two\": expected a whole number, 0 or more", "Rank"],
        ),
        (
            "metric_for_best_model: auc",
            [
                "metric_for_best_model is \"auc\": expected one of loss,",
                "accuracy",
            ],
        ),
        ("max_seq_length: 0", ["max_seq_length is 0", "128 is usual"]),
        ("warmup_ratio: 2", ["warmup_ratio is 2", "share of all steps"]),
        (
            "validation_fraction: 1",
            ["validation_fraction is 1", "0.1 is usual"],
        ),
        (
            "test_fraction: 0.3",
            ["test_fraction would change nothing", "give data_file"],
        ),
        ("data_file: b.csv", ["train_file and data_file", "remove one"]),
        (
            "mask_rescale: rescaled",
            ["mask_rescale", "mask_probability is not given"],
        ),
        ("masks_per_step: 4", ["masks_per_step", "give mask_probability"]),
        (
            "ensemble_members: 4",
            ["ensemble_members", "set mask_probability"],
        ),
        (
            "early_stopping_patience: 0",
            ["early_stopping_patience is 0", "at least 1"],
        ),
    ];
    for (line, parts) in mistakes {
        let message = message(line);
        let place = if line.starts_with("data_file") {
            "line 2"
        } else {
            "line 7"
        };
        assert!(
            message.contains("run.yaml`") && message.contains(place),
            "{message}"
        );
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn label_columns_that_name_none_are_none() {
    // As a printed configuration has it.
    let printed = resolve_text(&format!("{FILE}label_columns: []\nproblem_type: null\n"), &[]).unwrap();
    assert_eq!(printed.config.data.problem_type, None);
    let refused = resolve_text(FILE, &[("label_columns", "")])
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("flag --label-columns: label_columns is empty"),
        "{refused}"
    );
}

#[test]
fn rows_for_validation_are_left_and_early_stopping_has_some() {
    let text = FILE.replace("train_file", "data_file");
    let refused = |flags: &[(&str, &str)]| resolve_text(&text, flags).unwrap_err().to_string();
    let shares = refused(&[("validation_fraction", "0.5"), ("test_fraction", "0.5")]);
    assert!(shares.contains("no row to train on"), "{shares}");
    let patience = refused(&[("validation_fraction", "0"), ("early_stopping_patience", "2")]);
    assert!(
        patience.contains("--early-stopping-patience") && patience.contains("no validation rows"),
        "{patience}"
    );
    // A probability of 0 beside settings of masks is the yardstick, not a mistake.
    resolve_text(&text, &[("mask_rescale", "rescaled"), ("mask_probability", "0")]).unwrap();
}

#[test]
fn auto_begins_low_with_rescaled_masks_and_an_ensemble() {
    let config = resolve_text(FILE, &[("mask_probability", "auto")])
        .unwrap()
        .config;
    let dropout = config.lora(&[], &["query"]).dropout.unwrap();
    assert_eq!((dropout.probability, dropout.rescale), (0.3, Rescale::Rescaled));
    assert!(config.ensemble().is_some());
    assert_eq!(json!(config)["mask_probability"], "auto");
}

#[test]
fn auto_needs_rescaled_masks_of_lora_and_evaluations_and_no_other_gaussian() {
    for (line, parts) in [
        ("mask_rescale: plain", ["line 8", "set mask_rescale to rescaled"]),
        ("eval_strategy: no", ["line 7", "nothing is evaluated"]),
        ("validation_fraction: 0", ["line 7", "give validation rows"]),
        ("blob: {}", ["line 8", "remove blob"]),
        ("swag: {}", ["line 8", "remove swag"]),
        (
            "tuning: bitfit",
            ["line 7", "mask_probability is a setting of LoRA"],
        ),
    ] {
        let message = message(&format!("mask_probability: auto\n{line}\n"));
        assert!(
            parts.iter().all(|part| message.contains(part)),
            "{line}: {message}"
        );
    }
    for line in ["peft_type: ADALORA", "use_dora: true"] {
        resolve_text(&format!("{FILE}mask_probability: auto\n{line}\n"), &[]).unwrap();
    }
}

#[test]
fn a_wrong_flag_is_named_as_a_flag() {
    let message = resolve_text(FILE, &[("r", "0")]).unwrap_err().to_string();
    assert!(message.starts_with("flag --r: rank is 0"), "{message}");
}

#[test]
fn all_missing_keys_are_named_at_once() {
    let message = resolve(None, &Overrides::default()).unwrap_err().to_string();
    assert!(
        REQUIRED.iter().all(|key| message.contains(key)) && message.contains("train_file"),
        "{message}"
    );
}

/// Flags alone.
fn resolve_flags(flags: &[(&str, &str)]) -> Result<Resolved> {
    let flags = flags
        .iter()
        .map(|(key, value)| (Key::named(key).unwrap(), (*value).to_owned()));
    resolve(None, &Overrides::from_pairs(flags.collect()))
}

#[test]
fn rows_alone_are_trained_with_the_recipe_and_what_is_given_stands() {
    let own = resolve_flags(&[("data_file", "some/reviews.csv")]).unwrap();
    assert!(own.uses_recipe);
    assert_eq!(own.config.output_dir, Path::new("runs").join("reviews"));
    assert!(own.config.mask_probability.has_masks());
    // What contradicts a part of it, or has no use for it, takes that part away.
    for (key, value) in [
        ("mask_probability", "0"),
        ("mask_probability", "auto"),
        ("tuning", "full"),
        ("tuning", "bitfit"),
        ("peft_type", "ADALORA"),
        ("use_dora", "true"),
        ("blob", "{}"),
        ("warmup_steps", "3"),
        ("max_steps", "10"),
        ("num_train_epochs", "3"),
        ("eval_strategy", "no"),
        ("problem_type", "regression"),
    ] {
        let given = resolve_flags(&[("data_file", "reviews.csv"), (key, value)]);
        let given = given.unwrap_or_else(|error| panic!("{key} {value}: {error}"));
        assert!(given.uses_recipe, "{key} {value}");
        assert_eq!(given.config.train.learning_rate, own.config.train.learning_rate);
    }
    for answers in [
        [("data_file", "reviews.csv"), ("problem_type", "causal_lm")],
        [("data_dir", "squad"), ("task_name", "squad")],
    ] {
        let message = resolve_flags(&answers).unwrap_err().to_string();
        assert!(message.contains("missing: model_name_or_path"), "{message}");
    }
    // Who says all of how to train has the defaults elsewhere.
    let whole = [
        ("model_name_or_path", "minilm-l6"),
        ("data_file", "reviews.csv"),
        ("output_dir", "out"),
        ("learning_rate", "1e-3"),
        ("num_train_epochs", "2"),
        ("per_device_train_batch_size", "8"),
    ];
    let given = resolve_flags(&whole).unwrap();
    assert!(!given.uses_recipe && !given.config.mask_probability.has_masks());
}

#[test]
fn a_number_of_steps_stands_in_for_the_epochs() {
    let text = FILE.replace("num_train_epochs: 2", "max_steps: 3");
    let config = resolve_text(&text, &[]).unwrap().config;
    assert_eq!(config.train.total_steps(100), 3);
}

#[test]
fn a_bare_no_of_yaml_is_the_word() {
    for (line, is_no) in [
        ("eval_strategy: no", true),
        ("eval_strategy: \"no\"", true),
        ("eval_strategy: epoch", false),
    ] {
        let config = resolve_text(&format!("{FILE}\n{line}\nsave_strategy: no\n"), &[])
            .unwrap()
            .config;
        assert_eq!(config.train.eval_strategy == EvalStrategy::No, is_no, "{line}");
        assert_eq!(config.save_strategy, Some(SaveStrategy::No), "{line}");
    }
    let message = resolve_text(&format!("{FILE}\neval_strategy: true\n"), &[])
        .unwrap_err()
        .to_string();
    assert!(message.contains("eval_strategy"), "{message}");
}
