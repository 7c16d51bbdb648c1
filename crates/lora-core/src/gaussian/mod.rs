//! A Gaussian over trained parameters in the one form in which models carry it and folders hold it.
//!
//! ```text
//! θ = mean + Q_out (deviations ⊙ Z) Q_inᵀ + Σ_k z_k · column_k        for each parameter, Z and z standard normal
//! ```
//!
//! | | deviations | `Q_out`, `Q_in` | columns |
//! |---|---|---|---|
//! | variational A (`BLoB`) | of each number | – | – |
//! | SWAG | of each number | – | K deviations of the trajectory |
//! | Laplace, diagonal | `(h + λ)^(−½)` | – | – |
//! | Laplace, Kronecker-factored | `(g_i a_j + λ)^(−½)` | eigenvectors of both factors | – |
//! | TFB | `σ / d_i` in row i of A | right singular vectors of B | – |
//!
//! Everything is held in single precision, as files have it, so that what is read back draws the same members to the bit.

mod file;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use file::{POSTERIOR_FILE, POSTERIOR_TENSOR_FILE, posterior_of};
pub(crate) use file::{read_posterior, write_posterior};

use crate::random::seeded_normal;
use crate::vector::layout::{Posterior, VectorLayout};

/// Where a Gaussian comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosteriorMethod {
    /// The trajectory of a training.
    Swag,
    /// The curvature of the loss.
    Laplace,
    /// Factors A that were learned as distributions.
    Blob,
    /// The largest noise that validation rows allow.
    Tfb,
}

impl PosteriorMethod {
    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Swag => "SWAG",
            Self::Laplace => "Laplace",
            Self::Blob => "BLoB",
            Self::Tfb => "TFB",
        }
    }
}

/// How one parameter varies around its mean: the covariance of `Q_out (deviations ⊙ Z) Q_inᵀ`, held by its factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Covariance {
    /// Standard deviations, as many as the parameter has values: row-major in the shape of files.
    pub deviations: Vec<f32>,
    /// `Q_out`, `[rows, rows]`, row-major; none: the identity.
    pub output: Option<Vec<f32>>,
    /// `Q_in`, `[columns, columns]`, row-major; none: the identity.
    pub input: Option<Vec<f32>>,
}

impl Covariance {
    /// Each number for itself.
    pub fn diagonal(deviations: Vec<f32>) -> Self {
        Self {
            deviations,
            output: None,
            input: None,
        }
    }
}

/// A Gaussian over some of the trained parameters of a model. A clone shares its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    method: PosteriorMethod,
    /// What it was made with, for those who read its file.
    settings: Value,
    layout: Arc<VectorLayout>,
    mean: Arc<Vec<f32>>,
    covariances: Arc<Vec<Covariance>>,
    columns: Arc<Vec<Vec<f32>>>,
    seed: u64,
}

impl Gaussian {
    /// The Gaussian over the parameters of a layout: a mean for each number, a covariance for each parameter, and columns of the length of the
    /// layout. Of several values in single precision the nearest ones are taken.
    ///
    /// # Panics
    ///
    /// Panics if lengths differ from those of the layout, or a deviation is negative or not finite.
    pub fn new(
        method: PosteriorMethod,
        settings: Value,
        layout: VectorLayout,
        mean: &[f64],
        covariances: Vec<Covariance>,
        columns: Vec<Vec<f32>>,
    ) -> Self {
        assert_eq!(mean.len(), layout.len(), "one mean for each number");
        assert_eq!(
            covariances.len(),
            layout.slots().len(),
            "one covariance for each parameter"
        );
        for (slot, covariance) in layout.slots().iter().zip(&covariances) {
            assert_eq!(
                covariance.deviations.len(),
                slot.range.len(),
                "one deviation for each number of {}",
                slot.name
            );
            assert!(
                covariance
                    .deviations
                    .iter()
                    .all(|deviation| deviation.is_finite() && *deviation >= 0.0),
                "deviations of {} are no deviations",
                slot.name
            );
            let [rows, width] = matrix_of(&slot.shape);
            for (rotation, side) in [(&covariance.output, rows), (&covariance.input, width)] {
                assert!(
                    rotation
                        .as_ref()
                        .is_none_or(|rotation| rotation.len() == side * side),
                    "rotation of {}",
                    slot.name
                );
            }
        }
        assert!(
            columns.iter().all(|column| column.len() == layout.len()),
            "columns of the length of the layout"
        );
        Self {
            method,
            settings,
            layout: Arc::new(layout),
            mean: Arc::new(mean.iter().map(|number| *number as f32).collect()),
            covariances: Arc::new(covariances),
            columns: Arc::new(columns),
            seed: 0,
        }
    }

    /// Where it comes from.
    pub fn method(&self) -> PosteriorMethod {
        self.method
    }

    /// What it was made with.
    pub fn settings(&self) -> &Value {
        &self.settings
    }

    /// The mean of every number.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// How each parameter varies.
    pub fn covariances(&self) -> &[Covariance] {
        &self.covariances
    }

    /// The same Gaussian, its members drawn from another seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same Gaussian with all deviations times a factor.
    ///
    /// # Panics
    ///
    /// Panics if the factor is negative or not finite.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        assert!(
            factor.is_finite() && factor >= 0.0,
            "a factor of deviations is {factor}"
        );
        let times = |numbers: &[f32]| {
            numbers
                .iter()
                .map(|number| (f64::from(*number) * factor) as f32)
                .collect()
        };
        let covariance = |covariance: &Covariance| Covariance {
            deviations: times(&covariance.deviations),
            ..covariance.clone()
        };
        Self {
            covariances: Arc::new(self.covariances.iter().map(covariance).collect()),
            columns: Arc::new(self.columns.iter().map(|column| times(column)).collect()),
            ..self.clone()
        }
    }

    /// The same Gaussian with other words about how it was made.
    #[must_use]
    pub fn with_settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }
}

impl Posterior for Gaussian {
    fn layout(&self) -> &VectorLayout {
        &self.layout
    }

    fn member(&self, member: u64) -> Vec<f64> {
        let draw =
            |what: &str, count| seeded_normal(self.seed, &format!("posterior.{what}.{member}"), count, 1.0);
        let normal = draw("numbers", self.layout.len());
        let mut values: Vec<f64> = self.mean.iter().copied().map(f64::from).collect();
        for (slot, covariance) in self.layout.slots().iter().zip(self.covariances.iter()) {
            let draws = normal[slot.range.clone()].iter().zip(&covariance.deviations);
            let moved = draws
                .map(|(z, deviation)| f64::from(*z) * f64::from(*deviation))
                .collect();
            let moved = rotated(moved, &matrix_of(&slot.shape), covariance);
            let values = &mut values[slot.range.clone()];
            values
                .iter_mut()
                .zip(moved)
                .for_each(|(value, moved)| *value += moved);
        }
        for (column, z) in self.columns.iter().zip(draw("columns", self.columns.len())) {
            for (value, deviation) in values.iter_mut().zip(column) {
                *value += f64::from(*deviation) * f64::from(z);
            }
        }
        values
    }
}

/// `Q_out C Q_inᵀ` of a matrix C `[rows, columns]`, row-major.
fn rotated(mut matrix: Vec<f64>, [rows, columns]: &[usize; 2], covariance: &Covariance) -> Vec<f64> {
    let (rows, columns) = (*rows, *columns);
    if let Some(rotation) = &covariance.output {
        let mut product = vec![0.0; matrix.len()];
        for (product, rotation) in product.chunks_exact_mut(columns).zip(rotation.chunks_exact(rows)) {
            for (row, factor) in matrix.chunks_exact(columns).zip(rotation) {
                product
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, number)| *sum += f64::from(*factor) * number);
            }
        }
        matrix = product;
    }
    if let Some(rotation) = &covariance.input {
        let of_row = |row: &[f64]| -> Vec<f64> {
            let dot = |rotation: &[f32]| {
                rotation
                    .iter()
                    .zip(row)
                    .map(|(factor, number)| f64::from(*factor) * number)
                    .sum()
            };
            rotation.chunks_exact(columns).map(dot).collect()
        };
        matrix = matrix.chunks_exact(columns).flat_map(of_row).collect();
    }
    matrix
}

/// A parameter as a matrix: what is no matrix is one column.
fn matrix_of(shape: &[usize]) -> [usize; 2] {
    match shape {
        [rows, columns] => [*rows, *columns],
        other => [other.iter().product(), 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_act_on_both_sides() {
        // Q_out turns by a quarter, Q_in exchanges the first two of three columns.
        let covariance = Covariance {
            deviations: vec![1.0; 6],
            output: Some(vec![0.0, -1.0, 1.0, 0.0]),
            input: Some(vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
        };
        let found = rotated(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3], &covariance);
        // Rows (1 2 3), (4 5 6) become (−4 −5 −6), (1 2 3), then their first two columns change places.
        assert_eq!(found, [-5.0, -4.0, -6.0, 2.0, 1.0, 3.0]);
    }
}
