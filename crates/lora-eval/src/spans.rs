//! Extractive question answering: where in a text does an answer start, and where does it end?
//!
//! A model gives two scores to every token, `s_i` for "starts here" and `e_i` for "ends here"; their softmax over the tokens of a row
//! are the probabilities `p^s_i` and `p^e_i` (Devlin et al. 2018, section 4.2). What stands in the text follows from the scores, which
//! are compared between the rows of a long text, so they keep their size: from an ensemble of M members come
//!
//! ```text
//! s_i = ln(1/M Σ_m softmax(s^m)_i) + 1/M Σ_m ln Σ_k exp(s^m_k)
//! ```
//!
//! for an average of probabilities, and `s_i = 1/M Σ_m s^m_i` for one of logits. Both are the model's own scores where M is 1, and the
//! softmax of either is the requested average.

use lora_core::{Adapted, Model};

use crate::passes::{Passes, run_passes, whole};
use crate::softmax::log_softmax;
use crate::{Average, EvalError};

/// Scores of starts and ends of the tokens of each row.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanScores {
    /// One list a row, one score a token.
    pub starts: Vec<Vec<f32>>,
    /// One list a row, one score a token.
    pub ends: Vec<Vec<f32>>,
}

impl SpanScores {
    /// `p^s_start · p^e_end` in a row, all scores divided by the temperature.
    ///
    /// # Panics
    /// If the row or a token is out of range.
    pub fn probability(&self, row: usize, place: (usize, usize), temperature: f64) -> f64 {
        self.log_probability(row, place, temperature).exp()
    }

    /// Of each row `−(ln p^s_start + ln p^e_end) / 2`, in nats, all scores divided by the temperature: what training lowers, where the
    /// temperature is 1.
    ///
    /// # Panics
    /// If there is not one target a row, or a token is out of range.
    pub fn losses(&self, targets: &[(usize, usize)], temperature: f64) -> Vec<f64> {
        assert_eq!(targets.len(), self.starts.len(), "one target for each row");
        let of_row =
            |(row, place): (usize, &(usize, usize))| -self.log_probability(row, *place, temperature) / 2.0;
        targets.iter().enumerate().map(of_row).collect()
    }

    fn log_probability(&self, row: usize, (start, end): (usize, usize), temperature: f64) -> f64 {
        let of = |scores: &[f32], token: usize| {
            let scores: Vec<f64> = scores
                .iter()
                .map(|score| f64::from(*score) / temperature)
                .collect();
            log_softmax(&scores)[token]
        };
        of(&self.starts[row], start) + of(&self.ends[row], end)
    }
}

/// Runs a model with a head for spans over all batches, in all passes, and averages over the members.
///
/// `batches` are as for [`predict`](crate::predict), padded on the right; `lengths` are the tokens of each row of the data set without
/// padding, which has no share in any softmax. `progress` is told the number of finished rows, counted once for each member.
///
/// # Errors
/// [`EvalError::LogitNotFinite`] for a model that has diverged.
///
/// # Panics
/// If a row is missing, out of range or given twice, is longer than its batch, or the outputs are not `[2 · batch, seq]`.
pub fn predict_spans<'a, M: Model>(
    adapted: &Adapted<M>,
    batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
    lengths: &[usize],
    passes: &Passes<'_>,
    average: Average,
    progress: &mut dyn FnMut(usize),
) -> Result<SpanScores, EvalError>
where
    M::Input: 'a,
{
    let members = passes.count();
    let empty = || -> Vec<Sum> { lengths.iter().map(|_| Sum::default()).collect() };
    let mut sums = [empty(), empty()];
    let (mut filled, mut wrong) = (0, None);
    run_passes(
        adapted.into(),
        whole(batches),
        passes,
        &mut |member, rows, shape, values| {
            let seq = shape[1];
            assert_eq!(
                shape[0],
                2 * rows.len(),
                "a start and an end for each row of the batch"
            );
            for (place, scores) in values.chunks_exact(seq).enumerate() {
                let (side, row) = (place / rows.len(), rows[place % rows.len()]);
                let scores = &scores[..lengths[row]];
                if let Some(class) = scores.iter().position(|score| !score.is_finite()) {
                    let value = scores[class];
                    wrong.get_or_insert(EvalError::LogitNotFinite {
                        member,
                        example: row,
                        class,
                        value,
                    });
                }
                sums[side][row].add(member, scores, average);
            }
            filled += rows.len();
            progress(filled);
        },
    );
    if let Some(error) = wrong {
        return Err(error);
    }
    let [starts, ends] = sums.map(|rows| {
        let finished = rows.into_iter().enumerate();
        finished
            .map(|(row, sum)| sum.finish(row, members, average))
            .collect()
    });
    Ok(SpanScores { starts, ends })
}

/// The scores of a row, summed over members.
#[derive(Default)]
struct Sum {
    members: usize,
    /// Probabilities, or logits.
    tokens: Vec<f64>,
    /// Sums of `ln Σ exp`.
    size: f64,
}

impl Sum {
    fn add(&mut self, member: usize, scores: &[f32], average: Average) {
        assert_eq!(self.members, member, "a row is in two batches");
        self.members += 1;
        self.tokens.resize(scores.len(), 0.0);
        let scores: Vec<f64> = scores.iter().copied().map(f64::from).collect();
        match average {
            Average::Logits => {
                for (sum, score) in self.tokens.iter_mut().zip(&scores) {
                    *sum += score;
                }
            }
            Average::Probabilities => {
                let logs = log_softmax(&scores);
                for (sum, log) in self.tokens.iter_mut().zip(&logs) {
                    *sum += log.exp();
                }
                self.size += scores[0] - logs[0];
            }
        }
    }

    fn finish(self, row: usize, members: usize, average: Average) -> Vec<f32> {
        assert_eq!(self.members, members, "row {row} is in no batch");
        let members = members as f64;
        // No probability is so small that its logarithm would be infinite.
        let score = |sum: f64| match average {
            Average::Logits => sum / members,
            Average::Probabilities => (sum / members).max(f64::MIN_POSITIVE).ln() + self.size / members,
        };
        self.tokens.iter().map(|sum| score(*sum) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softmax::softmax;

    const MEMBERS: [[f32; 3]; 2] = [[2.0, -1.0, 0.5], [0.25, 3.0, -4.0]];

    fn average_of(members: &[[f32; 3]], average: Average) -> Vec<f32> {
        let mut sum = Sum::default();
        for (member, scores) in members.iter().enumerate() {
            sum.add(member, scores, average);
        }
        sum.finish(0, members.len(), average)
    }

    fn probabilities(scores: &[f32]) -> Vec<f64> {
        softmax(&scores.iter().copied().map(f64::from).collect::<Vec<_>>())
    }

    #[test]
    fn one_member_keeps_its_own_scores() {
        for average in [Average::Logits, Average::Probabilities] {
            for (found, expected) in average_of(&MEMBERS[..1], average).iter().zip(MEMBERS[0]) {
                assert!((found - expected).abs() < 1e-6, "{average:?}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_softmax_of_the_average_is_the_average_that_was_asked_for() {
        let [one, other] = MEMBERS.map(|scores| probabilities(&scores));
        let found = probabilities(&average_of(&MEMBERS, Average::Probabilities));
        for (found, (one, other)) in found.iter().zip(one.iter().zip(&other)) {
            assert!((found - f64::midpoint(*one, *other)).abs() < 1e-6);
        }
        assert_eq!(average_of(&MEMBERS, Average::Logits), [1.125, 1.0, -1.75]);
    }

    #[test]
    fn loss_and_probability_are_those_of_both_ends() {
        // Softmaxes (1/4, 3/4) and (1/2, 1/2); then (1/5, 4/5) and (2/3, 1/3).
        let ln = |number: f32| number.ln();
        let scores = SpanScores {
            starts: vec![vec![0.0, ln(3.0)], vec![0.0, ln(4.0)]],
            ends: vec![vec![7.0, 7.0], vec![ln(2.0), 0.0]],
        };
        assert!((scores.probability(0, (1, 0), 1.0) - 0.75 * 0.5).abs() < 1e-6);
        let found = scores.losses(&[(0, 1), (1, 0)], 1.0);
        let expected = [-(0.25_f64 * 0.5).ln() / 2.0, -(0.8_f64 * 2.0 / 3.0).ln() / 2.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        // Half of ln 3: the odds are those of the root.
        let root = 3.0_f64.sqrt();
        assert!((scores.probability(0, (1, 0), 2.0) - root / (1.0 + root) * 0.5).abs() < 1e-6);
    }
}
