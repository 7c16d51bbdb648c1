//! Several adapters into one, by the definitions of PEFT's `add_weighted_adapter`.
//!
//! With adapter i's update `ΔW_i = s_i B_i A_i` and weight `w_i`:
//!
//! | method | result |
//! |---|---|
//! | `cat` | `Σ w_i ΔW_i` exactly, with the sum of the ranks |
//! | `svd` | the best approximation of `Σ w_i ΔW_i` of a given rank |
//! | `linear` | `A = Σ ±√\|w_i s_i\| A_i`, `B = Σ √\|w_i s_i\| B_i`: cheap, but its product has cross terms |
//! | `magnitude_prune` | as linear, of each tensor only the largest values |
//! | `ties` | of each tensor the largest values, then the average of those with the elected sign (arXiv 2306.01708) |
//! | `dare_linear`, `dare_ties` | of each tensor a random part, divided by its share (arXiv 2311.03099) |
//!
//! A name with `_svd` works on the updates in place of the factors and takes the best approximation of the result.

mod error;
mod method;
mod one_base;
mod rule;

use std::collections::{BTreeMap, BTreeSet};

use nalgebra::{DMatrix, SVD};
use rand_distr::{Bernoulli, Distribution};

pub use error::{CombineError, OneSided};
pub use method::CombineMethod;
pub use rule::{MajoritySign, Rule};

use one_base::{base_of, check_one_base};

use crate::peft::{Factors, PlainLora};
use crate::random::parameter_generator;
use crate::targets::{TargetModules, TargetNames};
use crate::tensors::HostTensor;

/// Sweeps after which a decomposition is given up.
const MAX_SWEEPS: usize = 10_000;

/// How adapters are combined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Combination {
    /// One after the other: exact.
    Concatenate,
    /// A rule on the factors A and B, each for itself.
    Factors(Rule),
    /// A rule on the dense updates, and the best approximation of the result.
    Updates {
        /// The rule.
        rule: Rule,
        /// Rank of the result; the largest rank of the adapters if absent.
        rank: Option<usize>,
    },
}

/// Which values of a tensor a random rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorPlace<'a> {
    /// Path of the linear.
    pub path: &'a str,
    /// Number of the adapter in the list.
    pub adapter: usize,
    /// `A`, `B`, or `update`.
    pub tensor: &'static str,
}

/// Says for each number of a tensor whether it is kept; the share is the rule's density.
pub type Keep<'a> = dyn FnMut(TensorPlace<'_>, usize, f64) -> Vec<bool> + 'a;

/// Combines adapters; what random rules keep follows from the seed and the place alone.
///
/// Scales are those of the mean pass, so LoRA Dropout's expected update goes in, and the result has no dropout. Heads and
/// other modules trained in full cannot be averaged by any of these rules: at most one of the adapters may hold each, or all
/// the same one.
///
/// # Errors
///
/// [`CombineError`] if the adapters do not fit together or the method does not fit them.
///
/// # Panics
///
/// Panics if a rule's density is not between 0 and 1, which [`CombineMethod::with`] does not allow.
pub fn combine(
    adapters: &[PlainLora],
    weights: &[f64],
    combination: Combination,
    seed: u64,
) -> Result<PlainLora, CombineError> {
    let mut keep = |place: TensorPlace<'_>, count: usize, density: f64| {
        let TensorPlace {
            path,
            adapter,
            tensor,
        } = place;
        let mut generator = parameter_generator(seed, &format!("{path}.{tensor}.{adapter}"));
        let kept = Bernoulli::new(density).expect("the density was checked");
        kept.sample_iter(&mut generator).take(count).collect()
    };
    combine_with(adapters, weights, combination, &mut keep)
}

/// [`combine`] with random choices from elsewhere.
///
/// # Errors
///
/// As [`combine`].
pub fn combine_with(
    adapters: &[PlainLora],
    weights: &[f64],
    combination: Combination,
    keep: &mut Keep<'_>,
) -> Result<PlainLora, CombineError> {
    let Some(first) = adapters.first() else {
        return Err(CombineError::NoAdapters);
    };
    if adapters.len() != weights.len() {
        return Err(CombineError::Weights {
            adapters: adapters.len(),
            weights: weights.len(),
        });
    }
    check_settings(adapters, weights, combination)?;
    let largest = adapters
        .iter()
        .flat_map(|adapter| adapter.factors.values().map(Factors::rank))
        .max()
        .unwrap_or(0);
    let paths: BTreeSet<&String> = adapters
        .iter()
        .flat_map(|adapter| adapter.factors.keys())
        .collect();
    let mut factors = BTreeMap::new();
    for path in paths {
        let mut present = Vec::new();
        for (index, (adapter, weight)) in adapters.iter().zip(weights).enumerate() {
            if let Some(factors) = adapter.factors.get(path) {
                present.push(Present {
                    index,
                    weight: *weight,
                    factors,
                });
            }
        }
        check(path, &present)?;
        let mut combined = match combination {
            Combination::Concatenate => concatenated(&present),
            Combination::Factors(rule) => of_factors(path, &present, rule, keep)?,
            Combination::Updates { rule, rank } => {
                of_updates(path, &present, rule, rank.unwrap_or(largest), keep)?
            }
        };
        combined.is_table = present[0].factors.is_table;
        factors.insert(path.clone(), combined);
    }
    let names = factors.keys().cloned().collect();
    let mut config = first.config.clone();
    config.targets = TargetModules::from(TargetNames::Names(names));
    config.modules_to_save = adapters
        .iter()
        .flat_map(|adapter| adapter.config.modules_to_save.clone())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    Ok(PlainLora {
        factors,
        saved: saved(adapters)?,
        config,
        task_type: first.task_type,
        base_model: adapters
            .iter()
            .find_map(|adapter| base_of(adapter).map(str::to_owned)),
    })
}

/// What can be checked before any number is computed.
fn check_settings(
    adapters: &[PlainLora],
    weights: &[f64],
    combination: Combination,
) -> Result<(), CombineError> {
    if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
        return Err(CombineError::Weight {
            index,
            found: weights[index],
        });
    }
    if let Combination::Updates { rank: Some(0), .. } = combination {
        return Err(CombineError::ZeroRank);
    }
    let mode = |adapter: &PlainLora| adapter.config.bias;
    if let Some(other) = adapters.iter().find(|other| mode(other) != mode(&adapters[0])) {
        return Err(CombineError::BiasModes {
            first: mode(&adapters[0]).name(),
            other: mode(other).name(),
        });
    }
    check_one_base(adapters)
}

/// An adapter on one linear.
struct Present<'a> {
    index: usize,
    weight: f64,
    factors: &'a Factors,
}

fn check(path: &str, present: &[Present<'_>]) -> Result<(), CombineError> {
    let dims = |factors: &Factors| [factors.a.shape[1], factors.b.shape[0]];
    let expected = dims(present[0].factors);
    for one in present {
        if one.factors.bias.is_some() {
            return Err(CombineError::Bias {
                path: path.to_owned(),
            });
        }
        let found = dims(one.factors);
        if found != expected {
            return Err(CombineError::Shape {
                path: path.to_owned(),
                expected,
                found,
            });
        }
    }
    Ok(())
}

/// Modules trained in full, each from the one adapter that has it.
fn saved(adapters: &[PlainLora]) -> Result<BTreeMap<String, HostTensor>, CombineError> {
    let mut saved: BTreeMap<String, HostTensor> = BTreeMap::new();
    for (name, tensor) in adapters.iter().flat_map(|adapter| &adapter.saved) {
        match saved.get(name) {
            Some(known) if known != tensor => return Err(CombineError::Saved { name: name.clone() }),
            Some(_) => {}
            None => {
                saved.insert(name.clone(), tensor.clone());
            }
        }
    }
    Ok(saved)
}

/// `A = [w_1 s_1 A_1; w_2 s_2 A_2; …]`, `B = [B_1, B_2, …]`.
fn concatenated(present: &[Present<'_>]) -> Factors {
    let mut a = Vec::new();
    for one in present {
        let factor = (one.weight * one.factors.scale) as f32;
        a.extend(one.factors.a.values.iter().map(|value| value * factor));
    }
    let rank = present.iter().map(|one| one.factors.rank()).sum();
    let [d_input, d_output] = [present[0].factors.a.shape[1], present[0].factors.b.shape[0]];
    let mut b = Vec::with_capacity(rank * d_output);
    for row in 0..d_output {
        for one in present {
            let width = one.factors.rank();
            b.extend_from_slice(&one.factors.b.values[row * width..(row + 1) * width]);
        }
    }
    factors([rank, d_input], a, [d_output, rank], b)
}

fn of_factors(
    path: &str,
    present: &[Present<'_>],
    rule: Rule,
    keep: &mut Keep<'_>,
) -> Result<Factors, CombineError> {
    let ranks: Vec<usize> = present.iter().map(|one| one.factors.rank()).collect();
    if ranks.iter().any(|rank| *rank != ranks[0]) {
        return Err(CombineError::Ranks {
            path: path.to_owned(),
            ranks,
        });
    }
    let mut side = |tensor: &'static str| {
        let tensors = present.iter().map(|one| {
            let of = if tensor == "A" {
                &one.factors.a
            } else {
                &one.factors.b
            };
            of.values.clone()
        });
        // The sign goes to one side, or it would cancel.
        let weights = present.iter().map(|one| {
            let weight = one.weight * one.factors.scale;
            let root = weight.abs().sqrt();
            if tensor == "A" && weight < 0.0 {
                -root
            } else {
                root
            }
        });
        let mut kept = |number: usize, count, density| {
            let adapter = present[number].index;
            keep(
                TensorPlace {
                    path,
                    adapter,
                    tensor,
                },
                count,
                density,
            )
        };
        rule.apply(tensors.collect(), &weights.collect::<Vec<_>>(), &mut kept)
    };
    let (a, b) = (side("A"), side("B"));
    let first = present[0].factors;
    let shape = |tensor: &HostTensor| [tensor.shape[0], tensor.shape[1]];
    Ok(factors(shape(&first.a), a, shape(&first.b), b))
}

fn of_updates(
    path: &str,
    present: &[Present<'_>],
    rule: Rule,
    rank: usize,
    keep: &mut Keep<'_>,
) -> Result<Factors, CombineError> {
    let [d_input, d_output] = [present[0].factors.a.shape[1], present[0].factors.b.shape[0]];
    let updates = present.iter().map(|one| {
        let product = matrix(&one.factors.b) * matrix(&one.factors.a) * one.factors.scale;
        // Row-major, [d_output, d_input].
        product.transpose().iter().map(|value| *value as f32).collect()
    });
    let weights: Vec<f64> = present.iter().map(|one| one.weight).collect();
    let mut kept = |number: usize, count, density| {
        let adapter = present[number].index;
        let tensor = "update";
        keep(
            TensorPlace {
                path,
                adapter,
                tensor,
            },
            count,
            density,
        )
    };
    let update = rule.apply(updates.collect(), &weights, &mut kept);
    let not_finite = || CombineError::NotFinite {
        path: path.to_owned(),
    };
    if update.iter().any(|value| !value.is_finite()) {
        return Err(not_finite());
    }
    let update = DMatrix::from_row_iterator(d_output, d_input, update.into_iter().map(f64::from));
    let SVD {
        u: Some(u),
        v_t: Some(v_t),
        singular_values,
    } = SVD::try_new(update, true, true, f64::EPSILON, MAX_SWEEPS).ok_or_else(not_finite)?
    else {
        unreachable!("both sides were requested")
    };
    let rank = rank.min(singular_values.len());
    let a = (0..rank).flat_map(|triplet| (0..d_input).map(move |column| (triplet, column)));
    let a = a.map(|(triplet, column)| v_t[(triplet, column)] as f32).collect();
    let b = (0..d_output).flat_map(|row| (0..rank).map(move |triplet| (row, triplet)));
    let b = b
        .map(|(row, triplet)| (u[(row, triplet)] * singular_values[triplet]) as f32)
        .collect();
    Ok(factors([rank, d_input], a, [d_output, rank], b))
}

fn factors(a_shape: [usize; 2], a: Vec<f32>, b_shape: [usize; 2], b: Vec<f32>) -> Factors {
    let tensor = |shape: [usize; 2], values| HostTensor {
        shape: shape.to_vec(),
        values,
    };
    Factors {
        a: tensor(a_shape, a),
        b: tensor(b_shape, b),
        bias: None,
        scale: 1.0,
        is_table: false,
    }
}

fn matrix(tensor: &HostTensor) -> DMatrix<f64> {
    let values = tensor.values.iter().copied().map(f64::from);
    DMatrix::from_row_iterator(tensor.shape[0], tensor.shape[1], values)
}
