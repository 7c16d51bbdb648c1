//! Means, their errors, and Student's t.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// `Σ x / n`.
pub(crate) fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// `Σ (x − center)²`.
pub(crate) fn squares(values: &[f64], center: f64) -> f64 {
    values.iter().map(|value| (value - center).powi(2)).sum()
}

/// `Σ (x − mean)² / (n − 1) / n`: the squared standard error of the mean, which is given.
pub(crate) fn variance_of_mean(values: &[f64], mean: f64) -> f64 {
    squares(values, mean) / (values.len() - 1) as f64 / values.len() as f64
}

/// The value below which a t-distributed number lies with this probability; none where the degrees of freedom are no positive number.
pub(crate) fn t_quantile(probability: f64, freedom: f64) -> Option<f64> {
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    Some(student.inverse_cdf(probability))
}
