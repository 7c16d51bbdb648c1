//! Outputs of a trained model: the passes that the predictions of a sweep need, each run once.

use lora_core::{LoraDropout, MaskSampler, Rescale};
use lora_eval::Passes;
use lora_pipeline::error::{Context, Result};
use lora_pipeline::inference::member_sampler;
use lora_pipeline::progress::CancelToken;
use lora_train::swag::SwagSettings;

use super::file::Stopping;
use super::inference_method::{InferenceMethod, Varied};
use super::laplace::{self, LaplaceKind};
use super::outputs::{TrialOutputs, of_passes, of_posterior};
use super::tfb;
use super::training::Trained;

/// The time that the first members would have taken: one alone takes as long as the mean pass, each of the others the same part of the
/// rest. Those of a last layer share the pass below it.
fn seconds_of(method: &InferenceMethod, outputs: &TrialOutputs, mean_pass: f64) -> f64 {
    let (members, all) = (method.members_of_a_training(), outputs.test.members as u64);
    match method {
        InferenceMethod::Laplace {
            of: Varied::LastLayer,
            ..
        } => outputs.seconds,
        _ if members >= all => outputs.seconds,
        _ => mean_pass + (outputs.seconds - mean_pass).max(0.0) * (members - 1) as f64 / (all - 1) as f64,
    }
}

/// What has to be collected while a model is trained that predicts in these ways.
pub fn collections<'a>(predictions: impl Iterator<Item = &'a InferenceMethod>) -> Vec<SwagSettings> {
    let mut all = Vec::new();
    for prediction in predictions {
        if let InferenceMethod::Swag { collect, .. } = prediction
            && !all.contains(collect)
        {
            all.push(*collect);
        }
    }
    all
}

/// One way to predict, and the model of a training that does so.
pub type TrialMethod<'a> = (&'a InferenceMethod, Stopping);

/// The passes that a way to predict needs, and the model that they are of.
type PassesOfModel = (InferenceMethod, Stopping);

/// Outputs of a training in each of these ways, or why it cannot, `[requests]`; none if Ctrl-C came between. Of a deep ensemble it is the
/// part of this training.
pub fn run(
    trained: &Trained,
    seed: u64,
    requests: &[TrialMethod<'_>],
    cancel: &CancelToken,
) -> Option<Vec<Result<TrialOutputs, String>>> {
    let passes: Vec<PassesOfModel> = requests
        .iter()
        .map(|(method, stopping)| (method.passes(), *stopping))
        .collect();
    // The mean pass also tells what a member alone costs.
    let first = passes
        .first()
        .map(|(_, stopping)| (InferenceMethod::Mean, *stopping));
    let mut run: Vec<(&PassesOfModel, Result<TrialOutputs, String>)> = Vec::new();
    for wanted in first.iter().chain(&passes) {
        if run.iter().any(|(known, _)| *known == wanted) {
            continue;
        }
        let same = requests.iter().zip(&passes).filter(|(_, other)| *other == wanted);
        let members = same.map(|((method, _), _)| method.members_of_a_training()).max();
        match run_passes(trained, seed, wanted, members.unwrap_or(1), cancel) {
            Ok(None) => return None,
            Ok(Some(outputs)) => run.push((wanted, Ok(outputs))),
            Err(error) => run.push((wanted, Err(error.sentence()))),
        }
    }
    let mean_pass = run.first()?.1.as_ref().map_or(0.0, |outputs| outputs.seconds);
    let of_request = |((method, _), wanted): (&TrialMethod<'_>, &PassesOfModel)| {
        let (_, outputs) = run.iter().find(|(known, _)| *known == wanted)?;
        let first = |outputs: &TrialOutputs| {
            let members = method.members_of_a_training() as usize;
            outputs.first(members, seconds_of(method, outputs, mean_pass))
        };
        Some(outputs.as_ref().map(first).map_err(String::clone))
    };
    requests.iter().zip(&passes).map(of_request).collect()
}

fn run_passes(
    trained: &Trained,
    seed: u64,
    (method, stopping): &PassesOfModel,
    members: u64,
    cancel: &CancelToken,
) -> Result<Option<TrialOutputs>> {
    let (adapted, splits) = (trained.model(*stopping), &trained.splits);
    let own = member_sampler(adapted, seed);
    let of_masks = |dropout| MaskSampler {
        dropout: Some(dropout),
        input_dropout: 0.0,
        ..own
    };
    // Masks that keep everything: the update as it is in training, without the factor of the mean pass.
    let keeps_all = LoraDropout::new(f64::MIN_POSITIVE, Rescale::Plain);
    let sampler = match *method {
        InferenceMethod::Mean | InferenceMethod::DeepEnsemble { .. } => {
            return TrialOutputs::of(splits, cancel, |split| of_passes(adapted, split, &Passes::Mean));
        }
        InferenceMethod::Laplace {
            of,
            structure,
            prior,
            members: drawn,
            ..
        } => {
            let kind = LaplaceKind {
                of,
                structure,
                prior,
                is_probit: drawn.is_none(),
            };
            return laplace::run(adapted, splits, seed, kind, members, cancel);
        }
        InferenceMethod::Swag { scale, collect, .. } => {
            let collected = trained.collected.iter().find(|(known, _)| *known == collect);
            let (_, swag) =
                collected.context("nothing was collected for SWAG while the model was trained")?;
            let swag = swag.clone()?.with_scale(scale)?;
            // What does not vary is as the last step left it.
            return TrialOutputs::of(splits, cancel, |split| {
                of_posterior(&trained.last, split, &swag, members)
            });
        }
        InferenceMethod::Tfb { search, .. } => {
            return tfb::run(adapted, splits, seed, &search, members, cancel);
        }
        InferenceMethod::FullUpdate => of_masks(keeps_all),
        InferenceMethod::Ensemble { masks: None, .. } => {
            if let Some(factors) = &trained.variational {
                let posterior = factors.posterior(adapted, seed);
                return TrialOutputs::of(splits, cancel, |split| {
                    of_posterior(adapted, split, &posterior, members)
                });
            }
            own.clone()
        }
        InferenceMethod::Ensemble {
            masks: Some(masks), ..
        } => {
            let axes = own.dropout.map(|dropout| dropout.axes).unwrap_or_default();
            of_masks(masks.on(axes))
        }
    };
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..members,
    };
    TrialOutputs::of(splits, cancel, |split| of_passes(adapted, split, &passes))
}
