//! Ensembles that stop early: an example gets more members only until its class is decided.
//!
//! Most examples are decided by the first few members; the others are what an ensemble is for. After each round of members a
//! t-test decides for every open example whether its leading class would still lead if all members had been run. Let `d_m` be the
//! lead of the leading class over another one in member m, `d̄` and `s` its mean and standard deviation over the `n` members
//! run so far, of `N` in all. The lead over all N members is `d̄` with a standard error of `s √(1/n − 1/N)` (sampling without
//! replacement: nothing is left to chance at n = N). The example is decided once `d̄` is larger than the t-quantile of the wanted
//! confidence, with n − 1 degrees of freedom, times that error, for every other class.
//!
//! What it saves is time; what it costs is that a decided example's probabilities are averages over fewer members.

use lora_core::{Adapted, MaskSampler, Model};
use serde::{Deserialize, Serialize};

use crate::passes::{Passes, run_passes, whole};
use crate::softmax::{softmax, top_class};
use crate::student::t_quantile;
use crate::{Average, ClassProbabilities, EvalError, Predictions, Uncertainty};

/// When an example counts as decided, and how often that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoppingRule {
    /// One-sided confidence of each test, above 0.5 and below 1: the share of decided examples whose leading class keeps its
    /// lead over another class, were leads normally distributed over members.
    pub confidence: f64,
    /// Members before the first test; at least 2, because one member has no deviation.
    pub first: usize,
    /// Members between two tests; at least 1.
    pub step: usize,
}

impl Default for StoppingRule {
    /// 99 %, three members, then one at a time.
    fn default() -> Self {
        Self {
            confidence: 0.99,
            first: 3,
            step: 1,
        }
    }
}

impl StoppingRule {
    /// Refuses settings that cannot decide anything.
    ///
    /// # Errors
    /// [`EvalError::StoppingRule`] with the field that is out of range.
    pub fn check(&self) -> Result<(), EvalError> {
        let wrong = |field, found: f64, expected| {
            Err(EvalError::StoppingRule {
                field,
                found,
                expected,
            })
        };
        if !(self.confidence > 0.5 && self.confidence < 1.0) {
            return wrong("confidence", self.confidence, "more than 0.5 and less than 1");
        }
        if self.first < 2 {
            return wrong("first", self.first as f64, "at least 2 members");
        }
        if self.step < 1 {
            return wrong("step", self.step as f64, "at least 1 member");
        }
        Ok(())
    }

    /// The numbers of members after which examples are looked at: rising, the last is `members`.
    fn looks(&self, members: usize) -> Vec<usize> {
        let mut looks: Vec<usize> = (self.first..members).step_by(self.step).collect();
        looks.push(members);
        looks
    }

    /// Whether `values` `[members run, classes]` decide which class leads on average over `members`.
    fn is_decided(&self, values: &[Vec<f64>], members: usize) -> bool {
        let run = values.len();
        if run >= members {
            return true;
        }
        let count = run as f64;
        let sums: Vec<f64> = (0..values[0].len())
            .map(|class| values.iter().map(|values| values[class]).sum())
            .collect();
        let top = top_class(&sums);
        let share = 1.0 / count - 1.0 / members as f64;
        #[expect(clippy::expect_used, reason = "a test has two members at least")]
        let quantile = t_quantile(self.confidence, count - 1.0).expect("at least one degree of freedom");
        (0..sums.len()).filter(|class| *class != top).all(|class| {
            let lead = (sums[top] - sums[class]) / count;
            let squares = values.iter().map(|values| values[top] - values[class] - lead);
            let variance = squares.map(|difference| difference * difference).sum::<f64>() / (count - 1.0);
            lead > quantile * (variance * share).sqrt()
        })
    }
}

/// An ensemble of which an example may get fewer members than there are.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptiveEnsemble<'a> {
    /// What draws the masks.
    pub sampler: &'a MaskSampler,
    /// The members of the whole ensemble: the most that an example gets.
    pub members: usize,
    /// When to stop.
    pub rule: StoppingRule,
    /// What decides: averaged probabilities or averaged logits.
    pub average: Average,
    /// What the logits are divided by.
    pub temperature: f64,
}

/// The outputs of each example's members: as [`Predictions`], with a number of members for each example.
#[derive(Debug, Clone, PartialEq)]
pub struct AdaptivePredictions {
    /// `[members, 1, classes]` for each example.
    examples: Vec<Predictions>,
    average: Average,
}

impl AdaptivePredictions {
    /// What an adaptive ensemble would have made of these members, had it been run in place of the whole ensemble.
    ///
    /// # Errors
    /// As [`StoppingRule::check`].
    pub fn within(whole: &Predictions, rule: StoppingRule, average: Average) -> Result<Self, EvalError> {
        rule.check()?;
        let looks = rule.looks(whole.members());
        let decided = |example: usize| {
            let values: Vec<Vec<f64>> = (0..whole.members())
                .map(|member| decisive(whole, member, example, average))
                .collect();
            let run = looks
                .iter()
                .find(|run| rule.is_decided(&values[..**run], whole.members()));
            let run = run.copied().unwrap_or(whole.members());
            let logits = (0..run).flat_map(|member| {
                let start = (member * whole.examples() + example) * whole.classes();
                whole.logits()[start..][..whole.classes()].to_vec()
            });
            Predictions::new(run, 1, whole.classes(), logits.collect())?.with_temperature(whole.temperature())
        };
        Ok(Self {
            examples: (0..whole.examples()).map(decided).collect::<Result<_, _>>()?,
            average,
        })
    }

    /// The members that each example got.
    pub fn members(&self) -> impl ExactSizeIterator<Item = usize> {
        self.examples.iter().map(Predictions::members)
    }

    /// Members an example, on average.
    pub fn mean_members(&self) -> f64 {
        self.members().sum::<usize>() as f64 / self.examples.len() as f64
    }

    /// The averaged probabilities `[examples, classes]`.
    pub fn probabilities(&self) -> ClassProbabilities {
        let classes = self.examples[0].classes();
        let rows = self.examples.iter();
        let rows = rows.flat_map(|example| example.average(self.average).values().to_vec());
        ClassProbabilities::from_softmax(self.examples.len(), classes, rows.collect())
    }

    /// The uncertainty about every example, over the members it got.
    pub fn uncertainty(&self) -> Vec<Uncertainty> {
        self.examples.iter().flat_map(Predictions::uncertainty).collect()
    }
}

/// The model's inputs, each with the data set rows that are in it.
pub type RowBatches<I> = Vec<(I, Vec<usize>)>;

/// What a member adds to the average that decides: probabilities or logits `[classes]`.
fn decisive(predictions: &Predictions, member: usize, example: usize, average: Average) -> Vec<f64> {
    let logits = predictions.scaled_logits(member, example);
    match average {
        Average::Probabilities => softmax(&logits),
        Average::Logits => logits,
    }
}

/// The error of an example's own predictions, with its place in the data set.
fn of_example(error: EvalError, example: usize) -> EvalError {
    match error {
        EvalError::LogitNotFinite {
            member, class, value, ..
        } => EvalError::LogitNotFinite {
            member,
            example,
            class,
            value,
        },
        other => other,
    }
}

/// Runs the ensemble over a data set in rounds; after each, decided examples leave and the others are put into new batches.
///
/// `batches_of` makes the model's inputs for the data set rows it is given. A member is the
/// same as in [`predict`](crate::predict) with the same sampler, so the result equals [`AdaptivePredictions::within`] of the whole
/// ensemble up to the rounding of other batches. `progress` is told how many passes of examples are done, those that a decided
/// example is spared included: in the end `examples * members`.
///
/// # Errors
/// As [`StoppingRule::check`] and [`Predictions::new`]; a diverged model gives [`EvalError::LogitNotFinite`].
///
/// # Panics
/// If `batches_of` leaves out a row that it was called with.
pub fn predict_adaptively<M: Model>(
    adapted: &Adapted<M>,
    examples: usize,
    ensemble: &AdaptiveEnsemble<'_>,
    batches_of: &mut dyn FnMut(&[usize]) -> RowBatches<M::Input>,
    progress: &mut dyn FnMut(usize),
) -> Result<AdaptivePredictions, EvalError> {
    ensemble.rule.check()?;
    let mut logits: Vec<Vec<f32>> = vec![Vec::new(); examples];
    let mut finished: Vec<Option<Predictions>> = vec![None; examples];
    let mut open: Vec<usize> = (0..examples).collect();
    let (mut run, mut done) = (0, 0);
    for look in ensemble.rule.looks(ensemble.members) {
        if open.is_empty() {
            break;
        }
        let batches = batches_of(&open);
        let passes = Passes::Members {
            sampler: ensemble.sampler,
            members: run as u64..look as u64,
        };
        let inputs = batches.iter().map(|(input, rows)| (input, rows.as_slice()));
        run_passes(
            adapted.into(),
            whole(inputs),
            &passes,
            &mut |_, rows, [_, classes], values| {
                for (row, values) in rows.iter().zip(values.chunks_exact(classes)) {
                    logits[*row].extend_from_slice(values);
                }
                done += rows.len();
                progress(done);
            },
        );
        run = look;
        let mut still_open = Vec::new();
        for example in open {
            assert!(!logits[example].is_empty(), "row {example} is in no batch");
            let classes = logits[example].len() / run;
            let predictions = Predictions::new(run, 1, classes, logits[example].clone())
                .map_err(|error| of_example(error, example))?
                .with_temperature(ensemble.temperature)?;
            let values: Vec<Vec<f64>> = (0..run)
                .map(|member| decisive(&predictions, member, 0, ensemble.average))
                .collect();
            if ensemble.rule.is_decided(&values, ensemble.members) {
                finished[example] = Some(predictions);
                done += ensemble.members - run;
            } else {
                still_open.push(example);
            }
        }
        progress(done);
        open = still_open;
    }
    Ok(AdaptivePredictions {
        examples: finished.into_iter().flatten().collect(),
        average: ensemble.average,
    })
}

#[cfg(test)]
mod tests;
