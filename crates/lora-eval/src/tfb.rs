//! Training-free Bayesianization: noise on a trained adapter, as much as validation rows allow (Shi et al., `NeurIPS` 2025,
//! [2412.05723](https://arxiv.org/abs/2412.05723)).
//!
//! ```text
//! B = U diag(d) Vᵀ      B A = (U diag(d)) (Vᵀ A)        the SVD puts the adapter into a form with orthogonal columns
//! row i of Vᵀ A ~ N(its value, (σ / d_i)²)              so that the update gets the noise U σ Z: equal in all directions of its columns
//! σ                                                     the largest at which the loss rises by no more than a tolerance
//! ```
//!
//! The noise is on A alone, `A + V diag(σ / d) Z`, so the adapter itself is not rewritten. Directions in which B is zero get none.
//! Two things are as a user of labelled rows needs them, and not as in the paper: the loss may fall as far as it likes, where the paper
//! bounds its change on both sides; and σ is halved in its logarithm.

use burn::module::Module;
use lora_core::gaussian::{Covariance, Gaussian, PosteriorMethod};
use lora_core::vector::VectorLayout;
use lora_core::{Adapted, Linears};
use nalgebra::{DMatrix, SymmetricEigen};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::EvalError;
use crate::checks::require;
use crate::laplace::row_major;

/// Directions of B this much shorter than its longest one are zero.
const SMALLEST_DIRECTION: f64 = 1e-6;

/// How σ is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TfbSettings {
    /// Share of the loss by which it may rise.
    pub tolerance: f64,
    /// The smallest σ that is tried.
    pub smallest: f64,
    /// The largest σ that is tried.
    pub largest: f64,
    /// Halvings of the interval between them, in the logarithm.
    pub halvings: u32,
}

impl Default for TfbSettings {
    /// 1 %, σ from 0.0001 to 1, ten halvings: the last interval is a factor of 1.01 wide.
    fn default() -> Self {
        Self {
            tolerance: 0.01,
            smallest: 1e-4,
            largest: 1.0,
            halvings: 10,
        }
    }
}

impl TfbSettings {
    /// How many σ are tried, at most: both ends, and one a halving.
    pub fn most_rounds(&self) -> u32 {
        2 + self.halvings
    }

    /// # Errors
    ///
    /// [`EvalError::OutOfRange`].
    pub fn check(&self) -> Result<(), EvalError> {
        let holds = self.tolerance.is_finite() && self.tolerance > 0.0;
        let expected = "a number above 0; 0.01 is one per cent";
        require(holds, "the tolerance", self.tolerance, expected)?;
        let holds = self.smallest > 0.0 && self.smallest < self.largest && self.largest.is_finite();
        let expected = "a number above 0 and below the largest σ";
        require(holds, "the smallest σ", self.smallest, expected)
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Bayesianized {
    /// The Gaussian at the σ that was found.
    pub posterior: Gaussian,
    /// σ.
    pub sigma: f64,
    /// Loss without noise.
    pub loss_without: f64,
    /// Loss at σ.
    pub loss: f64,
    /// Whether even the largest σ was allowed.
    pub is_largest: bool,
}

/// The noise of σ = 1 for every LoRA adapter of a model.
///
/// # Errors
///
/// [`EvalError::NothingToVary`] if the model has no LoRA factors, or all factors B are zero.
pub fn low_rank_noise<M: Module + Linears>(adapted: &Adapted<M>) -> Result<Gaussian, EvalError> {
    const A: &str = ".lora_A.weight";
    const B: &str = ".lora_B.weight";
    let mut factors = std::collections::BTreeMap::new();
    adapted.visit_trained(&mut |parameter| {
        if let Some(path) = parameter.name.strip_suffix(B) {
            factors.insert(format!("{path}{A}"), parameter.param.to_file());
        }
    });
    let layout = VectorLayout::of_chosen(adapted, |parameter| factors.contains_key(&parameter.name));
    let mut covariances = Vec::new();
    let mut varies = false;
    for slot in layout.slots() {
        let b = &factors[&slot.name];
        let [d_output, rank] = [b.shape[0], b.shape[1]];
        let width = slot.range.len() / rank;
        let b = DMatrix::from_row_iterator(d_output, rank, b.values.iter().copied().map(f64::from));
        // Of BᵀB: V, and the squares of d.
        let SymmetricEigen {
            eigenvectors,
            eigenvalues,
        } = SymmetricEigen::new(b.tr_mul(&b));
        let lengths: Vec<f64> = eigenvalues.iter().map(|square| square.max(0.0).sqrt()).collect();
        let longest = lengths.iter().copied().fold(0.0, f64::max);
        let deviation = |length: &f64| {
            if *length > SMALLEST_DIRECTION * longest {
                1.0 / length
            } else {
                0.0
            }
        };
        varies |= longest > 0.0;
        let deviations = lengths
            .iter()
            .flat_map(|length| vec![deviation(length) as f32; width]);
        covariances.push(Covariance {
            deviations: deviations.collect(),
            output: Some(row_major(&eigenvectors)),
            input: None,
        });
    }
    if !varies {
        return Err(EvalError::NothingToVary);
    }
    let mean = layout.read(adapted);
    Ok(Gaussian::new(
        PosteriorMethod::Tfb,
        json!({}),
        layout,
        &mean,
        covariances,
        Vec::new(),
    ))
}

/// The largest σ at which the loss of the ensemble stays within the tolerance. `noise` is that of σ = 1, `loss` that of a Gaussian's
/// ensemble on validation rows, with the same draws each time, and `loss_without` that of the mean pass.
///
/// # Errors
///
/// What `loss` says; [`EvalError::OutOfRange`] for bad settings, [`EvalError::NoNoiseAllowed`] if even the smallest σ costs more than
/// the tolerance.
pub fn largest_noise<E: From<EvalError>>(
    noise: &Gaussian,
    settings: &TfbSettings,
    loss_without: f64,
    loss: &mut dyn FnMut(&Gaussian) -> Result<f64, E>,
) -> Result<Bayesianized, E> {
    settings.check()?;
    let allowed = loss_without * (1.0 + settings.tolerance);
    let mut at = |sigma: f64| -> Result<Option<Bayesianized>, E> {
        let settings = json!({"sigma": sigma, "search": settings});
        let posterior = noise.scaled(sigma).with_settings(settings);
        let loss = loss(&posterior)?;
        Ok((loss <= allowed).then_some(Bayesianized {
            posterior,
            sigma,
            loss_without,
            loss,
            is_largest: false,
        }))
    };
    if let Some(found) = at(settings.largest)? {
        let is_largest = true;
        return Ok(Bayesianized { is_largest, ..found });
    }
    let Some(mut found) = at(settings.smallest)? else {
        let (smallest, tolerance) = (settings.smallest, settings.tolerance);
        return Err(EvalError::NoNoiseAllowed { smallest, tolerance }.into());
    };
    let mut refused = settings.largest;
    for _ in 0..settings.halvings {
        let middle = (found.sigma * refused).sqrt();
        match at(middle)? {
            Some(better) => found = better,
            None => refused = middle,
        }
    }
    Ok(found)
}
