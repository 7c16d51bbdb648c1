//! Laplace approximations: a Gaussian around trained parameters, from the curvature of the loss.
//!
//! ```text
//! p(θ | data) ≈ N(θ*, (H + λ I)⁻¹)
//! H           = Σ_n J_nᵀ Λ_n J_n            generalized Gauss-Newton, J_n = ∂f(x_n)/∂θ
//! Λ_n         = diag(p_n) − p_n p_nᵀ        classes;  1/σ² for values
//! log p(data | λ) ≈ log p(data | θ*) − λ/2 ‖θ*‖² + P/2 log λ − 1/2 log det(H + λ I)
//! ```
//!
//! `MacKay` 1992 (the evidence framework); Daxberger et al. 2021, arXiv 2106.14806; for LoRA, Yang et al. 2024, arXiv 2308.13111. θ* is
//! taken for the maximum of the posterior with prior precision λ, as everybody does; with early stopping it is not quite.
//!
//! | what | how |
//! |---|---|
//! | [`Laplace::fit`] | factors of adapters, heads, or both: as many passes over the data as the model has classes |
//! | [`Laplace::of_last_layer`] | the head alone: one pass, and no gradients |
//! | [`Structure`] | diagonal, Kronecker-factored (one block a weight), or full |
//! | [`Laplace::with_evidence_prior`] | λ that maximizes the evidence |
//! | [`Laplace::with_best_prior`] | the best of several λ on validation rows |
//! | [`predict_posterior`](crate::predict_posterior) | members, drawn |
//! | [`Laplace::probit`] | the last layer without drawing |

mod curvature;
mod error;
mod gathering;
mod last_layer;
mod matrix;
mod observed;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;

use lora_core::gaussian::{Covariance, Gaussian, PosteriorMethod};
use lora_core::random::seeded_normal;
use lora_core::vector::{Posterior, Slot, VectorLayout};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::EvalError;
use crate::checks::{none_of, require};
pub(crate) use matrix::row_major;
use matrix::{CurvatureBlock, Placed};

pub use error::LaplaceError;
pub use gathering::{LaplaceSettings, Outputs, RootColumns};
pub use last_layer::LastLayerFeatures;
pub use observed::Observed;

/// Prior precisions that are looked at; a standard deviation of 1,000 to one of 0.0001.
pub const PRIOR_PRECISIONS: RangeInclusive<f64> = 1e-6..=1e8;

/// Which entries of the curvature matrix are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// Its diagonal.
    Diagonal,
    /// One block a parameter. That of a weight is `(Σ g gᵀ) ⊗ (Σ x xᵀ) / R` over the R places (tokens of all examples) where it is
    /// used, x being its input and g the gradient of its output (KFAC-expand: Martens & Grosse 2015, arXiv 1503.05671; Eschenhagen
    /// et al. 2023, arXiv 2311.00636). That of a bias is exact.
    #[default]
    Kronecker,
    /// All of them; for some thousand parameters at most.
    Full,
}

/// The Gaussian. A clone shares the curvature.
#[derive(Clone, Debug, PartialEq)]
pub struct Laplace {
    layout: VectorLayout,
    mean: Vec<f64>,
    blocks: Arc<Vec<Placed>>,
    log_likelihood: f64,
    prior_precision: f64,
    seed: u64,
}

impl Laplace {
    /// `Σ log p(y_n | x_n, θ*)` of the data, in nats.
    pub fn log_likelihood(&self) -> f64 {
        self.log_likelihood
    }

    /// λ.
    pub fn prior_precision(&self) -> f64 {
        self.prior_precision
    }

    /// The same posterior with another prior precision; the curvature is not computed again.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] unless it lies in [`PRIOR_PRECISIONS`].
    pub fn with_prior(mut self, precision: f64) -> Result<Self, EvalError> {
        let holds = PRIOR_PRECISIONS.contains(&precision);
        require(holds, "the prior precision λ", precision, "1e-6 to 1e8")?;
        self.prior_precision = precision;
        Ok(self)
    }

    /// The same posterior with the prior precision that maximizes [`log_evidence`](Self::log_evidence) within [`PRIOR_PRECISIONS`].
    #[must_use]
    pub fn with_evidence_prior(mut self) -> Self {
        // Of log λ the evidence has the slope ½ (Σ e/(e + λ) − λ ‖θ*‖²), e being eigenvalues of H: it falls all the way, so there
        // is one maximum, where the well-determined parameters are as many as λ ‖θ*‖² (MacKay 1992).
        let eigenvalues = self.eigenvalues();
        let length = self.squared_length();
        let rises = |log_precision: f64| {
            let precision = log_precision.exp();
            let determined: f64 = eigenvalues.iter().map(|value| value / (value + precision)).sum();
            determined > precision * length
        };
        let (mut low, mut high) = (PRIOR_PRECISIONS.start().ln(), PRIOR_PRECISIONS.end().ln());
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if rises(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        let precision = f64::midpoint(low, high).exp();
        self.prior_precision = precision.clamp(*PRIOR_PRECISIONS.start(), *PRIOR_PRECISIONS.end());
        self
    }

    /// The same posterior with that of these prior precisions which has the lowest score, such as the negative log-likelihood of its
    /// ensemble on validation rows. Scores that are NaN never win; of equal ones the first does.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without precisions, [`EvalError::OutOfRange`] for one outside of [`PRIOR_PRECISIONS`]; what the
    /// score says.
    pub fn with_best_prior<E: From<EvalError>>(
        self,
        precisions: &[f64],
        score: &mut dyn FnMut(&Self) -> Result<f64, E>,
    ) -> Result<Self, E> {
        let mut best: Option<(f64, Self)> = None;
        for precision in precisions {
            let candidate = self.clone().with_prior(*precision)?;
            let score = score(&candidate)?;
            let leads = best
                .as_ref()
                .is_none_or(|(lowest, _)| score < *lowest || lowest.is_nan());
            if leads {
                best = Some((score, candidate));
            }
        }
        Ok(best.ok_or(none_of("prior precisions"))?.1)
    }

    /// The same posterior, its members drawn from another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The logarithm of the marginal likelihood at this prior precision, in nats.
    pub fn log_evidence(&self) -> f64 {
        let precision = self.prior_precision;
        let log_determinant: f64 = self
            .eigenvalues()
            .iter()
            .map(|value| (value + precision).ln())
            .sum();
        let log_prior = 0.5 * (self.mean.len() as f64 * precision.ln() - precision * self.squared_length());
        self.log_likelihood + log_prior - 0.5 * log_determinant
    }

    /// `jᵀ (H + λ I)⁻¹ j`: the variance of the parameters along a direction `[layout().len()]`.
    ///
    /// # Panics
    /// If the direction has another length.
    pub fn variance(&self, direction: &[f64]) -> f64 {
        assert_eq!(direction.len(), self.mean.len(), "one number for each parameter");
        let of_block = |Placed { range, block }: &Placed| {
            let coordinates = block.rotated(&direction[range.clone()]);
            let values = block.eigenvalues();
            let terms = coordinates.iter().zip(values);
            terms
                .map(|(coordinate, value)| coordinate.powi(2) / (value + self.prior_precision))
                .sum::<f64>()
        };
        self.blocks.iter().map(of_block).sum()
    }

    /// The same Gaussian in the form of adapter folders, with values in single precision; none for a full curvature of several parameters,
    /// which has no such form.
    pub fn gaussian(&self) -> Option<Gaussian> {
        let covariance = |slot: &Slot| {
            let of_slot = self.blocks.iter().find(|placed| placed.range == slot.range)?;
            let deviation = |value: f64| (1.0 / (value + self.prior_precision).sqrt()) as f32;
            let deviations = of_slot.block.eigenvalues().into_iter().map(deviation).collect();
            let [output, input] = of_slot.block.rotations();
            // A full block mixes rows and columns of a weight.
            let is_mixed = matches!(of_slot.block, CurvatureBlock::Full(_)) && slot.shape.len() > 1;
            if is_mixed {
                return None;
            }
            Some(Covariance {
                deviations,
                output,
                input,
            })
        };
        let covariances = self
            .layout
            .slots()
            .iter()
            .map(covariance)
            .collect::<Option<Vec<_>>>()?;
        let settings = json!({"prior_precision": self.prior_precision});
        let layout = self.layout.clone();
        Some(Gaussian::new(
            PosteriorMethod::Laplace,
            settings,
            layout,
            &self.mean,
            covariances,
            Vec::new(),
        ))
    }

    fn at(layout: VectorLayout, mean: Vec<f64>, blocks: Vec<Placed>, log_likelihood: f64, seed: u64) -> Self {
        Self {
            layout,
            mean,
            blocks: Arc::new(blocks),
            log_likelihood,
            prior_precision: 1.0,
            seed,
        }
    }

    fn eigenvalues(&self) -> Vec<f64> {
        self.blocks
            .iter()
            .flat_map(|placed| placed.block.eigenvalues())
            .collect()
    }

    fn squared_length(&self) -> f64 {
        self.mean.iter().map(|value| value.powi(2)).sum()
    }
}

impl Posterior for Laplace {
    fn layout(&self) -> &VectorLayout {
        &self.layout
    }

    /// `θ* + Q (diag(e) + λ)^(−½) z` with standard normal z.
    fn member(&self, member: u64) -> Vec<f64> {
        let normal = seeded_normal(self.seed, &format!("laplace.{member}"), self.mean.len(), 1.0);
        let mut values = self.mean.clone();
        for Placed { range, block } in self.blocks.iter() {
            let draws = normal[range.clone()].iter().zip(block.eigenvalues());
            let coordinates: Vec<f64> = draws
                .map(|(z, value)| f64::from(*z) / (value + self.prior_precision).sqrt())
                .collect();
            let moved = block.rotated_back(&coordinates);
            values[range.clone()]
                .iter_mut()
                .zip(moved)
                .for_each(|(value, moved)| *value += moved);
        }
        values
    }
}
