//! What a trained model says about its rows: the passes that the predictions of a sweep need, each run once.

use std::time::Instant;

use lora_core::{Adapted, LoraDropout, MaskSampler, Rescale};
use lora_eval::{ModelOutputs, Passes, predict};
use lora_models::Transformer;
use serde::{Deserialize, Serialize};

use super::data::Parts;
use super::prediction::Prediction;
use crate::interrupt::is_asked;
use crate::pipeline::EncodedPart;
use crate::scoring::member_sampler;

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
    /// What the ensemble of the first members would have said, in its share of the time.
    fn first(&self, members: usize) -> Self {
        Self {
            train: self.train.first(members),
            validation: self.validation.first(members),
            test: self.test.first(members),
            shifted: self.shifted.as_ref().map(|shifted| shifted.first(members)),
            seconds: self.seconds * members as f64 / self.test.members as f64,
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
        })
    }
}

/// Which passes a prediction takes its members from. Predictions of the same source share them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    Mean,
    Full,
    Members(Option<LoraDropout>),
}

fn source(prediction: &Prediction) -> Source {
    match prediction {
        Prediction::Mean | Prediction::DeepEnsemble { .. } => Source::Mean,
        Prediction::FullUpdate => Source::Full,
        Prediction::Ensemble { masks, .. } => Source::Members(*masks),
    }
}

/// What a training says in each of these ways, `[predictions]`; none if Ctrl-C came between. Of a deep ensemble it is the part
/// of this training.
pub fn run(
    adapted: &Adapted<Transformer>,
    parts: &Parts,
    seed: u64,
    predictions: &[&Prediction],
) -> Option<Vec<Said>> {
    let mut run: Vec<(Source, Said)> = Vec::new();
    for prediction in predictions {
        let source = source(prediction);
        if run.iter().any(|(known, _)| *known == source) {
            continue;
        }
        let of_source = predictions.iter().filter(|other| self::source(other) == source);
        let members = of_source.map(|other| own_members(other)).max().unwrap_or(1);
        run.push((source, run_source(adapted, parts, seed, source, members)?));
    }
    let said = |prediction: &&Prediction| {
        let (_, said) = run.iter().find(|(known, _)| *known == source(prediction))?;
        Some(said.first(own_members(prediction) as usize))
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
    adapted: &Adapted<Transformer>,
    parts: &Parts,
    seed: u64,
    source: Source,
    members: u64,
) -> Option<Said> {
    let own = member_sampler(adapted, seed);
    let of_masks = |dropout| MaskSampler {
        dropout: Some(dropout),
        input_dropout: 0.0,
        ..own
    };
    // Masks that keep everything: the update as it is in training, without the factor of the mean pass.
    let keeps_all = LoraDropout::new(f64::MIN_POSITIVE, Rescale::Plain);
    let sampler = match source {
        Source::Mean => None,
        Source::Full => Some(of_masks(keeps_all)),
        Source::Members(None) => Some(own.clone()),
        Source::Members(Some(masks)) => {
            let axes = own.dropout.map(|dropout| dropout.axes).unwrap_or_default();
            Some(of_masks(masks.on(axes)))
        }
    };
    let passes = match &sampler {
        None => Passes::Mean,
        Some(sampler) => Passes::Members {
            sampler,
            members: 0..members,
        },
    };
    let on = |part: &EncodedPart| -> Option<Logits> {
        if is_asked() {
            return None;
        }
        let batches = part.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
        Some(predict(adapted, batches, part.encoded.len(), &passes, &mut |_| {}).into())
    };
    let train = on(&parts.gap)?;
    let validation = on(&parts.validation)?;
    let started = Instant::now();
    let test = on(&parts.test)?;
    let seconds = started.elapsed().as_secs_f64();
    let shifted = match &parts.shifted {
        Some(part) => Some(on(part)?),
        None => None,
    };
    Some(Said {
        train,
        validation,
        test,
        shifted,
        seconds,
    })
}
