//! What a trained model says about its rows: the passes that the predictions of a sweep need, each run once.

use std::time::Instant;

use lora_core::vector::Posterior;
use lora_core::{Adapted, LoraDropout, MaskSampler, Rescale};
use lora_data::Batch;
use lora_eval::{ModelOutputs, Passes, predict_members};
use lora_models::Transformer;
use lora_pipeline::bail;
use lora_pipeline::data::encoded::EncodedPart;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::inference;
use lora_pipeline::progress::CancelToken;
use lora_pipeline::score::member_sampler;
use lora_train::swag::SwagSettings;
use serde::{Deserialize, Serialize};

use super::data::Parts;
use super::laplace::{self, LaplaceKind};
use super::prediction::{Prediction, Varied};
use super::training::Trained;

/// Outputs on all rows that a cell is scored on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    /// On training rows.
    pub train: Logits,
    /// On validation rows.
    pub validation: Logits,
    /// On test rows.
    pub test: Logits,
    /// On shifted rows.
    pub shifted: Option<Logits>,
    /// Wall time of the test rows.
    pub seconds: f64,
    /// Wall time of what was fitted to the trained model before anything was said.
    #[serde(default)]
    pub fitting_seconds: f64,
}

/// [`ModelOutputs`] that can be kept in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logits {
    /// Passes over the rows.
    pub members: usize,
    /// Rows.
    pub examples: usize,
    /// Numbers a row.
    pub outputs: usize,
    /// `[members, examples, outputs]`.
    pub values: Vec<f32>,
}

impl Logits {
    /// The first members only.
    fn first(&self, members: usize) -> Self {
        Self {
            members,
            values: self.values[..members * self.examples * self.outputs].to_vec(),
            ..*self
        }
    }

    /// In the form that scores take.
    pub fn outputs(&self) -> ModelOutputs {
        ModelOutputs {
            members: self.members,
            examples: self.examples,
            outputs: self.outputs,
            values: self.values.clone(),
        }
    }
}

impl From<ModelOutputs> for Logits {
    fn from(outputs: ModelOutputs) -> Self {
        Self {
            members: outputs.members,
            examples: outputs.examples,
            outputs: outputs.outputs,
            values: outputs.values,
        }
    }
}

impl Said {
    /// What is said about all rows; `on` asks about those of one part.
    ///
    /// # Errors
    ///
    /// What `on` says; also if Ctrl-C came between.
    pub fn of(
        parts: &Parts,
        cancel: &CancelToken,
        on: impl Fn(&EncodedPart) -> Result<Logits>,
    ) -> Result<Self> {
        let on = |part: &EncodedPart| {
            if cancel.is_cancelled() {
                bail!("interrupted");
            }
            on(part)
        };
        let train = on(&parts.gap)?;
        let validation = on(&parts.validation)?;
        // Each way to predict pays for the layers below its adapters.
        if let Some(states) = &parts.test.states {
            states.forget();
        }
        let started = Instant::now();
        let test = on(&parts.test)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(Self {
            train,
            validation,
            test,
            shifted: parts.shifted.as_ref().map(on).transpose()?,
            seconds,
            fitting_seconds: 0.0,
        })
    }

    /// What the ensemble of the first members would have said, in so many seconds.
    fn first(&self, members: usize, seconds: f64) -> Self {
        Self {
            train: self.train.first(members),
            validation: self.validation.first(members),
            test: self.test.first(members),
            shifted: self.shifted.as_ref().map(|shifted| shifted.first(members)),
            seconds,
            fitting_seconds: self.fitting_seconds,
        }
    }

    /// The members of several as one ensemble; none for none.
    pub fn joined(members: &[Self]) -> Option<Self> {
        let first = members.first()?;
        let join = |part: fn(&Self) -> &Logits| {
            let parts = || members.iter().map(part);
            Logits {
                members: parts().map(|part| part.members).sum(),
                values: parts().flat_map(|part| part.values.iter().copied()).collect(),
                ..*part(first)
            }
        };
        let shifted = first.shifted.as_ref().map(|shifted| Logits {
            members: members.len() * shifted.members,
            values: members
                .iter()
                .filter_map(|member| member.shifted.as_ref())
                .flat_map(|part| part.values.iter().copied())
                .collect(),
            ..*shifted
        });
        Some(Self {
            train: join(|said| &said.train),
            validation: join(|said| &said.validation),
            test: join(|said| &said.test),
            shifted,
            seconds: members.iter().map(|member| member.seconds).sum(),
            fitting_seconds: members.iter().map(|member| member.fitting_seconds).sum(),
        })
    }
}

/// Which passes a prediction takes its members from. Predictions of the same source share them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Mean,
    Full,
    Members(Option<LoraDropout>),
    Laplace(LaplaceKind),
    Swag { scale: f64, collect: SwagSettings },
}

impl Source {
    fn of(prediction: &Prediction) -> Self {
        match *prediction {
            Prediction::Mean | Prediction::DeepEnsemble { .. } => Self::Mean,
            Prediction::FullUpdate => Self::Full,
            Prediction::Ensemble { masks, .. } => Self::Members(masks),
            Prediction::Laplace {
                of,
                structure,
                prior,
                members,
                ..
            } => Self::Laplace(LaplaceKind {
                of,
                structure,
                prior,
                is_probit: members.is_none(),
            }),
            Prediction::Swag { scale, collect, .. } => Self::Swag { scale, collect },
        }
    }

    /// The time that the first members would have taken: one alone takes as long as the mean pass, each of the others the same part of
    /// the rest. Those of a last layer share the pass below it.
    fn seconds_of(&self, members: u64, said: &Said, mean_pass: f64) -> f64 {
        let all = said.test.members as u64;
        match self {
            Self::Laplace(kind) if kind.of == Varied::LastLayer => said.seconds,
            _ if members >= all => said.seconds,
            _ => mean_pass + (said.seconds - mean_pass).max(0.0) * (members - 1) as f64 / (all - 1) as f64,
        }
    }
}

/// What has to be collected while a model is trained that is asked in these ways.
pub fn collections<'a>(predictions: impl Iterator<Item = &'a Prediction>) -> Vec<SwagSettings> {
    let mut all = Vec::new();
    for prediction in predictions {
        if let Prediction::Swag { collect, .. } = prediction
            && !all.contains(collect)
        {
            all.push(*collect);
        }
    }
    all
}

/// What a training says in each of these ways, or why it cannot, `[predictions]`; none if Ctrl-C came between. Of a deep ensemble
/// it is the part of this training.
pub fn run(
    trained: &Trained,
    seed: u64,
    predictions: &[&Prediction],
    cancel: &CancelToken,
) -> Option<Vec<Result<Said, String>>> {
    let mut run: Vec<(Source, Result<Said, String>)> = Vec::new();
    // The mean pass also tells what a member alone costs.
    for source in std::iter::once(Source::Mean).chain(predictions.iter().map(|asked| Source::of(asked))) {
        if run.iter().any(|(known, _)| *known == source) {
            continue;
        }
        let of_source = predictions.iter().filter(|other| Source::of(other) == source);
        let members = of_source.map(|other| own_members(other)).max().unwrap_or(1);
        match run_source(trained, seed, source, members, cancel) {
            Err(_) if cancel.is_cancelled() => return None,
            said => run.push((source, said.map_err(|error| error.sentence()))),
        }
    }
    let mean_pass = run[0].1.as_ref().map_or(0.0, |said| said.seconds);
    let said = |prediction: &&Prediction| {
        let (source, said) = run.iter().find(|(known, _)| *known == Source::of(prediction))?;
        let members = own_members(prediction);
        let first = |said: &Said| said.first(members as usize, source.seconds_of(members, said, mean_pass));
        Some(said.as_ref().map(first).map_err(String::clone))
    };
    predictions.iter().map(said).collect()
}

/// Members that one training gives.
fn own_members(prediction: &Prediction) -> u64 {
    match prediction {
        Prediction::DeepEnsemble { .. } => 1,
        other => other.members(),
    }
}

fn run_source(
    trained: &Trained,
    seed: u64,
    source: Source,
    members: u64,
    cancel: &CancelToken,
) -> Result<Said> {
    let Trained { adapted, parts, .. } = trained;
    let own = member_sampler(adapted, seed);
    let of_masks = |dropout| MaskSampler {
        dropout: Some(dropout),
        input_dropout: 0.0,
        ..own
    };
    // Masks that keep everything: the update as it is in training, without the factor of the mean pass.
    let keeps_all = LoraDropout::new(f64::MIN_POSITIVE, Rescale::Plain);
    let sampler = match source {
        Source::Mean => return Said::of(parts, cancel, |part| Ok(of_passes(adapted, part, &Passes::Mean))),
        Source::Laplace(kind) => return laplace::run(adapted, parts, seed, kind, members, cancel),
        Source::Swag { scale, collect } => {
            let collected = trained.collected.iter().find(|(known, _)| *known == collect);
            let (_, swag) =
                collected.context("nothing was collected for SWAG while the model was trained")?;
            let swag = swag.clone()?.with_scale(scale)?;
            // What does not vary is as the last step left it.
            return Said::of(parts, cancel, |part| {
                of_posterior(&trained.last, part, &swag, members)
            });
        }
        Source::Full => of_masks(keeps_all),
        Source::Members(None) => {
            if let Some(factors) = &trained.variational {
                let posterior = factors.posterior(adapted, seed);
                return Said::of(parts, cancel, |part| {
                    of_posterior(adapted, part, &posterior, members)
                });
            }
            own.clone()
        }
        Source::Members(Some(masks)) => {
            let axes = own.dropout.map(|dropout| dropout.axes).unwrap_or_default();
            of_masks(masks.on(axes))
        }
    };
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..members,
    };
    Said::of(parts, cancel, |part| Ok(of_passes(adapted, part, &passes)))
}

/// The rows of a part as the evaluation takes them.
pub fn batches(part: &EncodedPart) -> impl Iterator<Item = (&Batch, &[usize])> + Clone {
    part.batches.iter().map(|batch| (batch, batch.rows.as_slice()))
}

/// What passes say about a part.
pub fn of_passes(adapted: &Adapted<Transformer>, part: &EncodedPart, passes: &Passes<'_>) -> Logits {
    inference::outputs(adapted, part, passes, &mut |_| {}).into()
}

/// What members of a distribution over weights say about a part.
///
/// # Errors
///
/// Without members.
pub fn of_posterior(
    adapted: &Adapted<Transformer>,
    part: &EncodedPart,
    posterior: &dyn Posterior,
    members: u64,
) -> Result<Logits> {
    let ask = &mut |drawn: &Adapted<Transformer>| inference::outputs(drawn, part, &Passes::Mean, &mut |_| {});
    Ok(predict_members(adapted, posterior, 0..members, ask)?.into())
}
