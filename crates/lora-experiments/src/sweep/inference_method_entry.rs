//! Ways to predict as the file of a sweep writes them: several at once, by lists of values.

use itertools::{Itertools as _, iproduct};
use lora_core::ensemble::check_members;
use lora_core::{LoraDropout, Rescale};
use lora_eval::Average;
use lora_eval::laplace::{PRIOR_PRECISIONS, Structure};
use lora_eval::tfb::TfbSettings;
use lora_train::swag::{SWAG_SCALE, SwagSettings};
use serde::{Deserialize, Serialize};

use super::inference_method::{InferenceMethod, Prior, Varied};

/// What the file says: [`InferenceMethod`]s, with lists in the place of single values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InferenceMethodEntry {
    /// [`InferenceMethod::Mean`].
    Mean,
    /// [`InferenceMethod::FullUpdate`].
    FullUpdate,
    /// [`InferenceMethod::Ensemble`].
    Ensemble {
        /// How many members.
        members: OneOrMany<u64>,
        /// What is averaged.
        #[serde(default)]
        average: OneOrMany<Average>,
        /// Probabilities of masks other than those of the training.
        #[serde(default)]
        mask_probability: Option<OneOrMany<f64>>,
        /// The rescaling that goes with them.
        #[serde(default)]
        mask_rescale: Option<Rescale>,
    },
    /// [`InferenceMethod::DeepEnsemble`].
    DeepEnsemble {
        /// How many trainings.
        members: OneOrMany<u64>,
        /// Distance of their seeds.
        #[serde(default = "one")]
        stride: u64,
        /// What is averaged.
        #[serde(default)]
        average: OneOrMany<Average>,
    },
    /// [`InferenceMethod::Laplace`].
    Laplace {
        /// Which parameters vary.
        of: OneOrMany<Varied>,
        /// Which entries of the curvature are kept.
        #[serde(default)]
        structure: OneOrMany<Structure>,
        /// What chooses the prior precision.
        #[serde(default)]
        prior: OneOrMany<Prior>,
        /// How many members; none: the probit approximation.
        #[serde(default)]
        members: Option<OneOrMany<u64>>,
        /// What is averaged over members.
        #[serde(default)]
        average: OneOrMany<Average>,
    },
    /// [`InferenceMethod::Swag`].
    Swag {
        /// How many members.
        members: OneOrMany<u64>,
        /// What is averaged.
        #[serde(default)]
        average: OneOrMany<Average>,
        /// The factor of the covariance; 0.5 as in the paper.
        #[serde(default = "swag_scale")]
        scale: OneOrMany<f64>,
        /// Which parameters vary, and when they are collected.
        #[serde(default)]
        collect: SwagSettings,
    },
    /// [`InferenceMethod::Tfb`].
    Tfb {
        /// How many members.
        members: OneOrMany<u64>,
        /// What is averaged.
        #[serde(default)]
        average: OneOrMany<Average>,
        /// Shares of the loss by which it may rise.
        #[serde(default = "tfb_tolerance")]
        tolerance: OneOrMany<f64>,
    },
}

/// A value, or a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a value or a list of values")]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

impl<T: Default> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::One(T::default())
    }
}

impl<T> OneOrMany<T> {
    /// The values.
    pub fn values(&self) -> &[T] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl InferenceMethodEntry {
    /// The predictions that it stands for, in order.
    ///
    /// # Errors
    ///
    /// What cannot be used, as the key, what was found, and what is expected.
    pub fn expand(&self) -> Result<Vec<InferenceMethod>, String> {
        let methods: Vec<InferenceMethod> = match self {
            Self::Mean => vec![InferenceMethod::Mean],
            Self::FullUpdate => vec![InferenceMethod::FullUpdate],
            Self::Ensemble {
                members,
                average,
                mask_probability,
                mask_rescale,
            } => {
                let masks = masks(mask_probability.as_ref(), *mask_rescale)?;
                iproduct!(masks, draws(members, average)?)
                    .map(|(masks, (average, members))| InferenceMethod::Ensemble {
                        members,
                        average,
                        masks,
                    })
                    .collect()
            }
            Self::DeepEnsemble {
                members,
                stride,
                average,
            } => {
                at_least_one("stride", *stride)?;
                let of = |(average, members)| InferenceMethod::DeepEnsemble {
                    members,
                    stride: *stride,
                    average,
                };
                draws(members, average)?.into_iter().map(of).collect()
            }
            Self::Laplace {
                of,
                structure,
                prior,
                members,
                average,
            } => {
                let draws = match members {
                    Some(members) => {
                        let draws = draws(members, average)?.into_iter();
                        draws.map(|(average, members)| (average, Some(members))).collect()
                    }
                    None => vec![(Average::default(), None)],
                };
                for (of, prior) in iproduct!(of.values(), prior.values()) {
                    check_laplace(*of, *prior, members.is_some())?;
                }
                iproduct!(of.values(), structure.values(), prior.values(), draws)
                    .map(
                        |(&of, &structure, &prior, (average, members))| InferenceMethod::Laplace {
                            of,
                            structure,
                            prior,
                            members,
                            average,
                        },
                    )
                    .collect()
            }
            Self::Swag {
                members,
                average,
                scale,
                collect,
            } => {
                collect.validate().map_err(|error| error.to_string())?;
                scale.values().iter().try_for_each(|&scale| check_scale(scale))?;
                iproduct!(scale.values(), draws(members, average)?)
                    .map(|(&scale, (average, members))| InferenceMethod::Swag {
                        members,
                        average,
                        scale,
                        collect: *collect,
                    })
                    .collect()
            }
            Self::Tfb {
                members,
                average,
                tolerance,
            } => iproduct!(searches(tolerance)?, draws(members, average)?)
                .map(|(search, (average, members))| InferenceMethod::Tfb {
                    members,
                    average,
                    search,
                })
                .collect(),
        };
        if methods.is_empty() {
            return Err("a list of values is empty; give at least one".to_owned());
        }
        Ok(methods)
    }
}

/// Everything that is averaged with every number of members.
fn draws(members: &OneOrMany<u64>, average: &OneOrMany<Average>) -> Result<Vec<(Average, u64)>, String> {
    for &members in members.values() {
        at_least_one("members", members)?;
        check_members(members).map_err(|error| error.to_string())?;
    }
    let averages = average.values().iter().copied();
    Ok(averages
        .cartesian_product(members.values().iter().copied())
        .collect())
}

fn searches(tolerance: &OneOrMany<f64>) -> Result<Vec<TfbSettings>, String> {
    let search = |&tolerance: &f64| {
        let search = TfbSettings {
            tolerance,
            ..TfbSettings::default()
        };
        search.check().map_err(|error| error.to_string())?;
        Ok(search)
    };
    tolerance.values().iter().map(search).collect()
}

fn check_scale(scale: f64) -> Result<(), String> {
    if scale.is_finite() && scale >= 0.0 {
        return Ok(());
    }
    Err(format!(
        "scale is {scale}: expected a number of at least 0; the paper's is 0.5"
    ))
}

fn check_laplace(of: Varied, prior: Prior, has_members: bool) -> Result<(), String> {
    if !has_members && of != Varied::LastLayer {
        return Err(
            "laplace has no members: expected a number of them, such as `members: 8`; only the last layer has an average in closed \
             form (`of: last_layer`)"
                .to_owned(),
        );
    }
    match prior {
        Prior::Fixed(precision) if !PRIOR_PRECISIONS.contains(&precision) => Err(format!(
            "prior is {precision}: expected a precision from 1e-6 to 1e8, evidence or validation"
        )),
        _ => Ok(()),
    }
}

fn masks(
    probability: Option<&OneOrMany<f64>>,
    rescale: Option<Rescale>,
) -> Result<Vec<Option<LoraDropout>>, String> {
    let Some(probabilities) = probability else {
        return match rescale {
            None => Ok(vec![None]),
            Some(_) => Err("mask_rescale is given without mask_probability; give both, or neither for the masks of the training".to_owned()),
        };
    };
    let masks = |&probability: &f64| {
        if probability > 0.0 && probability < 1.0 {
            let rescale = rescale.unwrap_or(Rescale::Plain);
            Ok(Some(LoraDropout::new(probability, rescale)))
        } else {
            Err(format!(
                "mask_probability is {probability}: expected a probability above 0 and below 1"
            ))
        }
    };
    probabilities.values().iter().map(masks).collect()
}

fn at_least_one(key: &str, found: u64) -> Result<(), String> {
    if found == 0 {
        return Err(format!("{key} is 0: expected 1 or more"));
    }
    Ok(())
}

fn one() -> u64 {
    1
}

fn swag_scale() -> OneOrMany<f64> {
    OneOrMany::One(SWAG_SCALE)
}

fn tfb_tolerance() -> OneOrMany<f64> {
    OneOrMany::One(TfbSettings::default().tolerance)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn entries(yaml: &str) -> Vec<InferenceMethodEntry> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn lists_stand_for_every_combination() {
        let entry = &entries(
            "- ensemble: {members: [1, 4], average: [probabilities, logits], mask_probability: 0.5}\n",
        )[0];
        let labels: Vec<String> = entry
            .expand()
            .unwrap()
            .iter()
            .map(InferenceMethod::label)
            .collect();
        let expected = [
            "ensemble of 1, plain masks p 0.5",
            "ensemble of 4, plain masks p 0.5",
            "ensemble of 1, logits averaged, plain masks p 0.5",
            "ensemble of 4, logits averaged, plain masks p 0.5",
        ];
        assert_eq!(labels, expected);
        let all = entries("- mean\n- full_update\n- deep_ensemble: {members: 3, stride: 5}\n");
        let deep = all[2].expand().unwrap().remove(0);
        assert_eq!(deep.training_seeds(2), [2, 7, 12]);
        assert_eq!(all[0].expand().unwrap(), [InferenceMethod::Mean]);
    }

    #[test]
    fn a_laplace_approximation_without_members_is_the_closed_form() {
        let yaml = "- laplace: {of: last_layer, prior: [evidence, {fixed: 0.1}]}\n- laplace: {of: adapters, members: [1, 8]}\n";
        let labels: Vec<String> = entries(yaml)
            .iter()
            .flat_map(|entry| entry.expand().unwrap())
            .map(|prediction| prediction.label())
            .collect();
        let expected = [
            "Laplace, last layer, Kronecker, λ by evidence, probit",
            "Laplace, last layer, Kronecker, λ 0.1, probit",
            "Laplace, adapters, Kronecker, λ by evidence, 1 member",
            "Laplace, adapters, Kronecker, λ by evidence, 8 members",
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn what_makes_no_member_is_refused() {
        for yaml in [
            "- ensemble: {members: 0}\n",
            "- ensemble: {members: []}\n",
            "- ensemble: {members: 2, mask_probability: 1.0}\n",
            "- ensemble: {members: 2, mask_rescale: plain}\n",
            "- deep_ensemble: {members: 2, stride: 0}\n",
            "- swag: {members: 2, scale: -1}\n",
            "- swag: {members: 2, scale: []}\n",
            "- swag: {members: 0}\n",
            "- swag: {members: 10001}\n",
            "- swag: {members: 2, collect: {start: 1}}\n",
            "- laplace: {of: adapters}\n",
            "- laplace: {of: [last_layer, adapters]}\n",
            "- laplace: {of: last_layer, members: 0}\n",
            "- laplace: {of: last_layer, structure: []}\n",
            "- laplace: {of: last_layer, prior: {fixed: 0}}\n",
        ] {
            entries(yaml)[0].expand().unwrap_err();
        }
    }
}
