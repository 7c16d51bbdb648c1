//! Ways to predict with a training: what a results file calls them, and how a sweep's file writes several at once.

use lora_core::{LoraDropout, Rescale};
use lora_eval::Average;
use serde::{Deserialize, Serialize};

/// One way to predict. Every way is scored without and with a temperature fitted on validation rows.
///
/// This is the place for methods that sample weights: a variant here, its passes in [`super::passes`], its form in a file in
/// [`PredictionEntry`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Prediction {
    /// One pass with the expected update.
    Mean,
    /// One pass with the whole update, also after plain masks: a known mistake, to be measured.
    FullUpdate,
    /// Members that differ in their masks, or in PEFT's input dropout (Monte Carlo dropout).
    Ensemble {
        /// How many.
        members: u64,
        /// What is averaged.
        average: Average,
        /// Masks other than those of the training; none: as trained.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        masks: Option<LoraDropout>,
    },
    /// The mean passes of independent trainings, which differ in their seed and share the rows they are trained on.
    DeepEnsemble {
        /// How many trainings.
        members: u64,
        /// The members of seed s are the trainings with seeds s, s + stride, s + 2 stride and so on.
        stride: u64,
        /// What is averaged.
        average: Average,
    },
}

/// What the file says: [`Prediction`]s, with lists in the place of single values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PredictionEntry {
    /// [`Prediction::Mean`].
    Mean,
    /// [`Prediction::FullUpdate`].
    FullUpdate,
    /// [`Prediction::Ensemble`].
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
    /// [`Prediction::DeepEnsemble`].
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
}

fn one() -> u64 {
    1
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

impl Prediction {
    /// Members that are averaged; 1 for a single pass.
    pub fn members(&self) -> u64 {
        match self {
            Self::Mean | Self::FullUpdate => 1,
            Self::Ensemble { members, .. } | Self::DeepEnsemble { members, .. } => *members,
        }
    }

    /// What is averaged over members.
    pub fn average(&self) -> Average {
        match self {
            Self::Mean | Self::FullUpdate => Average::Probabilities,
            Self::Ensemble { average, .. } | Self::DeepEnsemble { average, .. } => *average,
        }
    }

    /// The seeds of the trainings that it needs.
    pub fn training_seeds(&self, seed: u64) -> Vec<u64> {
        match self {
            Self::DeepEnsemble { members, stride, .. } => (0..*members)
                .map(|member| seed.wrapping_add(member * stride))
                .collect(),
            Self::Mean | Self::FullUpdate | Self::Ensemble { .. } => vec![seed],
        }
    }

    /// The kind in words, without its settings: what belongs together in a comparison, where settings are chosen on validation
    /// rows.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mean => "mean pass",
            Self::FullUpdate => "full update",
            Self::Ensemble { masks: None, .. } => "ensemble",
            Self::Ensemble { masks: Some(_), .. } => "ensemble of other masks",
            Self::DeepEnsemble { .. } => "deep ensemble",
        }
    }

    /// Everything about it in words.
    pub fn label(&self) -> String {
        let average = match self.average() {
            Average::Probabilities => "",
            Average::Logits => ", logits averaged",
        };
        match self {
            Self::Mean | Self::FullUpdate => self.kind().to_owned(),
            Self::DeepEnsemble { members, .. } => format!("deep ensemble of {members}{average}"),
            Self::Ensemble { members, masks, .. } => {
                let masks = masks.map(|masks| {
                    let rescale = match masks.rescale {
                        Rescale::Plain => "plain",
                        Rescale::Rescaled => "rescaled",
                    };
                    format!(", {rescale} masks p {}", masks.probability)
                });
                format!("ensemble of {members}{average}{}", masks.unwrap_or_default())
            }
        }
    }
}

impl PredictionEntry {
    /// The predictions that it stands for, in order.
    ///
    /// # Errors
    ///
    /// What cannot be used, as the key, what was found, and what is expected.
    pub fn expand(&self) -> Result<Vec<Prediction>, String> {
        let mut predictions = Vec::new();
        match self {
            Self::Mean => predictions.push(Prediction::Mean),
            Self::FullUpdate => predictions.push(Prediction::FullUpdate),
            Self::Ensemble {
                members,
                average,
                mask_probability,
                mask_rescale,
            } => {
                for masks in masks(mask_probability.as_ref(), *mask_rescale)? {
                    for &average in average.values() {
                        for &members in members.values() {
                            at_least_one("members", members)?;
                            predictions.push(Prediction::Ensemble {
                                members,
                                average,
                                masks,
                            });
                        }
                    }
                }
            }
            Self::DeepEnsemble {
                members,
                stride,
                average,
            } => {
                at_least_one("stride", *stride)?;
                for &average in average.values() {
                    for &members in members.values() {
                        at_least_one("members", members)?;
                        let stride = *stride;
                        predictions.push(Prediction::DeepEnsemble {
                            members,
                            stride,
                            average,
                        });
                    }
                }
            }
        }
        if predictions.is_empty() {
            return Err(
                "a list of members, averages or probabilities is empty; give at least one".to_owned(),
            );
        }
        Ok(predictions)
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn entries(yaml: &str) -> Vec<PredictionEntry> {
        serde_saphyr::from_str(yaml).unwrap()
    }

    #[test]
    fn lists_stand_for_every_combination() {
        let entry = &entries(
            "- ensemble: {members: [1, 4], average: [probabilities, logits], mask_probability: 0.5}\n",
        )[0];
        let labels: Vec<String> = entry.expand().unwrap().iter().map(Prediction::label).collect();
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
        assert_eq!(all[0].expand().unwrap(), [Prediction::Mean]);
    }

    #[test]
    fn what_makes_no_member_is_refused() {
        for yaml in [
            "- ensemble: {members: 0}\n",
            "- ensemble: {members: []}\n",
            "- ensemble: {members: 2, mask_probability: 1.0}\n",
            "- ensemble: {members: 2, mask_rescale: plain}\n",
            "- deep_ensemble: {members: 2, stride: 0}\n",
        ] {
            entries(yaml)[0].expand().unwrap_err();
        }
    }

    #[test]
    fn a_prediction_survives_the_results_file() {
        let ensemble = Prediction::Ensemble {
            members: 4,
            average: Average::Logits,
            masks: None,
        };
        for prediction in [Prediction::Mean, ensemble] {
            let text = serde_json::to_string(&prediction).unwrap();
            assert_eq!(serde_json::from_str::<Prediction>(&text).unwrap(), prediction);
        }
    }
}
