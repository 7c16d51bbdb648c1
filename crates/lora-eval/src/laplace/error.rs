//! Why a Laplace approximation was refused.

use crate::EvalError;

/// What is wrong with a model, its data or a setting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LaplaceError {
    /// Nothing of the part is trained.
    #[error(
        "the part of the model that is to get a posterior holds no trained parameter: choose another part"
    )]
    NothingTrained,
    /// A parameter of a kind that has no taps.
    #[error(
        "`{name}` has no Laplace approximation here: expected LoRA's factors, or weight and bias of a linear that is trained in \
         full; choose another part, or train with plain LoRA"
    )]
    Parameter {
        /// Its name.
        name: String,
    },
    /// A linear that a pass uses several times, or not at all.
    #[error(
        "`{name}` is used {found} times in a pass, expected once: a weight that is shared has no curvature of its own; leave the \
         linear out of target_modules"
    )]
    Uses {
        /// The parameter.
        name: String,
        /// How often it is used.
        found: usize,
    },
    /// A model that gives other than one row an example.
    #[error(
        "the model gives {found} rows of outputs for {expected} examples, expected one row for each: sequence classification or \
         regression"
    )]
    Rows {
        /// Examples of the batch.
        expected: usize,
        /// Rows of outputs.
        found: usize,
    },
    /// A model whose outputs are not those of a single linear that is trained in full.
    #[error(
        "the outputs of the model are not those of one linear that is trained in full (found: {}): the last layer cannot have a \
         posterior of its own; fit one for the adapters",
        if heads.is_empty() { "none".to_owned() } else { heads.join(", ") }
    )]
    LastLayer {
        /// The heads that are trained in full.
        heads: Vec<String>,
    },
    /// Too many parameters for a dense matrix.
    #[error(
        "a full curvature matrix of {found} parameters is too large, expected at most {most}: choose the Kronecker or the diagonal \
         structure"
    )]
    TooLarge {
        /// The parameters.
        found: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// A model that diverged.
    #[error("the curvature of the parameters from `{name}` on is not a finite number: check the training")]
    NotFinite {
        /// First parameter of the block.
        name: String,
    },
    /// Labels or outputs that cannot be scored, or a setting out of its range.
    #[error(transparent)]
    Eval(#[from] EvalError),
}
