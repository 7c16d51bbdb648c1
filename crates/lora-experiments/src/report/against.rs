//! A selected configuration against the reference on the same rows and seeds: better, worse, or no difference beyond chance?

use lora_eval::CrossedInterval;
use lora_eval::permutation::Permutation;
use lora_pipeline::error::Result;

use super::choice::{Method, SelectedConfiguration};
use super::results::{Configuration, TaskResults};

/// A difference in nats below this is none that anybody would notice, however certain it is.
const LEAST_NATS: f64 = 0.005;
/// For a squared error: the share of the reference's that is noticed.
const LEAST_SHARE: f64 = 0.01;
/// Level of an interval.
pub const LEVEL: f64 = 0.95;
/// Permutations times rows, at most: nobody should wait for them.
const WORK: usize = 5_000_000;
/// Permutations below which a p value is coarse.
const FEWEST_DRAWS: usize = 500;
/// Permutations, at most.
const MOST_DRAWS: usize = 4_000;

/// What the comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A lower loss, beyond chance and large enough to notice.
    Wins,
    /// No difference beyond chance, or none to notice.
    Ties,
    /// A higher loss, beyond chance and large enough to notice.
    Loses,
}

impl Verdict {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wins => "wins",
            Self::Ties => "ties",
            Self::Loses => "loses",
        }
    }
}

/// Loss of a selected configuration minus that of the reference.
#[derive(Clone, Debug)]
pub struct ReferenceComparison {
    /// The difference with its interval over rows and seeds.
    pub interval: CrossedInterval,
    /// p of the paired permutation test over rows, seeds averaged.
    pub p_value: f64,
    /// Mean loss of the reference over rows and seeds.
    pub reference_loss: f64,
    /// Seeds that both have.
    pub seeds: usize,
    /// What it comes to.
    pub verdict: Verdict,
}

impl ReferenceComparison {
    /// The difference and its interval in per cent of the reference's loss, which is taken as it is.
    pub fn per_cent(&self) -> (f64, [f64; 2]) {
        let of = |value: f64| 100.0 * value / self.reference_loss.max(f64::MIN_POSITIVE);
        let interval = &self.interval;
        (of(interval.difference), [of(interval.lower), of(interval.upper)])
    }
}

/// The mean of differences in per cent with its interval, for tasks whose errors are independent; none for no task.
pub fn pooled<'c>(comparisons: impl Iterator<Item = &'c ReferenceComparison>) -> Option<(f64, [f64; 2])> {
    let all: Vec<(f64, [f64; 2])> = comparisons.map(ReferenceComparison::per_cent).collect();
    if all.is_empty() {
        return None;
    }
    let n = all.len() as f64;
    let mean = all.iter().map(|(difference, _)| difference).sum::<f64>() / n;
    // Half an interval is about so many standard errors for each task and for the mean alike, and no more for the mean.
    let squares = all
        .iter()
        .map(|(_, [lower, upper])| ((upper - lower) / 2.0).powi(2));
    let half = squares.sum::<f64>().sqrt() / n;
    Some((mean, [mean - half, mean + half]))
}

/// Compares the chosen settings of two selected configurations; none where one of them has none, or they have no seed in common.
///
/// # Errors
///
/// If their test rows differ in number.
pub fn compare(
    selected: &SelectedConfiguration<'_>,
    reference: &SelectedConfiguration<'_>,
    is_scaled: bool,
) -> Result<Option<ReferenceComparison>> {
    let (Some(ours), Some(theirs)) = (
        selected.configuration(is_scaled),
        reference.configuration(is_scaled),
    ) else {
        return Ok(None);
    };
    let (first, second) = paired(ours, theirs, is_scaled);
    if first.is_empty() {
        return Ok(None);
    }
    let seeds = first.len();
    let rows = first[0].len();
    let interval = CrossedInterval::of(&first, &second, LEVEL)?;
    let permutation = Permutation {
        permutations: (WORK / rows.max(1)).clamp(FEWEST_DRAWS, MOST_DRAWS) as u64,
        ..Permutation::default()
    };
    let test = permutation.paired_means(&means(&first), &means(&second))?;
    let is_regression = ours
        .results()
        .any(|result| result.test_rows.plain.correct.is_empty());
    let reference_loss = means(&second).iter().sum::<f64>() / rows as f64;
    let least = if is_regression {
        LEAST_SHARE * reference_loss
    } else {
        LEAST_NATS
    };
    let matters = interval.excludes_zero() && interval.difference.abs() >= least;
    Ok(Some(ReferenceComparison {
        interval,
        p_value: test.p_value,
        reference_loss,
        seeds,
        verdict: match (matters, interval.difference < 0.0) {
            (false, _) => Verdict::Ties,
            (true, true) => Verdict::Wins,
            (true, false) => Verdict::Loses,
        },
    }))
}

/// Row losses `[seeds][rows]` of both, for the seeds that both have.
fn paired(
    ours: &Configuration<'_>,
    theirs: &Configuration<'_>,
    is_scaled: bool,
) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let losses = |configuration: &Configuration<'_>, seed: u64| {
        let (_, result) = configuration
            .trials
            .iter()
            .find(|(trial, _)| trial.seed == seed)?;
        Some(result.test_rows.get(is_scaled)?.row_losses())
    };
    let both = ours
        .seeds()
        .into_iter()
        .filter_map(|seed| Some((losses(ours, seed)?, losses(theirs, seed)?)));
    both.unzip()
}

fn means(seeds: &[Vec<f64>]) -> Vec<f64> {
    let rows = seeds.first().map_or(0, Vec::len);
    let mean = |row: usize| seeds.iter().map(|losses| losses[row]).sum::<f64>() / seeds.len() as f64;
    (0..rows).map(mean).collect()
}

/// The method of the reference: of the last call that names one, else the first method of the first task that has a mean pass.
pub fn reference_method(named: Option<&str>, tasks: &[TaskResults<'_>]) -> Option<Method> {
    let configurations = || tasks.iter().flat_map(|task| &task.configurations);
    let is_mean = |configuration: &&Configuration<'_>| {
        *configuration.prediction == crate::sweep::inference_method::InferenceMethod::Mean
    };
    let of_name = configurations()
        .filter(is_mean)
        .find(|configuration| Some(configuration.method) == named);
    of_name.or_else(|| configurations().find(is_mean)).map(Method::of)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn comparison(difference: f64, half: f64, reference_loss: f64) -> ReferenceComparison {
        ReferenceComparison {
            interval: CrossedInterval {
                difference,
                lower: difference - half,
                upper: difference + half,
                standard_error: half / 2.0,
                degrees_of_freedom: 100.0,
            },
            p_value: 0.5,
            reference_loss,
            seeds: 3,
            verdict: Verdict::Ties,
        }
    }

    #[test]
    fn the_mean_over_tasks_is_of_per_cents_with_errors_added_as_squares() {
        // −20 ± 6 % and 10 ± 8 %: the mean is −5, its error √(36 + 64) / 2.
        let both = [comparison(-0.1, 0.03, 0.5), comparison(0.2, 0.16, 2.0)];
        let (mean, [lower, upper]) = pooled(both.iter()).unwrap();
        assert!((mean + 5.0).abs() < 1e-12 && (lower + 10.0).abs() < 1e-12 && upper.abs() < 1e-12);
        assert_eq!(pooled(both[..0].iter()), None);
    }
}
