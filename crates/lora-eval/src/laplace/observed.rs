//! What was observed, and what a model makes of it: log-likelihood, and the curvature of the loss in the outputs.

use crate::EvalError;
use crate::checks::{at_least, require};
use crate::softmax::log_softmax;

/// The targets of a data set, in its order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observed<'a> {
    /// Classes, under a softmax.
    Classes(&'a [usize]),
    /// Values, under a Gaussian around the model's output.
    Values {
        /// The values.
        values: &'a [f64],
        /// σ: the standard deviation of the noise, above 0.
        deviation: f64,
    },
}

/// One example: what follows from its outputs.
pub(super) struct Judged {
    /// `log p(y | x)`, in nats.
    pub log_likelihood: f64,
    /// p for classes.
    pub probabilities: Vec<f64>,
}

impl Observed<'_> {
    /// # Errors
    /// [`EvalError::AxisTooShort`] for no examples or fewer outputs than the kind of targets needs, [`EvalError::OutOfRange`] for a
    /// σ that is not above 0 or a class that there is not.
    pub(super) fn check(&self, outputs: usize) -> Result<(), EvalError> {
        let (examples, minimum) = match self {
            Self::Classes(labels) => (labels.len(), 2),
            Self::Values { values, .. } => (values.len(), 1),
        };
        for (axis, found, minimum) in [("examples", examples, 1), ("classes", outputs, minimum)] {
            at_least(axis, found, minimum)?;
        }
        match self {
            Self::Classes(labels) => labels.iter().try_for_each(|label| {
                let expected = "a class of the model, counted from 0";
                require(*label < outputs, "a label", *label as f64, expected)
            }),
            Self::Values { deviation, .. } => {
                let what = "the standard deviation σ of the noise";
                let holds = deviation.is_finite() && *deviation > 0.0;
                require(holds, what, *deviation, "a number above 0")
            }
        }
    }

    /// How many examples.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Values { values, .. } => values.len(),
        }
    }

    pub(super) fn judge(&self, row: usize, outputs: &[f64]) -> Judged {
        match self {
            Self::Classes(labels) => {
                let logs = log_softmax(outputs);
                Judged {
                    log_likelihood: logs[labels[row]],
                    probabilities: logs.into_iter().map(f64::exp).collect(),
                }
            }
            Self::Values { values, deviation } => {
                let error = (values[row] - outputs[0]) / deviation;
                let normalizer = 0.5 * (2.0 * std::f64::consts::PI).ln() + deviation.ln();
                Judged {
                    log_likelihood: -0.5 * error.powi(2) - normalizer,
                    probabilities: Vec::new(),
                }
            }
        }
    }

    /// How many columns a root R of Λ has, `Λ = R Rᵀ`.
    pub(super) fn root_columns(&self, outputs: usize) -> usize {
        match self {
            Self::Classes(_) => outputs,
            Self::Values { .. } => 1,
        }
    }

    /// A column of the root: for classes `R = diag(√p) − p √pᵀ`, because p sums to one; for values 1/σ.
    pub(super) fn root(&self, judged: &Judged, column: usize) -> Vec<f64> {
        match self {
            Self::Classes(_) => {
                let root = judged.probabilities[column].sqrt();
                let entry = |(class, p): (usize, &f64)| {
                    let own = if class == column { root } else { 0.0 };
                    own - p * root
                };
                judged.probabilities.iter().enumerate().map(entry).collect()
            }
            Self::Values { deviation, .. } => vec![1.0 / deviation],
        }
    }
}
