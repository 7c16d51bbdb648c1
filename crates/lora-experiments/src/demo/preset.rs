//! What the demo trains: a sweep over the embedded movie reviews, in the regime in which people's fine-tunings overfit.

use lora_pipeline::base::checkpoint::EMBEDDED_MODEL;
use lora_pipeline::error::Result;
use serde_json::{Value, json};

use super::DemoOptions;
use crate::sweep::file::SweepFile;

/// Plain LoRA, which the others are compared with.
pub const LORA: &str = "LoRA";
/// LoRA with PEFT's input dropout.
pub const INPUT_DROPOUT: &str = "input dropout";
/// LoRA Dropout.
pub const LORA_DROPOUT: &str = "LoRA Dropout";
/// Name of the task.
pub const TASK: &str = "movie reviews";

/// Sizes of a demo.
#[derive(Clone, Copy, Debug)]
pub struct DemoSizes {
    /// Training rows.
    pub train: usize,
    /// Epochs, all of which are trained.
    pub epochs: u64,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// Members of the ensemble.
    pub members: u64,
    /// Seeds.
    pub seeds: u64,
}

impl DemoSizes {
    /// Of the demo as it is meant. p was chosen by `lora demo --choose`, the rest so that plain LoRA overfits, and for time.
    const FULL: Self = Self {
        train: 64,
        epochs: 10,
        validation: 64,
        test: 200,
        members: 4,
        seeds: 3,
    };
    /// Of `--fast`.
    const FAST: Self = Self {
        train: 64,
        epochs: 6,
        validation: 60,
        test: 100,
        members: 2,
        seeds: 1,
    };

    /// How long a demo takes from its beginning, as the book says it; none where the number of seeds is the user's own.
    pub fn time(options: &DemoOptions) -> Option<&'static str> {
        match (options.seeds, options.fast) {
            (Some(_), _) => None,
            (None, true) => Some("about a minute on two cores"),
            (None, false) => Some("one and a half to three minutes on two cores"),
        }
    }

    /// Those that the user asks for.
    pub fn of(options: &DemoOptions) -> Self {
        let sizes = if options.fast { Self::FAST } else { Self::FULL };
        Self {
            seeds: options.seeds.map_or(sizes.seeds, u64::from),
            ..sizes
        }
    }
}

/// Tokens that are read of a review, for time: two thirds of what reviews have.
pub const LONGEST: usize = 20;
/// PEFT's input dropout, as in `QLoRA`.
const INPUT_PROBABILITY: f64 = 0.1;
/// p of LoRA Dropout, chosen on validation rows.
const MASK_PROBABILITY: f64 = 0.5;

/// The sweep of the demo.
///
/// # Errors
///
/// Never: it is of a sweep's form.
pub fn sweep(options: &DemoOptions) -> Result<SweepFile> {
    let sizes = DemoSizes::of(options);
    let epochs: Vec<u64> = (1..=sizes.epochs)
        .filter(|epoch| *epoch < 3 || epoch % 2 == 0 || *epoch == sizes.epochs)
        .collect();
    let mut sweep = of_parts(
        options,
        &sizes,
        &json!([
            // The longest begin: at the end no thread waits for one.
            {
                "name": LORA_DROPOUT,
                "train": {"mask_probability": MASK_PROBABILITY, "mask_rescale": "rescaled", "mask_grouping": "example"},
                "predictions": ["mean", {"ensemble": {"members": sizes.members}}],
            },
            {"name": LORA, "predictions": ["mean"]},
            {"name": INPUT_DROPOUT, "train": {"lora_dropout": INPUT_PROBABILITY}, "predictions": ["mean"]},
        ]),
    );
    sweep["reference"] = json!(LORA);
    sweep["stopping"] = json!(["never", "early"]);
    sweep["curve"] =
        json!({"epochs": epochs, "members": sizes.members, "rows": sizes.validation, "seeds": [1]});
    Ok(serde_json::from_value(sweep)?)
}

/// The sweep by whose validation rows p was chosen. A dozen test rows are there for the form; nobody looks at them.
///
/// # Errors
///
/// Never: it is of a sweep's form.
pub fn choices(options: &DemoOptions) -> Result<SweepFile> {
    let sizes = DemoSizes {
        test: 12,
        validation: 300,
        ..DemoSizes::of(options)
    };
    let mut sweep = of_parts(
        options,
        &sizes,
        &json!([
            {"name": LORA, "predictions": ["mean"]},
            {
                "name": LORA_DROPOUT,
                "train": {"mask_rescale": "rescaled", "mask_grouping": "example"},
                "grid": {"mask_probability": [0.3, 0.5, 0.7]},
                "predictions": ["mean", {"ensemble": {"members": sizes.members}}],
            },
        ]),
    );
    sweep["base"]["eval_strategy"] = json!("no");
    sweep["stopping"] = json!(["never"]);
    Ok(serde_json::from_value(sweep)?)
}

fn of_parts(options: &DemoOptions, sizes: &DemoSizes, methods: &Value) -> Value {
    json!({
        "base": {
            "model_name_or_path": EMBEDDED_MODEL,
            "device": options.device.to_string(),
            "max_seq_length": LONGEST,
            "target_modules": "all-linear",
            "r": 8,
            "lora_alpha": 16,
            "learning_rate": 2e-3,
            "num_train_epochs": sizes.epochs,
            "per_device_train_batch_size": 16,
            "warmup_ratio": 0.06,
            "per_device_eval_batch_size": 64,
        },
        "tasks": [{"name": TASK, "benchmark": "snippets", "rows": [sizes.train]}],
        "methods": methods,
        "seeds": (1..=sizes.seeds).collect::<Vec<_>>(),
        // Other training and validation rows for every seed, the same test rows.
        "data_seed": "seed",
        "validation_rows": sizes.validation,
        "test_rows": sizes.test,
    })
}
