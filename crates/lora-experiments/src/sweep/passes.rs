//! What a trained model says about its rows: the passes that the predictions of a sweep need, each run once.

use lora_core::{LoraDropout, MaskSampler, Rescale};
use lora_eval::Passes;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::progress::CancelToken;
use lora_pipeline::score::member_sampler;
use lora_train::swag::SwagSettings;

use super::file::Stopping;
use super::laplace::{self, LaplaceKind};
use super::outputs::{TrialOutputs, of_passes, of_posterior};
use super::prediction::{Prediction, Varied};
use super::training::Trained;

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
    fn seconds_of(&self, members: u64, said: &TrialOutputs, mean_pass: f64) -> f64 {
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

/// One way to predict, and the model of a training that does so.
pub type Ask<'a> = (&'a Prediction, Stopping);

/// What a training says in each of these ways, or why it cannot, `[asks]`; none if Ctrl-C came between. Of a deep ensemble it is the
/// part of this training.
pub fn run(
    trained: &Trained,
    seed: u64,
    asks: &[Ask<'_>],
    cancel: &CancelToken,
) -> Option<Vec<Result<TrialOutputs, String>>> {
    let sources: Vec<(Source, Stopping)> = asks
        .iter()
        .map(|(prediction, stopping)| (Source::of(prediction), *stopping))
        .collect();
    let first = sources.first().map(|(_, stopping)| (Source::Mean, *stopping));
    let mut run: Vec<((Source, Stopping), Result<TrialOutputs, String>)> = Vec::new();
    // The mean pass also tells what a member alone costs.
    for source in first.iter().chain(&sources) {
        if run.iter().any(|(known, _)| known == source) {
            continue;
        }
        let of_source = asks.iter().zip(&sources).filter(|(_, other)| *other == source);
        let members = of_source
            .map(|((prediction, _), _)| own_members(prediction))
            .max()
            .unwrap_or(1);
        match run_source(trained, seed, *source, members, cancel) {
            Ok(None) => return None,
            Ok(Some(said)) => run.push((*source, Ok(said))),
            Err(error) => run.push((*source, Err(error.sentence()))),
        }
    }
    let mean_pass = run.first()?.1.as_ref().map_or(0.0, |said| said.seconds);
    let said = |((prediction, _), source): (&Ask<'_>, &(Source, Stopping))| {
        let (_, said) = run.iter().find(|(known, _)| known == source)?;
        let members = own_members(prediction);
        let first =
            |said: &TrialOutputs| said.first(members as usize, source.0.seconds_of(members, said, mean_pass));
        Some(said.as_ref().map(first).map_err(String::clone))
    };
    asks.iter().zip(&sources).map(said).collect()
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
    (source, stopping): (Source, Stopping),
    members: u64,
    cancel: &CancelToken,
) -> Result<Option<TrialOutputs>> {
    let (adapted, parts) = (trained.model(stopping), &trained.parts);
    let own = member_sampler(adapted, seed);
    let of_masks = |dropout| MaskSampler {
        dropout: Some(dropout),
        input_dropout: 0.0,
        ..own
    };
    // Masks that keep everything: the update as it is in training, without the factor of the mean pass.
    let keeps_all = LoraDropout::new(f64::MIN_POSITIVE, Rescale::Plain);
    let sampler = match source {
        Source::Mean => {
            return TrialOutputs::of(parts, cancel, |part| Ok(of_passes(adapted, part, &Passes::Mean)));
        }
        Source::Laplace(kind) => return laplace::run(adapted, parts, seed, kind, members, cancel),
        Source::Swag { scale, collect } => {
            let collected = trained.collected.iter().find(|(known, _)| *known == collect);
            let (_, swag) =
                collected.context("nothing was collected for SWAG while the model was trained")?;
            let swag = swag.clone()?.with_scale(scale)?;
            // What does not vary is as the last step left it.
            return TrialOutputs::of(parts, cancel, |part| {
                of_posterior(&trained.last, part, &swag, members)
            });
        }
        Source::Full => of_masks(keeps_all),
        Source::Members(None) => {
            if let Some(factors) = &trained.variational {
                let posterior = factors.posterior(adapted, seed);
                return TrialOutputs::of(parts, cancel, |part| {
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
    TrialOutputs::of(parts, cancel, |part| Ok(of_passes(adapted, part, &passes)))
}
