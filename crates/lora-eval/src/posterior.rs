//! Members drawn from a distribution over weights: SWAG, Laplace, variational factors.

use std::ops::Range;

use lora_core::vector::Posterior;
use lora_core::{Adapted, Model};

use crate::EvalError;
use crate::ensemble::{ModelOutputs, predict};
use crate::passes::Passes;

/// Runs a data set through members of a posterior: for each, the weights are put in place and the mean pass is made.
///
/// As [`predict`], which see for `batches` and `progress`; the batches are gone through once for each member.
///
/// # Errors
/// [`EvalError::AxisTooShort`] without members.
///
/// # Panics
/// As [`predict`]; also if the posterior is of another model.
pub fn predict_posterior<'a, M: Model>(
    adapted: &Adapted<M>,
    batches: &(impl Iterator<Item = (&'a M::Input, &'a [usize])> + Clone),
    examples: usize,
    posterior: &dyn Posterior,
    members: Range<u64>,
    progress: &mut dyn FnMut(usize),
) -> Result<ModelOutputs, EvalError>
where
    M::Input: 'a,
{
    let mut done_before = 0;
    predict_members(adapted, posterior, members, &mut |drawn| {
        let outputs = predict(drawn, batches.clone(), examples, &Passes::Mean, &mut |done| {
            progress(done_before + done);
        });
        done_before += examples;
        outputs
    })
}

/// Runs members of a posterior, one after the other: for each, the weights are put in place, and `run` gives the outputs of such a model by
/// its mean pass. For models whose outputs are read in a way of their own, such as [`predict_letters`](crate::predict_letters).
///
/// # Errors
/// [`EvalError::AxisTooShort`] without members.
///
/// # Panics
/// If the posterior is of another model.
pub fn predict_members<M: Model>(
    adapted: &Adapted<M>,
    posterior: &dyn Posterior,
    members: Range<u64>,
    run: &mut dyn FnMut(&Adapted<M>) -> ModelOutputs,
) -> Result<ModelOutputs, EvalError> {
    let layout = posterior.layout();
    ModelOutputs::joined(members.map(|member| run(&layout.write(adapted, &posterior.member(member)))))
}
