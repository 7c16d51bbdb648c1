//! The learned Gaussian, drawn from.

use lora_core::gaussian::{Covariance, Gaussian, PosteriorMethod};
use lora_core::random::seeded_normal;
use lora_core::vector::{Posterior, Slot, VectorLayout};
use serde_json::json;

/// A Gaussian over the factors A without correlations.
#[derive(Clone, Debug, PartialEq)]
pub struct VariationalPosterior {
    layout: VectorLayout,
    mean: Vec<f64>,
    deviations: Vec<f64>,
    seed: u64,
}

impl VariationalPosterior {
    /// The Gaussian with these means and standard deviations.
    ///
    /// # Panics
    ///
    /// Panics unless there is one of both for each parameter.
    pub fn new(layout: VectorLayout, mean: Vec<f64>, deviations: Vec<f64>, seed: u64) -> Self {
        assert_eq!([mean.len(), deviations.len()], [layout.len(); 2]);
        Self {
            layout,
            mean,
            deviations,
            seed,
        }
    }

    /// M.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// σ.
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }

    /// The same Gaussian in the form of adapter folders, with values in single precision.
    pub fn gaussian(&self) -> Gaussian {
        let of_slot = |slot: &Slot| {
            self.deviations[slot.range.clone()]
                .iter()
                .map(|number| *number as f32)
                .collect()
        };
        let covariances = self
            .layout
            .slots()
            .iter()
            .map(|slot| Covariance::diagonal(of_slot(slot)));
        let covariances = covariances.collect();
        Gaussian::new(
            PosteriorMethod::Blob,
            json!({}),
            self.layout.clone(),
            &self.mean,
            covariances,
            Vec::new(),
        )
    }
}

impl Posterior for VariationalPosterior {
    fn layout(&self) -> &VectorLayout {
        &self.layout
    }

    /// `M + σ ⊙ z` with standard normal z.
    fn member(&self, member: u64) -> Vec<f64> {
        let normal = seeded_normal(self.seed, &format!("variational.{member}"), self.mean.len(), 1.0);
        let moved = normal.into_iter().zip(&self.deviations);
        self.mean
            .iter()
            .zip(moved)
            .map(|(mean, (z, deviation))| mean + deviation * f64::from(z))
            .collect()
    }
}
