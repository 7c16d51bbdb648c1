//! Why adapters cannot be combined.

use std::fmt;

use thiserror::Error;

use crate::counted::counted;

/// Adapters that cannot be combined.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CombineError {
    /// Nothing to combine.
    #[error("there is no adapter to combine; give at least one folder")]
    NoAdapters,
    /// Another number of weights than adapters.
    #[error("{} and {} were given; give one weight for each adapter", counted(*adapters, "adapter"), counted(*weights, "weight"))]
    Weights {
        /// Number of adapters.
        adapters: usize,
        /// Number of weights.
        weights: usize,
    },
    /// A weight that is no finite number.
    #[error("the weight of adapter {} is {found}; expected a finite number, usually between -1 and 1", index + 1)]
    Weight {
        /// Number of the adapter in the list, from 0.
        index: usize,
        /// The weight.
        found: f64,
    },
    /// A rank of zero for the result.
    #[error(
        "the rank of the result is 0; give a rank of at least 1, or none for the largest rank of the adapters"
    )]
    ZeroRank,
    /// Adapters that train other biases.
    #[error(
        "the adapters were trained with different settings of bias ({first} and {other}), and one adapter can have only one; combine \
         adapters of one setting, or merge one of them into the base model"
    )]
    BiasModes {
        /// Setting of the first adapter.
        first: &'static str,
        /// Another one.
        other: &'static str,
    },
    /// Adapters of different base models.
    #[error(
        "the adapters name different base models, `{first}` and `{other}`{}, and updates of different models do not add up; if both \
         are one model, give it one name as base_model_name_or_path in their adapter_config.json",
        shown_apart(apart)
    )]
    BaseModels {
        /// That of the first that names one.
        first: String,
        /// Another one.
        other: String,
        /// A linear that one of them alone adapts, and one that the other does, where there are such.
        apart: Vec<OneSided>,
    },
    /// Adapters without a linear in common, of which not all name a base model.
    #[error(
        "the adapters have no linear in common: one adapts {only_first}, another {only_other}; they belong to different base models, \
         whose updates do not add up; if both are for one model, name it as base_model_name_or_path in their adapter_config.json"
    )]
    NothingShared {
        /// A linear of the first adapter.
        only_first: OneSided,
        /// A linear of the other one.
        only_other: OneSided,
    },
    /// A method that does not exist.
    #[error(
        "the method `{found}` is not known; expected linear, cat, svd, ties, ties_svd, dare_linear, dare_ties, \
         dare_linear_svd, dare_ties_svd, magnitude_prune or magnitude_prune_svd"
    )]
    CombineMethod {
        /// What was given.
        found: String,
    },
    /// A density that is missing or out of range.
    #[error("the method {method} needs a density above 0 and up to 1, the share of numbers kept, but it is {}; 0.5 is usual", shown(*found))]
    Density {
        /// The method.
        method: &'static str,
        /// The density.
        found: Option<f64>,
    },
    /// Factors of different ranks.
    #[error(
        "the adapters have the ranks {ranks:?} at `{path}`; this method adds factors number by number and needs one rank: use cat or svd"
    )]
    Ranks {
        /// The linear.
        path: String,
        /// The ranks.
        ranks: Vec<usize>,
    },
    /// Adapters for linears of different sizes.
    #[error(
        "the adapters are for linears of different sizes at `{path}`: {found:?} inputs and outputs, where another has {expected:?}; they belong to different base models"
    )]
    Shape {
        /// The linear.
        path: String,
        /// Inputs and outputs of the first.
        expected: [usize; 2],
        /// Those of another.
        found: [usize; 2],
    },
    /// A bias on B.
    #[error(
        "the adapter at `{path}` has a bias (lora_bias), for which combining is not defined; merge that adapter instead"
    )]
    Bias {
        /// The linear.
        path: String,
    },
    /// A module that several adapters trained in full.
    #[error(
        "several adapters hold the tensor `{name}`, and each another one; a module trained in full cannot be combined: combine adapters trained without it, or with the same one"
    )]
    Saved {
        /// Its name.
        name: String,
    },
    /// Values that are not finite.
    #[error("the combined update of `{path}` is not finite; check the adapters")]
    NotFinite {
        /// The linear.
        path: String,
    },
}

/// A linear that one of two adapters has and the other has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneSided {
    /// Its path.
    pub path: String,
    /// Its inputs.
    pub d_input: usize,
    /// Its outputs.
    pub d_output: usize,
}

impl fmt::Display for OneSided {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` ({} → {})",
            self.path, self.d_input, self.d_output
        )
    }
}

fn shown_apart(apart: &[OneSided]) -> String {
    match apart {
        [] => String::new(),
        [one] => format!(" (one alone adapts {one})"),
        [one, other, ..] => format!(" (one alone adapts {one}, the other {other})"),
    }
}

fn shown(density: Option<f64>) -> String {
    density.map_or_else(|| "absent".to_owned(), |density| density.to_string())
}
