//! Ways to predict with a training, as a results file calls them.

use lora_core::vector::Part;
use lora_core::{LoraDropout, Rescale};
use lora_eval::Average;
use lora_eval::laplace::Structure;
use lora_eval::tfb::TfbSettings;
use lora_pipeline::counted::counted;
use lora_train::swag::SwagSettings;
use serde::{Deserialize, Serialize};

/// One way to predict. Every way is scored without and with a temperature fitted on validation rows.
///
/// This is the place for methods that sample weights: a variant here, its passes in [`super::passes`], its form in a file in
/// [`super::inference_method_entry`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum InferenceMethod {
    /// One pass with the expected update.
    Mean,
    /// One pass with the whole update, also after plain masks: a known mistake, to be measured.
    FullUpdate,
    /// Members that differ in their masks, in PEFT's input dropout (Monte Carlo dropout), or in draws of `BLoB`'s factors A.
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
    /// Members drawn from a Laplace approximation that is fitted on the training rows, or its average in closed form.
    Laplace {
        /// Which parameters vary.
        of: Varied,
        /// Which entries of the curvature are kept.
        structure: Structure,
        /// What chooses the prior precision.
        prior: Prior,
        /// How many; none: the probit approximation of the last layer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        members: Option<u64>,
        /// What is averaged.
        average: Average,
    },
    /// Members drawn from a Gaussian around the mean of the parameters that training passes by (SWAG).
    Swag {
        /// How many.
        members: u64,
        /// What is averaged.
        average: Average,
        /// The factor of the covariance.
        scale: f64,
        /// Which parameters vary, and when they are collected. The training itself does not change with it.
        collect: SwagSettings,
    },
    /// Members that differ in noise on the factors A: as much of it as the validation rows allow (TFB).
    Tfb {
        /// How many.
        members: u64,
        /// What is averaged.
        average: Average,
        /// How the noise is looked for.
        search: TfbSettings,
    },
}

/// Which parameters vary under a Laplace approximation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Varied {
    /// The linear whose outputs are the model's; needs no gradients.
    LastLayer,
    /// All modules that are trained in full.
    Head,
    /// The factors of all adapters.
    Adapters,
    /// Everything that is trained.
    Trained,
}

/// What chooses the prior precision λ of a Laplace approximation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// The largest evidence of the training rows.
    #[default]
    Evidence,
    /// The smallest loss on the validation rows, among powers of ten.
    Validation,
    /// This number.
    Fixed(f64),
}

impl Varied {
    /// The part of the trained parameters that taps are needed for; none for the last layer.
    pub fn part(self) -> Option<Part> {
        match self {
            Self::LastLayer => None,
            Self::Head => Some(Part::Head),
            Self::Adapters => Some(Part::Adapters),
            Self::Trained => Some(Part::Trained),
        }
    }

    /// Whether factors of adapters vary.
    pub fn has_adapters(self) -> bool {
        matches!(self, Self::Adapters | Self::Trained)
    }
}

impl InferenceMethod {
    /// The [kind](Self::kind) of a deep ensemble.
    pub const DEEP_ENSEMBLE: &'static str = "deep ensemble";

    /// Members that are averaged; 1 for a single pass.
    pub fn members(&self) -> u64 {
        match self {
            Self::Mean | Self::FullUpdate => 1,
            Self::Laplace { members, .. } => members.unwrap_or(1),
            Self::Ensemble { members, .. }
            | Self::DeepEnsemble { members, .. }
            | Self::Swag { members, .. }
            | Self::Tfb { members, .. } => *members,
        }
    }

    /// What is averaged over members.
    pub fn average(&self) -> Average {
        match self {
            Self::Mean | Self::FullUpdate => Average::Probabilities,
            Self::Ensemble { average, .. }
            | Self::DeepEnsemble { average, .. }
            | Self::Laplace { average, .. }
            | Self::Swag { average, .. }
            | Self::Tfb { average, .. } => *average,
        }
    }

    /// The same with one member and averaged probabilities: methods that are equal in this share their passes over the rows. Of a deep
    /// ensemble it is the mean pass, which each of its trainings makes.
    #[must_use]
    pub fn passes(&self) -> Self {
        let mut passes = self.clone();
        match &mut passes {
            Self::Mean | Self::FullUpdate => {}
            Self::DeepEnsemble { .. } => return Self::Mean,
            Self::Ensemble { members, average, .. }
            | Self::Swag { members, average, .. }
            | Self::Tfb { members, average, .. } => (*members, *average) = (1, Average::Probabilities),
            Self::Laplace { members, average, .. } => {
                (*members, *average) = (members.map(|_| 1), Average::Probabilities);
            }
        }
        passes
    }

    /// Members that one training gives.
    pub fn members_of_a_training(&self) -> u64 {
        match self {
            Self::DeepEnsemble { .. } => 1,
            other => other.members(),
        }
    }

    /// The seeds of the trainings that it needs.
    pub fn training_seeds(&self, seed: u64) -> Vec<u64> {
        match self {
            Self::DeepEnsemble { members, stride, .. } => (0..*members)
                .map(|member| seed.wrapping_add(member * stride))
                .collect(),
            _ => vec![seed],
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
            Self::DeepEnsemble { .. } => Self::DEEP_ENSEMBLE,
            Self::Swag { .. } => "SWAG",
            Self::Tfb { .. } => "TFB",
            Self::Laplace { of, .. } => match of {
                Varied::LastLayer => "Laplace, last layer",
                Varied::Head => "Laplace, head",
                Varied::Adapters => "Laplace, adapters",
                Varied::Trained => "Laplace, all trained",
            },
        }
    }

    /// Everything about it in words.
    pub fn label(&self) -> String {
        let average = match self.average() {
            Average::Probabilities => "",
            Average::Logits => ", logits averaged",
        };
        let in_words = |members: u64| counted(members as usize, "member");
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
            Self::Swag {
                members,
                scale,
                collect,
                ..
            } => {
                let part = match collect.part {
                    Part::Trained => "",
                    Part::Adapters => " of the adapters",
                    Part::Head => " of the head",
                };
                let every = match collect.every {
                    None => "once an epoch".to_owned(),
                    Some(1) => "every step".to_owned(),
                    Some(steps) => format!("every {steps} steps"),
                };
                let SwagSettings { start, columns, .. } = collect;
                format!(
                    "SWAG{part}, {every} from {start} of the steps on, K {columns}, scale {scale}, {}{average}",
                    in_words(*members)
                )
            }
            Self::Tfb { members, search, .. } => {
                format!(
                    "TFB, tolerance {}, {}{average}",
                    search.tolerance,
                    in_words(*members)
                )
            }
            Self::Laplace {
                structure,
                prior,
                members,
                ..
            } => {
                let structure = match structure {
                    Structure::Diagonal => "diagonal",
                    Structure::Kronecker => "Kronecker",
                    Structure::Full => "full",
                };
                let prior = match prior {
                    Prior::Evidence => "by evidence".to_owned(),
                    Prior::Validation => "by validation".to_owned(),
                    Prior::Fixed(precision) => precision.to_string(),
                };
                let members = members.map_or("probit".to_owned(), in_words);
                format!("{}, {structure}, λ {prior}, {members}{average}", self.kind())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// What a results file holds is found again by a hash of these texts: none of them may ever change.
    #[test]
    fn predictions_are_hashed_as_they_always_were() {
        let ensemble = |masks| InferenceMethod::Ensemble {
            members: 4,
            average: Average::Probabilities,
            masks,
        };
        let deep = InferenceMethod::DeepEnsemble {
            members: 5,
            stride: 1,
            average: Average::Logits,
        };
        let masks = LoraDropout::new(0.5, Rescale::Plain);
        let known = [
            (InferenceMethod::Mean, r#""mean""#),
            (InferenceMethod::FullUpdate, r#""full_update""#),
            (
                ensemble(None),
                r#"{"ensemble":{"members":4,"average":"probabilities"}}"#,
            ),
            (
                deep,
                r#"{"deep_ensemble":{"members":5,"stride":1,"average":"logits"}}"#,
            ),
        ];
        for (prediction, text) in known {
            assert_eq!(serde_json::json!(prediction).to_string(), text);
        }
        let text = serde_json::json!(ensemble(Some(masks))).to_string();
        assert!(
            text.starts_with(r#"{"ensemble":{"members":4,"average":"probabilities","masks":{"#),
            "{text}"
        );
    }

    #[test]
    fn a_prediction_survives_the_results_file() {
        let ensemble = InferenceMethod::Ensemble {
            members: 4,
            average: Average::Logits,
            masks: None,
        };
        let laplace = InferenceMethod::Laplace {
            of: Varied::LastLayer,
            structure: Structure::Kronecker,
            prior: Prior::Fixed(0.1),
            members: None,
            average: Average::Probabilities,
        };
        for prediction in [InferenceMethod::Mean, ensemble, laplace] {
            let text = serde_json::to_string(&prediction).unwrap();
            assert_eq!(
                serde_json::from_str::<InferenceMethod>(&text).unwrap(),
                prediction
            );
        }
    }
}
