//! One pass over a data set, or one a member of an ensemble.

use std::ops::Range;

use burn::tensor::Tensor;
use lora_core::adapted::CachedModel;
use lora_core::vector::Posterior;
use lora_core::{Adapted, MaskSampler, Model, Pass, PassNoise};

use crate::ModelOutputs;

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
    let drawn = DrawnPasses::new(adapted, passes);
    for request in batches {
        drawn.run(CachedModel { adapted, states }, &request, visit);
    }
}

/// Passes of which everything random is drawn: once, however many batches follow, and whenever they come.
#[derive(Clone, Debug)]
pub struct DrawnPasses<M>(Drawn<M>);

#[derive(Clone, Debug)]
enum Drawn<M> {
    Mean,
    /// Of each member.
    Masks(Vec<PassNoise>),
    /// The model of each member. They share all but what is drawn.
    Weights(Vec<Adapted<M>>),
}

impl<M: Model> DrawnPasses<M> {
    /// Draws masks, or weights, of all members.
    pub fn new(adapted: &Adapted<M>, passes: &Passes<'_>) -> Self {
        Self(match (passes, adapted.posterior()) {
            (Passes::Mean, _) => Drawn::Mean,
            (Passes::Members { sampler, members }, Some(posterior)) => {
                let posterior = posterior.clone().with_seed(sampler.seed);
                let layout = posterior.layout();
                let member = |member| layout.write(adapted, &posterior.member(member));
                Drawn::Weights(members.clone().map(member).collect())
            }
            (Passes::Members { sampler, members }, None) => {
                let (shapes, device) = (adapted.adapter_shapes(), adapted.device());
                let member = |member| sampler.members(member..member + 1, &shapes, &device);
                Drawn::Masks(members.clone().map(member).collect())
            }
        })
    }

    /// Outputs for one input: `[members, rows, outputs]`. `rows` are the numbers by which input dropout knows its rows, and by which
    /// [`predict`](crate::predict) calls them in a data set; here a number may stand several times.
    ///
    /// # Panics
    /// If there are not as many numbers as rows.
    pub fn outputs(&self, adapted: &Adapted<M>, input: &M::Input, rows: &[usize]) -> ModelOutputs {
        let mut outputs = ModelOutputs {
            members: 0,
            examples: rows.len(),
            outputs: 0,
            values: Vec::new(),
        };
        let request = Request {
            input,
            rows,
            places: None,
        };
        self.run(
            adapted.into(),
            &request,
            &mut |member, rows, [batch, width], values| {
                assert_eq!(rows.len(), batch, "one number for each row of the input");
                (outputs.members, outputs.outputs) = (member + 1, width);
                outputs.values.extend_from_slice(values);
            },
        );
        outputs
    }

    /// The passes in order.
    fn run(
        &self,
        CachedModel { adapted, states }: CachedModel<'_, M>,
        Request { input, rows, places }: &Request<'_, M::Input>,
        visit: Visit<'_>,
    ) {
        let forward = |model: &M, passes: &[Pass]| model.forward_passes(input, *places, passes, states);
        match &self.0 {
            Drawn::Mean => hand_out(rows, forward(&adapted.model, &[Pass::Mean]), visit),
            Drawn::Masks(members) => {
                let masks: Vec<PassNoise> = members.iter().map(|member| member.for_rows(rows)).collect();
                let passes: Vec<Pass> = masks.iter().map(Pass::Stochastic).collect();
                hand_out(rows, forward(&adapted.model, &passes), visit);
            }
            Drawn::Weights(members) => {
                let of_member = |member: &Adapted<M>| forward(&member.model, &[Pass::Mean]);
                hand_out(rows, members.iter().flat_map(of_member), visit);
            }
        }
    }
}

/// Gives the outputs of members to whoever visits them.
fn hand_out(rows: &[usize], outputs: impl IntoIterator<Item = Tensor<2>>, visit: Visit<'_>) {
    for (member, outputs) in outputs.into_iter().enumerate() {
        let shape = outputs.dims();
        #[expect(clippy::expect_used, reason = "a float tensor converts to f32")]
        let values = outputs
            .into_data()
            .convert::<f32>()
            .try_into_vec::<f32>()
            .expect("converted to f32");
        visit(member, rows, shape, &values);
    }
}
