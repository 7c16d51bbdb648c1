//! One pass over a data set, or one a member of an ensemble.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use lora_core::adapted::CachedModel;
use lora_core::vector::Posterior;
use lora_core::{Adapted, MaskSampler, Model, Pass, PassNoise};

/// Which passes a data set is run through.
#[derive(Debug, Clone, PartialEq)]
pub enum Passes<'a> {
    /// One pass with the expected update: deterministic.
    Mean,
    /// One pass a member, each with masks of its own; of a model that carries a [`Gaussian`](lora_core::gaussian::Gaussian), each with
    /// weights drawn from it, and without masks.
    Members {
        /// What draws the masks; of a Gaussian its seed alone matters.
        sampler: &'a MaskSampler,
        /// Numbers of the members. A member is the same whichever others are run, so `4..8` adds to `0..4`.
        members: Range<u64>,
    },
}

impl Passes<'_> {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Mean => 1,
            Self::Members { members, .. } => members.clone().count(),
        }
    }
}

/// A batch to run.
pub(crate) struct Request<'a, I> {
    /// The model's input.
    pub input: &'a I,
    /// The data set row of each of its rows.
    pub rows: &'a [usize],
    /// The rows of the output that are wanted; `None` for all.
    pub places: Option<&'a [usize]>,
}

/// Whole outputs of each batch.
pub(crate) fn whole<'a, I: 'a>(
    batches: impl Iterator<Item = (&'a I, &'a [usize])>,
) -> impl Iterator<Item = Request<'a, I>> {
    batches.map(|(input, rows)| Request {
        input,
        rows,
        places: None,
    })
}

/// Takes the number of a pass, data set rows of a batch, shape and values of its outputs.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, &[usize], [usize; 2], &[f32]);

/// Runs the model over all batches, each in all passes. `visit` gets the number of the pass from 0, the data set rows of the batch, and
/// the outputs with their shape: passes in order within a batch.
pub(crate) fn run_passes<'a, M: Model>(
    CachedModel { adapted, states }: CachedModel<'_, M>,
    batches: impl Iterator<Item = Request<'a, M::Input>>,
    passes: &Passes<'_>,
    visit: Visit<'_>,
) where
    M::Input: 'a,
{
    if let (Passes::Members { sampler, members }, Some(posterior)) = (passes, adapted.posterior()) {
        let posterior = posterior.clone().with_seed(sampler.seed);
        let layout = posterior.layout();
        // Members share all but what is drawn.
        let drawn: Vec<Adapted<M>> = members
            .clone()
            .map(|member| layout.write(adapted, &posterior.member(member)))
            .collect();
        for Request { input, rows, places } in batches {
            for (member, drawn) in drawn.iter().enumerate() {
                let outputs = drawn.model.forward_passes(input, places, &[Pass::Mean], states);
                for outputs in outputs {
                    hand_out(member, rows, outputs, visit);
                }
            }
        }
        return;
    }
    let members: Vec<PassNoise> = match passes {
        Passes::Mean => Vec::new(),
        Passes::Members { sampler, members } => {
            let (shapes, device) = (adapted.adapter_shapes(), device_of(adapted));
            let member = |member| sampler.members(member..member + 1, &shapes, &device);
            members.clone().map(member).collect()
        }
    };
    for Request { input, rows, places } in batches {
        let masks: Vec<PassNoise> = members.iter().map(|member| member.for_rows(rows)).collect();
        let of_passes: Vec<Pass> = match passes {
            Passes::Mean => vec![Pass::Mean],
            Passes::Members { .. } => masks.iter().map(Pass::Stochastic).collect(),
        };
        let outputs = adapted.model.forward_passes(input, places, &of_passes, states);
        for (member, outputs) in outputs.into_iter().enumerate() {
            hand_out(member, rows, outputs, visit);
        }
    }
}

/// Gives outputs to whoever visits them.
fn hand_out(member: usize, rows: &[usize], outputs: Tensor<2>, visit: Visit<'_>) {
    let shape = outputs.dims();
    #[expect(clippy::expect_used, reason = "a float tensor converts to f32")]
    let values = outputs
        .into_data()
        .convert::<f32>()
        .try_into_vec::<f32>()
        .expect("converted to f32");
    visit(member, rows, shape, &values);
}

/// Where the model's weights are; masks are drawn there.
pub(crate) fn device_of<M: Model>(adapted: &Adapted<M>) -> Device {
    let mut device = None;
    adapted.model.visit_linears(&mut |linear| {
        device.get_or_insert_with(|| linear.base.weight.device());
    });
    #[expect(
        clippy::expect_used,
        reason = "attaching refuses a model in which no linear is adapted"
    )]
    device.expect("an adapted model has a linear")
}
