//! Members drawn from a distribution over weights: SWAG, Laplace, variational factors.

use std::ops::Range;

use lora_core::{Adapted, Model, Posterior};

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
    let of_member = |member| {
        let drawn = posterior.layout().write(adapted, &posterior.member(member));
        let outputs = predict(&drawn, batches.clone(), examples, &Passes::Mean, &mut |done| {
            progress(done_before + done);
        });
        done_before += examples;
        outputs
    };
    ModelOutputs::joined(members.map(of_member))
}
