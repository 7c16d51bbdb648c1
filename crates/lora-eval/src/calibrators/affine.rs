//! Vector scaling and Dirichlet calibration: affine maps of log-probabilities, by their penalized likelihood.

use serde::{Deserialize, Serialize};

use super::Calibrator;
use super::lbfgs::{minimize, product};
use crate::checks::require;
use crate::softmax::softmax;
use crate::{ClassProbabilities, EvalError};

/// A class that was called impossible is taken as this improbable.
const SMALLEST: f64 = 1e-30;

/// How far the parameters of vector scaling are held to those that change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorPrior {
    /// Standard deviation of the normal prior of `w_c − 1` and of `b_c`; none for no prior.
    pub deviation: Option<f64>,
}

impl VectorPrior {
    /// The likelihood alone.
    pub const NONE: Self = Self { deviation: None };
}

impl Default for VectorPrior {
    /// As wide as the prior of the temperature.
    fn default() -> Self {
        Self {
            deviation: Some(crate::temperature::PRIOR_DEVIATION),
        }
    }
}

/// The penalties of Dirichlet calibration on what a temperature would not have (ODIR).
///
/// ```text
/// loss + λ · mean of W_ij², i ≠ j + μ · mean of b_i²
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirichletPenalty {
    /// λ.
    pub off_diagonal: f64,
    /// μ.
    pub bias: f64,
}

impl DirichletPenalty {
    /// The likelihood alone.
    pub const NONE: Self = Self {
        off_diagonal: 0.0,
        bias: 0.0,
    };

    /// That of a normal prior as wide as the temperature's, for so many rows and classes.
    pub fn for_rows(rows: usize, classes: usize) -> Self {
        let of_each = 1.0 / (2.0 * crate::temperature::PRIOR_DEVIATION.powi(2) * rows.max(1) as f64);
        let classes = classes as f64;
        Self {
            off_diagonal: of_each * classes * (classes - 1.0),
            bias: of_each * classes,
        }
    }
}

/// `softmax(map(ln p) + b)` of a row.
pub(super) fn scaled(row: &[f64], bias: &[f64], map: impl Fn(usize, &[f64]) -> f64) -> Vec<f64> {
    let logs = logs(row);
    let of_class = |(class, bias): (usize, &f64)| map(class, &logs) + bias;
    softmax(&bias.iter().enumerate().map(of_class).collect::<Vec<_>>())
}

fn logs(row: &[f64]) -> Vec<f64> {
    row.iter()
        .map(|probability| probability.max(SMALLEST).ln())
        .collect()
}

pub(super) fn fit_vector(
    probabilities: &ClassProbabilities,
    labels: &[usize],
    prior: VectorPrior,
) -> Result<Calibrator, EvalError> {
    if let Some(found) = prior.deviation {
        let what = "the deviation of the prior of vector scaling";
        require(found.is_finite() && found > 0.0, what, found, "a positive number")?;
    }
    let classes = probabilities.classes();
    let rows: Vec<Vec<f64>> = probabilities.rows().map(logs).collect();
    let penalty = prior
        .deviation
        .map_or(0.0, |deviation| 0.5 / (deviation.powi(2) * rows.len() as f64));
    let loss = |parameters: &[f64]| {
        let (weights, bias) = parameters.split_at(classes);
        let outputs = |row: &[f64]| {
            (0..classes)
                .map(|class| weights[class] * row[class] + bias[class])
                .collect()
        };
        let mut gradient = vec![0.0; 2 * classes];
        let mut loss = each_row(&rows, labels, &outputs, &mut |row, errors| {
            for (class, error) in errors.iter().enumerate() {
                gradient[class] += error * row[class];
                gradient[classes + class] += error;
            }
        });
        for (place, number) in parameters.iter().enumerate() {
            let off = number - f64::from(u8::from(place < classes));
            loss += penalty * off * off;
            gradient[place] += 2.0 * penalty * off;
        }
        (loss, gradient)
    };
    let start = [vec![1.0; classes], vec![0.0; classes]].concat();
    let mut weights = minimize(start, &loss);
    let bias = weights.split_off(classes);
    Ok(Calibrator::Vector { weights, bias })
}

pub(super) fn fit_dirichlet(
    probabilities: &ClassProbabilities,
    labels: &[usize],
    penalty: DirichletPenalty,
) -> Result<Calibrator, EvalError> {
    for (what, found) in [
        (
            "the penalty of Dirichlet calibration off the diagonal",
            penalty.off_diagonal,
        ),
        ("the penalty of the bias of Dirichlet calibration", penalty.bias),
    ] {
        require(
            found.is_finite() && found >= 0.0,
            what,
            found,
            "a number of at least 0",
        )?;
    }
    let classes = probabilities.classes();
    let rows: Vec<Vec<f64>> = probabilities.rows().map(logs).collect();
    let of_weight = penalty.off_diagonal / (classes * (classes - 1)) as f64;
    let of_bias = penalty.bias / classes as f64;
    let is_diagonal = |place: usize| place < classes * classes && place / classes == place % classes;
    let loss = |parameters: &[f64]| {
        let (weights, bias) = parameters.split_at(classes * classes);
        let outputs = |row: &[f64]| {
            let of_class = |(weights, bias): (&[f64], &f64)| product(weights, row) + bias;
            weights.chunks_exact(classes).zip(bias).map(of_class).collect()
        };
        let mut gradient = vec![0.0; parameters.len()];
        let mut loss = each_row(&rows, labels, &outputs, &mut |row, errors| {
            let (of_weights, of_bias) = gradient.split_at_mut(classes * classes);
            for (class, error) in errors.iter().enumerate() {
                let of_class = of_weights[class * classes..][..classes].iter_mut();
                of_class.zip(row).for_each(|(number, log)| *number += error * log);
                of_bias[class] += error;
            }
        });
        for (place, number) in parameters.iter().enumerate() {
            let factor = match place {
                place if is_diagonal(place) => 0.0,
                place if place < classes * classes => of_weight,
                _ => of_bias,
            };
            loss += factor * number * number;
            gradient[place] += 2.0 * factor * number;
        }
        (loss, gradient)
    };
    let diagonal = |place| f64::from(u8::from(is_diagonal(place)));
    let parameters = minimize((0..classes * classes + classes).map(diagonal).collect(), &loss);
    let (weights, bias) = parameters.split_at(classes * classes);
    Ok(Calibrator::Dirichlet {
        weights: weights.chunks_exact(classes).map(<[f64]>::to_vec).collect(),
        bias: bias.to_vec(),
    })
}

/// The mean negative log-likelihood; `add` gets for each row its log-probabilities and the gradient of its share with regard to its
/// outputs.
fn each_row(
    rows: &[Vec<f64>],
    labels: &[usize],
    outputs: &dyn Fn(&[f64]) -> Vec<f64>,
    add: &mut dyn FnMut(&[f64], &[f64]),
) -> f64 {
    let share = 1.0 / rows.len() as f64;
    let mut loss = 0.0;
    for (row, label) in rows.iter().zip(labels) {
        let outputs = outputs(row);
        let largest = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = outputs.iter().map(|output| (output - largest).exp()).sum();
        loss += share * (largest + sum.ln() - outputs[*label]);
        let of_class = |(class, output): (usize, &f64)| {
            share * ((output - largest).exp() / sum - f64::from(u8::from(class == *label)))
        };
        let errors: Vec<f64> = outputs.iter().enumerate().map(of_class).collect();
        add(row, &errors);
    }
    loss
}
