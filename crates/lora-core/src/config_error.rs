//! What is wrong with an adapter's settings.

use thiserror::Error;

/// A setting that cannot be used.
#[derive(Debug, Error, PartialEq)]
pub enum ConfigError {
    /// A rank of zero.
    #[error("rank is 0 in {key}: a LoRA adapter needs a rank of at least 1; 8 is usual")]
    ZeroRank {
        /// The key that holds it.
        key: String,
    },
    /// An alpha that is not a positive number.
    #[error("alpha is {found} in {key}: expected a positive number, usually the rank or twice the rank")]
    Alpha {
        /// The key that holds it.
        key: String,
        /// The value.
        found: f64,
    },
    /// A probability outside `[0, 1)`.
    #[error(
        "{key} is {found}: expected a probability from 0 up to, but not including, 1; at 1 every update is dropped"
    )]
    Probability {
        /// The key that holds it: `mask_probability` for LoRA Dropout, `lora_dropout` for PEFT's input dropout.
        key: &'static str,
        /// The value.
        found: f64,
    },
    /// A rank that the shape of a linear does not allow.
    #[error(
        "`{path}` is a {d_input} by {d_output} matrix, from which {init} cannot initialize an adapter of rank {rank}; choose a rank of at most {largest}"
    )]
    RankTooLarge {
        /// The linear.
        path: String,
        /// The initialization.
        init: &'static str,
        /// The rank.
        rank: usize,
        /// Its inputs.
        d_input: usize,
        /// Its outputs.
        d_output: usize,
        /// The largest rank possible.
        largest: usize,
    },
    /// An odd rank where halves are needed.
    #[error(
        "the rank of `{path}` is {rank}: init_lora_weights `orthogonal` needs an even rank, for it gives one half of an orthogonal basis to A and the other to B"
    )]
    OddRank {
        /// The linear.
        path: String,
        /// The rank.
        rank: usize,
    },
    /// A start that PEFT does not have for GPT-2's linears.
    #[error(
        "`{path}` is stored as [inputs, outputs], as GPT-2's Conv1D is, and PEFT does not turn such a weight for init_lora_weights `olora`: it \
         could not read the adapter; use pissa, or leave init_lora_weights true"
    )]
    Conv1d {
        /// The linear.
        path: String,
    },
    /// A base weight whose singular values cannot be computed.
    #[error(
        "the weight of `{path}` has no singular value decomposition: it holds numbers that are not finite; check the base model"
    )]
    NotFinite {
        /// The linear.
        path: String,
    },
    /// A table of embeddings with a form of adapter that it cannot carry.
    #[error(
        "`{path}` is a table of embeddings, which cannot be adapted with {setting}; remove it, or take the table out of target_modules"
    )]
    Table {
        /// The table.
        path: String,
        /// The setting.
        setting: &'static str,
    },
    /// A bottleneck without features.
    #[error("bottleneck_size is 0: a bottleneck needs at least one feature; 64 is usual")]
    ZeroBottleneck,
    /// A model that has nothing of what is to be trained.
    #[error("{tuning} trains {what}, and this model has none; choose another tuning")]
    NothingToTrain {
        /// The way of tuning.
        tuning: &'static str,
        /// What it trains.
        what: &'static str,
    },
    /// Two settings that exclude each other.
    #[error("{one} and {other} cannot be used together: {reason}")]
    Conflict {
        /// A key with its value.
        one: &'static str,
        /// Another.
        other: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// An AdaLoRA setting out of its range.
    #[error("{key} is {found}: expected {expected}")]
    AdaLora {
        /// The key.
        key: &'static str,
        /// The value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A rank pattern of another rank.
    #[error("rank_pattern of `{path}` has {found} entries; expected init_r, {expected}")]
    RankPattern {
        /// The linear.
        path: String,
        /// The initial rank.
        expected: usize,
        /// Entries found.
        found: usize,
    },
    /// A regular expression that does not parse.
    #[error("{key} holds the pattern `{pattern}`, which is not a regular expression: {reason}")]
    Pattern {
        /// The key that holds it.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// The error of the parser.
        reason: String,
    },
    /// `TargetModules` that no linear has.
    #[error("target_modules {targets} matches none of the {} linears of this model; some of them: {}", available.len(), sample(available))]
    NoTarget {
        /// The targets, as given.
        targets: String,
        /// Paths of all linears of the model.
        available: Vec<String>,
    },
    /// One of several target names that no linear has.
    #[error("target_modules holds `{name}`, which matches no linear of this model; the last components of their paths are: {}", available.join(", "))]
    UnusedTarget {
        /// The name.
        name: String,
        /// Last path components of the model's linears.
        available: Vec<String>,
    },
    /// A pattern of ranks or alphas that no adapted linear has.
    #[error("{key} holds `{pattern}`, which matches none of the adapted linears; the last components of their paths are: {}", available.join(", "))]
    UnusedPattern {
        /// `rank_pattern` or `alpha_pattern`.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// Last path components of the adapted linears.
        available: Vec<String>,
    },
    /// A module to save that has no weights, or is not there.
    #[error("modules_to_save holds `{name}`, which is no module of this model that has weights; the last components of their paths are: {}", available.join(", "))]
    UnusedModule {
        /// The name.
        name: String,
        /// Last path components of the model's modules with weights.
        available: Vec<String>,
    },
}

fn sample(paths: &[String]) -> String {
    paths
        .iter()
        .take(4)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
