//! Settings in files, their checks, the counts that follow from them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use super::{EvalStrategy, TrainConfig};
use crate::grouping::MaskGrouping;
use crate::metric::Metric;
use crate::schedule::Schedule;

fn valid() -> TrainConfig {
    TrainConfig::new(5e-4, 3.0, 16)
}

#[test]
fn the_keys_are_the_fields() {
    let value = serde_json::to_value(valid()).unwrap();
    let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, TrainConfig::KEYS);
}

#[test]
fn what_is_left_out_of_a_file_is_what_new_gives() {
    let text = r#"{"learning_rate": 5e-4, "num_train_epochs": 3, "per_device_train_batch_size": 16}"#;
    assert_eq!(serde_json::from_str::<TrainConfig>(text).unwrap(), valid());
    let without_rate = r#"{"num_train_epochs": 3, "per_device_train_batch_size": 16}"#;
    let error = serde_json::from_str::<TrainConfig>(without_rate).unwrap_err();
    assert!(error.to_string().contains("learning_rate"), "{error}");
}

#[test]
fn settings_survive_json() {
    let config = TrainConfig {
        mask_grouping: MaskGrouping::Groups(4),
        lr_scheduler_type: Schedule::Cosine,
        eval_strategy: EvalStrategy::Steps,
        eval_steps: Some(7),
        max_steps: Some(70),
        metric_for_best_model: Metric::Ece,
        ..valid()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<TrainConfig>(&text).unwrap(), config);
}

/// A change that makes a setting invalid, and the key that the message must start with.
type Mistake = (&'static str, fn(&mut TrainConfig));

#[test]
fn every_bad_value_is_refused_by_its_key() {
    let mistakes: [Mistake; 23] = [
        ("learning_rate is 0", |config| config.learning_rate = 0.0),
        ("learning_rate is NaN", |config| config.learning_rate = f64::NAN),
        ("num_train_epochs is -1", |config| config.num_train_epochs = -1.0),
        ("loraplus_lr_ratio is 0", |config| config.loraplus_lr_ratio = 0.0),
        ("head_learning_rate is -0.1", |config| {
            config.head_learning_rate = Some(-0.1);
        }),
        ("weight_decay is -0.5", |config| config.weight_decay = -0.5),
        ("adam_beta1 is 1", |config| config.adam_beta1 = 1.0),
        ("adam_beta2 is -0.1", |config| config.adam_beta2 = -0.1),
        ("adam_epsilon is 0", |config| config.adam_epsilon = 0.0),
        ("max_grad_norm is inf", |config| {
            config.max_grad_norm = f64::INFINITY;
        }),
        ("warmup_ratio is 1.5", |config| config.warmup_ratio = 1.5),
        ("early_stopping_threshold is -1", |config| {
            config.early_stopping_threshold = -1.0;
        }),
        ("per_device_train_batch_size is 0", |config| {
            config.per_device_train_batch_size = 0;
        }),
        ("gradient_accumulation_steps is 0", |config| {
            config.gradient_accumulation_steps = 0;
        }),
        ("masks_per_step is 0", |config| config.masks_per_step = 0),
        ("mask_grouping is 0", |config| {
            config.mask_grouping = MaskGrouping::Groups(0);
        }),
        ("per_device_eval_batch_size is 0", |config| {
            config.per_device_eval_batch_size = 0;
        }),
        ("max_steps is 0", |config| config.max_steps = Some(0)),
        ("eval_steps is 0", |config| config.eval_steps = Some(0)),
        ("early_stopping_patience is 0", |config| {
            config.early_stopping_patience = Some(0);
        }),
        ("warmup_steps is 3 and warmup_ratio is 0.1", |config| {
            (config.warmup_steps, config.warmup_ratio) = (3, 0.1);
        }),
        ("eval_strategy is steps", |config| {
            config.eval_strategy = EvalStrategy::Steps;
        }),
        (
            "early_stopping_patience is 2, but eval_strategy is no",
            |config| {
                (config.eval_strategy, config.early_stopping_patience) = (EvalStrategy::No, Some(2));
            },
        ),
    ];
    assert_eq!(valid().validate(), Ok(()));
    for (start, change) in mistakes {
        let mut config = valid();
        change(&mut config);
        let message = config.validate().unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn steps_count_partial_batches_and_partial_accumulations() {
    // 50 examples in batches of 16 are 4 batches; 3 batches a step make 2 steps an epoch.
    let config = TrainConfig {
        gradient_accumulation_steps: 3,
        ..valid()
    };
    assert_eq!(config.steps_per_epoch(50), 2);
    assert_eq!(config.total_steps(50), 6);
    assert_eq!(
        TrainConfig {
            num_train_epochs: 1.25,
            ..config.clone()
        }
        .total_steps(50),
        3
    );
    assert_eq!(
        TrainConfig {
            max_steps: Some(9),
            ..config
        }
        .total_steps(50),
        9
    );
}

#[test]
fn a_warmup_ratio_is_rounded_up() {
    let config = TrainConfig {
        warmup_ratio: 0.06,
        ..valid()
    };
    assert_eq!(config.warmup_steps_of(61), 4); // 3.66
    assert_eq!(
        TrainConfig {
            warmup_steps: 5,
            ..valid()
        }
        .warmup_steps_of(61),
        5
    );
}
