//! The scores of validation rows, and their quantile for a coverage.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::{ConformityScore, PredictionSets};
use crate::checks::{at_least, is_finite, level_within, require, same_classes, same_count};
use crate::probabilities::check_labels;
use crate::{ClassProbabilities, EvalError};

/// Room for rounding: sums of probabilities in another order.
const ROUNDING: f64 = 1e-12;

/// The scores of the true classes of validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedScores")]
pub struct ConformalScores {
    score: ConformityScore,
    /// Of the draws of the rows of APS and RAPS; none: all are 0.
    seed: Option<u64>,
    /// `[classes]`: the scores of the rows of each class, from small to large.
    by_class: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedScores {
    score: ConformityScore,
    seed: Option<u64>,
    by_class: Vec<Vec<f64>>,
}

impl TryFrom<UncheckedScores> for ConformalScores {
    type Error = EvalError;

    fn try_from(unchecked: UncheckedScores) -> Result<Self, EvalError> {
        let UncheckedScores {
            score,
            seed,
            mut by_class,
        } = unchecked;
        score.check()?;
        at_least("classes", by_class.len(), 2)?;
        for (example, value) in by_class.iter().flatten().enumerate() {
            is_finite("conformity score", example, *value)?;
        }
        for scores in &mut by_class {
            scores.sort_by(f64::total_cmp);
        }
        Ok(Self {
            score,
            seed,
            by_class,
        })
    }
}

/// How many rows a coverage needs, at least: with fewer, even a set of all classes is not certain to be large enough.
///
/// ```
/// assert_eq!(lora_eval::conformal::fewest_rows(0.9), 9);
/// assert_eq!(lora_eval::conformal::fewest_rows(0.99), 99);
/// ```
pub fn fewest_rows(coverage: f64) -> usize {
    // ⌈(n + 1) c⌉ ≤ n holds from n = c / (1 − c) on.
    #[expect(clippy::cast_sign_loss, reason = "it is at least 1")]
    let rows = (coverage / (1.0 - coverage) - 1e-9).ceil().max(1.0) as usize;
    rows
}

impl ConformalScores {
    /// Scores validation `probabilities` `[examples, classes]` by their `labels` `[examples]`. `seed` randomizes APS and RAPS; none: all
    /// rows have the number 0.
    ///
    /// # Errors
    /// [`EvalError::ExampleCount`] or [`EvalError::ClassOutOfRange`] if the labels don't fit, [`EvalError::OutOfRange`] for a bad penalty.
    pub fn of(
        probabilities: &ClassProbabilities,
        labels: &[usize],
        score: ConformityScore,
        seed: Option<u64>,
    ) -> Result<Self, EvalError> {
        let draws = row_draws(seed, FIT, probabilities.examples());
        let scores = Self::with_draws(probabilities, labels, score, &draws)?;
        Ok(Self { seed, ..scores })
    }

    /// As [`ConformalScores::of`], with the draw from 0 to 1 of each row `[examples]`.
    ///
    /// # Errors
    /// As there; also [`EvalError::ExampleCount`] for another number of draws.
    pub fn with_draws(
        probabilities: &ClassProbabilities,
        labels: &[usize],
        score: ConformityScore,
        draws: &[f64],
    ) -> Result<Self, EvalError> {
        score.check()?;
        check_labels(probabilities.examples(), probabilities.classes(), labels)?;
        check_draws(probabilities, draws)?;
        let mut by_class = vec![Vec::new(); probabilities.classes()];
        for ((row, label), u) in probabilities.rows().zip(labels).zip(draws) {
            by_class[*label].push(score.of_row(row, *u)[*label]);
        }
        for scores in &mut by_class {
            scores.sort_by(f64::total_cmp);
        }
        Ok(Self {
            score,
            seed: None,
            by_class,
        })
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.by_class.iter().map(Vec::len).sum()
    }

    /// `[classes]`: how many rows each class has.
    pub fn rows_by_class(&self) -> Vec<usize> {
        self.by_class.iter().map(Vec::len).collect()
    }

    /// How classes are scored.
    pub fn score(&self) -> ConformityScore {
        self.score
    }

    /// The thresholds that hold the true class with probability `coverage`: the `⌈(n + 1) coverage⌉`-th smallest of `n` scores, of all
    /// rows, or with `per_class` of the rows of each class (Mondrian).
    ///
    /// # Errors
    /// [`EvalError::ConfidenceLevel`] unless the coverage lies between 0 and 1, [`EvalError::TooFewRows`] where there are fewer than
    /// [`fewest_rows`], of all or of a class.
    pub fn thresholds(&self, coverage: f64, per_class: bool) -> Result<ConformalThresholds, EvalError> {
        level_within(coverage)?;
        let of = |class, scores: &[f64]| match scores.get(place(scores.len(), coverage) - 1) {
            Some(threshold) => Ok(*threshold),
            None => Err(EvalError::TooFewRows {
                class,
                coverage,
                found: scores.len(),
                needed: fewest_rows(coverage),
            }),
        };
        let thresholds = if per_class {
            let each = self.by_class.iter().enumerate();
            each.map(|(class, scores)| of(Some(class), scores))
                .collect::<Result<_, _>>()?
        } else {
            let mut all = self.by_class.concat();
            all.sort_by(f64::total_cmp);
            vec![of(None, &all)?; self.by_class.len()]
        };
        Ok(ConformalThresholds {
            score: self.score,
            seed: self.seed,
            coverage,
            per_class,
            thresholds,
        })
    }
}

/// Which of `rows` scores is the threshold, from 1; more than `rows` if none is.
pub(super) fn place(rows: usize, coverage: f64) -> usize {
    // 0.9 · 10 may come out a little above 9.
    #[expect(clippy::cast_sign_loss, reason = "below 0 it is 0, and then 1")]
    let rank = ((rows + 1) as f64 * coverage - 1e-9).ceil() as usize;
    rank.max(1)
}

/// Classes that fit a row no worse than these scores are in its set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConformalThresholds {
    score: ConformityScore,
    seed: Option<u64>,
    /// With which probability a set holds the true class, at least.
    pub coverage: f64,
    /// Whether that holds for each class.
    pub per_class: bool,
    /// `[classes]`: the highest score of a class in a set; without `per_class` all are equal.
    pub thresholds: Vec<f64>,
}

impl ConformalThresholds {
    /// The sets of new `probabilities` `[examples, classes]`. Where APS and RAPS are randomized, the number of a row follows from the seed
    /// and its place.
    ///
    /// # Errors
    /// [`EvalError::ClassCount`] for other classes than those of the validation rows.
    pub fn sets(&self, probabilities: &ClassProbabilities) -> Result<PredictionSets, EvalError> {
        self.sets_with_draws(
            probabilities,
            &row_draws(self.seed, NEW, probabilities.examples()),
        )
    }

    /// As [`ConformalThresholds::sets`], with the draw from 0 to 1 of each row `[examples]`.
    ///
    /// # Errors
    /// As there; also [`EvalError::ExampleCount`] for another number of draws.
    pub fn sets_with_draws(
        &self,
        probabilities: &ClassProbabilities,
        draws: &[f64],
    ) -> Result<PredictionSets, EvalError> {
        let (expected, found) = (self.thresholds.len(), probabilities.classes());
        same_classes("the row of probabilities", expected, found)?;
        check_draws(probabilities, draws)?;
        let of_row = |(row, u): (&[f64], &f64)| {
            let scores = self.score.of_row(row, *u);
            let fits = |class: &usize| scores[*class] <= self.thresholds[*class] + ROUNDING;
            (0..scores.len()).filter(fits).collect()
        };
        let sets = probabilities.rows().zip(draws).map(of_row).collect();
        Ok(PredictionSets::new(self.thresholds.len(), sets))
    }
}

/// Streams of the generator: those of the fit are none of those of new rows.
const FIT: u64 = 0;
const NEW: u64 = 1;

/// The number of each row: drawn in order, or 0.
fn row_draws(seed: Option<u64>, stream: u64, rows: usize) -> Vec<f64> {
    let Some(seed) = seed else {
        return vec![0.0; rows];
    };
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(stream);
    (0..rows).map(|_| generator.random()).collect()
}

fn check_draws(probabilities: &ClassProbabilities, draws: &[f64]) -> Result<(), EvalError> {
    same_count("the list of row draws", probabilities.examples(), draws.len())?;
    draws.iter().try_for_each(|found| {
        let holds = (0.0..=1.0).contains(found);
        require(holds, "the number of a row", *found, "0 to 1")
    })
}

#[cfg(test)]
mod tests;
