//! Running a model with adapters over a data set: one pass, or one pass a member of an ensemble.

use lora_core::Model;
use lora_core::adapted::CachedModel;
use serde::{Deserialize, Serialize};

use crate::gathered::Gathered;
use crate::passes::{Passes, run_passes, whole};
use crate::{EvalError, Predictions};

/// Outputs of a model: `[members, examples, outputs]`, row-major, examples in the order of the data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOutputs {
    /// Passes over the data set.
    pub members: usize,
    /// Examples of the data set.
    pub examples: usize,
    /// Numbers an example: the classes, or 1 for regression.
    pub outputs: usize,
    /// Logits, or predicted values.
    pub values: Vec<f32>,
}

impl ModelOutputs {
    /// Those of the first members only.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn first_members(&self, members: usize) -> Self {
        let values = self.values[..members * self.examples * self.outputs].to_vec();
        Self {
            members,
            values,
            ..*self
        }
    }

    /// The outputs as logits of a classifier.
    ///
    /// # Errors
    /// As [`Predictions::new`]; a diverged model gives [`EvalError::LogitNotFinite`].
    pub fn into_predictions(self) -> Result<Predictions, EvalError> {
        Predictions::new(self.members, self.examples, self.outputs, self.values)
    }

    /// The first output of every example, averaged over the members: what a regression predicts, `[examples]`.
    pub fn mean_values(&self) -> Vec<f64> {
        let of_member = |member: usize, example: usize| {
            f64::from(self.values[(member * self.examples + example) * self.outputs])
        };
        (0..self.examples)
            .map(|example| {
                (0..self.members)
                    .map(|member| of_member(member, example))
                    .sum::<f64>()
                    / self.members as f64
            })
            .collect()
    }
}

/// Runs the model over all batches, each in all passes, and puts the outputs in the order of the data set.
///
/// `batches` are the model's inputs with the data set row of each of their rows; together they hold every row of
/// `0..examples` once. The masks of all members are drawn once and serve all batches; the noise of input dropout is drawn for
/// each row, so no output depends on how the rows are put into batches. The model must be in validation
/// mode ([`Module::valid`](burn::module::Module::valid)), else every pass records a graph in vain. `progress` is told
/// the number of finished examples, counted once for each member.
///
/// # Panics
/// If a row is missing, out of range or given twice.
pub fn predict<'a, 'm, M: Model + 'm>(
    adapted: impl Into<CachedModel<'m, M>>,
    batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
    examples: usize,
    passes: &Passes<'_>,
    progress: &mut dyn FnMut(usize),
) -> ModelOutputs
where
    M::Input: 'a,
{
    let mut gathered = Gathered::new(examples, passes.count());
    let (mut filled, mut outputs) = (0, 0);
    run_passes(
        adapted.into(),
        whole(batches),
        passes,
        &mut |member, rows, [_, width], values| {
            gathered.add_batch(member, rows, width, values);
            outputs = width;
            filled += rows.len();
            progress(filled);
        },
    );
    ModelOutputs {
        members: passes.count(),
        examples,
        outputs,
        values: gathered.finish(|_| {}),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use lora_core::MaskSampler;
    use proptest::prelude::*;

    use super::*;
    use crate::probe::{D_INPUT, EXAMPLES, example, probe};

    /// The data set cut into the given batches of rows.
    fn run(rows: &[Vec<usize>], passes: &Passes<'_>) -> (ModelOutputs, Vec<usize>) {
        let inputs: Vec<Vec<[f32; D_INPUT]>> = rows
            .iter()
            .map(|rows| rows.iter().map(|row| example(*row)).collect())
            .collect();
        let mut seen = Vec::new();
        let (adapted, _) = probe();
        let batches = inputs.iter().zip(rows.iter().map(Vec::as_slice));
        let outputs = predict(&adapted, batches, EXAMPLES, passes, &mut |done| seen.push(done));
        (outputs, seen)
    }

    fn members(sampler: &MaskSampler, members: Range<u64>) -> Passes<'_> {
        Passes::Members { sampler, members }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn outputs_do_not_depend_on_the_batches(
            order in Just((0..EXAMPLES).collect::<Vec<_>>()).prop_shuffle(),
            batch_size in 1_usize..=EXAMPLES,
        ) {
            let rows: Vec<Vec<usize>> = order.chunks(batch_size).map(<[usize]>::to_vec).collect();
            let masks = probe().1;
            let noise = MaskSampler { dropout: None, input_dropout: 0.4, ..masks.clone() };
            for passes in [Passes::Mean, members(&masks, 0..2), members(&noise, 0..2)] {
                let (whole, _) = run(&[(0..EXAMPLES).collect()], &passes);
                let (cut, _) = run(&rows, &passes);
                prop_assert_eq!((cut.members, cut.examples, cut.outputs), (whole.members, whole.examples, whole.outputs));
                for (cut, whole) in cut.values.iter().zip(&whole.values) {
                    prop_assert!((cut - whole).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_member_is_the_same_alone_and_among_others() {
        let sampler = probe().1;
        let rows = [vec![4, 0, 2], vec![1, 3], vec![6, 5]];
        let (together, _) = run(&rows, &members(&sampler, 0..4));
        let (last_two, _) = run(&rows, &members(&sampler, 2..4));
        assert_eq!((together.members, last_two.members), (4, 2));
        assert_eq!(together.values[2 * EXAMPLES * 3..], last_two.values);
        assert_ne!(
            together.values[..EXAMPLES * 3],
            together.values[EXAMPLES * 3..2 * EXAMPLES * 3]
        );
    }

    #[test]
    fn many_members_average_to_the_mean_pass_where_outputs_are_linear_in_the_update() {
        const MEMBERS: usize = 400;
        let sampler = probe().1;
        let rows = [(0..EXAMPLES).collect()];
        let (mean, _) = run(&rows, &Passes::Mean);
        let (ensemble, _) = run(&rows, &members(&sampler, 0..MEMBERS as u64));
        for (place, expected) in mean.values.iter().enumerate() {
            let of_members = || {
                ensemble
                    .values
                    .iter()
                    .skip(place)
                    .step_by(EXAMPLES * 3)
                    .map(|value| f64::from(*value))
            };
            let average = of_members().sum::<f64>() / MEMBERS as f64;
            let variance =
                of_members().map(|value| (value - average).powi(2)).sum::<f64>() / (MEMBERS - 1) as f64;
            let error = (variance / MEMBERS as f64).sqrt();
            // 21 places: a deviation of 4.5 standard errors comes by chance once in 7,000 seeds.
            assert!(
                (average - f64::from(*expected)).abs() < 4.5 * error,
                "{average} ± {error}, {expected}"
            );
        }
    }

    #[test]
    fn progress_counts_every_example_of_every_member() {
        let sampler = probe().1;
        let (_, seen) = run(&[vec![0, 1, 2, 3], vec![6, 5, 4]], &members(&sampler, 0..2));
        assert_eq!(seen, [4, 8, 11, 14]);
    }

    #[test]
    fn values_are_averaged_over_members() {
        let outputs = ModelOutputs {
            members: 2,
            examples: 3,
            outputs: 1,
            values: vec![1., 2., 3., 3., 5., 7.],
        };
        assert_eq!(outputs.mean_values(), [2.0, 3.5, 5.0]);
    }

    #[test]
    #[should_panic(expected = "row 5 is in no batch")]
    fn a_missing_row_panics() {
        let _ = run(&[vec![0, 1, 2, 3, 4, 6]], &Passes::Mean);
    }

    #[test]
    #[should_panic(expected = "row 2 is in two batches")]
    fn a_repeated_row_panics() {
        let _ = run(&[vec![0, 1, 2], vec![2, 3]], &Passes::Mean);
    }
}
