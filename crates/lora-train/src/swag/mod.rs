//! SWAG: a Gaussian over the trained parameters from where training passes by (Maddox et al. 2019, arXiv 1902.02476).
//!
//! ```text
//! θ̄      mean of the collected parameters
//! Σ_diag  their variance, number by number
//! D       the last K deviations, each from the mean at its time
//! θ ~ N(θ̄, scale · (Σ_diag + D Dᵀ / (K − 1)))        scale = 1/2 in the paper
//! ```
//!
//! Collecting costs a copy of the parameters now and then, and K of them in memory; a member costs one mean pass. The paper
//! collects once an epoch in the last quarter of the training, at a learning rate that stays large: with a schedule that falls to
//! zero the collected parameters hardly differ, and so do the members.

mod collector;
mod moments;

use burn::module::Module;
use lora_core::Adapted;
use lora_core::gaussian::{Covariance, Gaussian, PosteriorMethod};
use lora_core::random::seeded_normal;
use lora_core::vector::{Part, Posterior, VectorLayout};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use crate::event::TrainingPlan;

pub use collector::SwagCollector;
pub use moments::SwagMoments;

/// The factor of the covariance in the paper.
pub const SWAG_SCALE: f64 = 0.5;

/// When parameters are collected, and which.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwagSettings {
    /// Share of the steps after which collecting begins, from 0 to below 1.
    pub start: f64,
    /// Optimizer steps from one collection to the next; none: one epoch.
    pub every: Option<u64>,
    /// K: deviations stored, at least 2.
    pub columns: usize,
    /// Which parameters vary; the others stay as the last step leaves them.
    pub part: Part,
}

/// Why there is no SWAG.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum SwagError {
    /// A setting out of its range.
    #[error("the SWAG setting {key} is {found}: expected {expected}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// The training was too short to collect from.
    #[error(
        "SWAG collected the parameters {found} times, and needs at least 2 to tell how they vary; train longer, begin earlier \
         (start), or collect more often (every)"
    )]
    TooFewCollections {
        /// How often they were.
        found: u64,
    },
}

/// The Gaussian over the trained parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Swag {
    layout: VectorLayout,
    moments: SwagMoments,
    seed: u64,
    scale: f64,
}

impl Default for SwagSettings {
    /// The paper's: the last quarter, once an epoch, 20 columns; all trained parameters.
    fn default() -> Self {
        Self {
            start: 0.75,
            every: None,
            columns: 20,
            part: Part::Trained,
        }
    }
}

impl SwagSettings {
    /// # Errors
    ///
    /// [`SwagError::Setting`].
    pub fn validate(&self) -> Result<(), SwagError> {
        let refuse = |key, found, expected| Err(SwagError::Setting { key, found, expected });
        if !(0.0..1.0).contains(&self.start) {
            return refuse("start", self.start, "a share of the steps from 0 to below 1");
        }
        if self.every == Some(0) {
            return refuse("every", 0.0, "at least 1 step");
        }
        if self.columns < 2 {
            return refuse("columns", self.columns as f64, "at least 2");
        }
        Ok(())
    }

    /// How often parameters are collected in a training of so many steps, if nothing ends it early.
    pub fn collections(&self, steps: u64, steps_per_epoch: u64) -> u64 {
        (steps - self.first(steps)) / self.every.unwrap_or(steps_per_epoch)
    }

    /// Whether parameters are collected after this step of a training.
    fn is_due(&self, step: u64, plan: &TrainingPlan) -> bool {
        let first = self.first(plan.steps);
        let every = self.every.unwrap_or(plan.steps_per_epoch);
        step > first && (step - first).is_multiple_of(every)
    }

    /// Steps without collections.
    #[expect(clippy::cast_sign_loss, reason = "a share of the steps is not negative")]
    fn first(&self, steps: u64) -> u64 {
        (self.start * steps as f64) as u64
    }
}

impl Swag {
    /// The Gaussian with these moments.
    ///
    /// # Errors
    ///
    /// [`SwagError::TooFewCollections`]; [`SwagError::Setting`] for a scale that is negative or not finite.
    ///
    /// # Panics
    ///
    /// Panics if layout and moments differ in length.
    pub fn new(layout: VectorLayout, moments: SwagMoments, seed: u64, scale: f64) -> Result<Self, SwagError> {
        assert_eq!(layout.len(), moments.mean().len(), "one mean for each parameter");
        if moments.count() < 2 {
            return Err(SwagError::TooFewCollections {
                found: moments.count(),
            });
        }
        if !(scale.is_finite() && scale >= 0.0) {
            return Err(SwagError::Setting {
                key: "scale",
                found: scale,
                expected: "a number of at least 0; the paper's is 0.5",
            });
        }
        Ok(Self {
            layout,
            moments,
            seed,
            scale,
        })
    }

    /// What it was collected from.
    pub fn moments(&self) -> &SwagMoments {
        &self.moments
    }

    /// The same Gaussian with another factor of the covariance.
    ///
    /// # Errors
    ///
    /// [`SwagError::Setting`].
    pub fn with_scale(self, scale: f64) -> Result<Self, SwagError> {
        Self::new(self.layout, self.moments, self.seed, scale)
    }

    /// The same Gaussian in the form of adapter folders, with values in single precision.
    pub fn gaussian(&self) -> Gaussian {
        let deviation = self.scale.sqrt();
        let deviations: Vec<f32> = self
            .moments
            .variances()
            .map(|variance| (deviation * variance.sqrt()) as f32)
            .collect();
        let slots = self.layout.slots().iter();
        let covariances = slots.map(|slot| Covariance::diagonal(deviations[slot.range.clone()].to_vec()));
        let columns = self.moments.columns();
        let factor = deviation / ((columns.len() - 1) as f64).sqrt();
        let scaled = |column: &Vec<f32>| {
            column
                .iter()
                .map(|number| (f64::from(*number) * factor) as f32)
                .collect()
        };
        Gaussian::new(
            PosteriorMethod::Swag,
            json!({"scale": self.scale, "collections": self.moments.count()}),
            self.layout.clone(),
            self.moments.mean(),
            covariances.collect(),
            columns.iter().map(scaled).collect(),
        )
    }

    /// The model at the mean of the Gaussian: stochastic weight averaging (Izmailov et al. 2018, arXiv 1803.05407).
    ///
    /// # Panics
    ///
    /// Panics if the model is another one than was collected from.
    #[must_use]
    pub fn mean_model<M: Module + lora_core::Linears>(&self, adapted: &Adapted<M>) -> Adapted<M> {
        self.layout.write(adapted, self.moments.mean())
    }
}

impl Posterior for Swag {
    fn layout(&self) -> &VectorLayout {
        &self.layout
    }

    /// `θ̄ + √scale · (Σ_diag^½ z₁ + D z₂ / √(K − 1))` with standard normal z₁, z₂.
    fn member(&self, member: u64) -> Vec<f64> {
        let draw = |what: &str, count| seeded_normal(self.seed, &format!("swag.{what}.{member}"), count, 1.0);
        let columns = self.moments.columns();
        let of_numbers = draw("diagonal", self.layout.len());
        let of_columns = draw("columns", columns.len());
        let mut values: Vec<f64> = self
            .moments
            .variances()
            .zip(of_numbers)
            .map(|(variance, z)| variance.sqrt() * f64::from(z))
            .collect();
        let divisor = ((columns.len() - 1) as f64).sqrt();
        for (column, z) in columns.iter().zip(of_columns) {
            for (value, deviation) in values.iter_mut().zip(column) {
                *value += f64::from(*deviation) * f64::from(z) / divisor;
            }
        }
        let deviation = self.scale.sqrt();
        values
            .iter()
            .zip(self.moments.mean())
            .map(|(value, mean)| mean + deviation * value)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_collections_are_foreseen_as_steps_are_due() {
        for (start, every, expected) in [
            (0.0, None, 4),
            (0.5, None, 2),
            (0.3, Some(5), 4),
            (0.99, Some(1), 1),
        ] {
            let settings = SwagSettings {
                start,
                every,
                ..SwagSettings::default()
            };
            let plan = TrainingPlan {
                steps: 29,
                steps_per_epoch: 7,
                epochs: 29.0 / 7.0,
                examples: 50,
            };
            let due = (1..=plan.steps)
                .filter(|step| settings.is_due(*step, &plan))
                .count();
            assert_eq!(
                (due, settings.collections(29, 7)),
                (expected, expected as u64),
                "{start} {every:?}"
            );
        }
    }
}
