//! The ensemble beside the mean pass, on the same rows: which is better, and could it be chance?

use lora_eval::{Bootstrap, BootstrapInterval};

use crate::error::Result;
use crate::saved::task_file::InferenceKind;
use crate::score::ScoredMethod;

/// Draws times rows, at most: a large data set needs fewer draws, and nobody should wait for them.
const WORK: usize = 50_000_000;
/// Draws below which percentiles are coarse.
const FEWEST_DRAWS: usize = 500;

/// Loss of the ensemble minus that of the mean pass.
#[derive(Clone, Debug)]
pub struct MethodComparison {
    /// Both with a fitted temperature, or both without.
    pub scaled: bool,
    /// The difference and its interval, in nats or as squared error.
    pub interval: BootstrapInterval,
    /// What was subtracted.
    pub loss: &'static str,
}

/// The comparisons that are fair: of the ensemble with the mean pass as they are, and again with the temperature that was
/// fitted for each. Without an ensemble there is none.
///
/// # Errors
///
/// If a loss is not finite.
pub fn comparisons(methods: &[ScoredMethod]) -> Result<Vec<MethodComparison>> {
    let find = |is_ensemble: bool, scaled: bool| {
        let mut methods = methods.iter();
        methods.find(|method| method.average.is_some() == is_ensemble && method.is_scaled == scaled)
    };
    let mut found = Vec::new();
    for scaled in [false, true] {
        let (Some(mean), Some(ensemble)) = (find(false, scaled), find(true, scaled)) else {
            continue;
        };
        found.push(MethodComparison {
            scaled,
            interval: difference(ensemble, mean)?,
            loss: mean.scores.loss_name(),
        });
    }
    Ok(found)
}

/// Loss of the ensemble minus that of the mean pass, over paired draws of the rows.
fn difference(ensemble: &ScoredMethod, mean: &ScoredMethod) -> Result<BootstrapInterval> {
    let rows = mean.row_losses.len().max(1);
    let bootstrap = Bootstrap {
        resamples: (WORK / rows).clamp(FEWEST_DRAWS, Bootstrap::default().resamples),
        ..Bootstrap::default()
    };
    Ok(bootstrap.paired_means(&ensemble.row_losses, &mean.row_losses)?)
}

/// Mean pass and ensemble on validation rows, each as it is used: with its temperature if it has one. `lora predict` uses the better.
#[derive(Clone, Copy, Debug)]
pub struct MethodsInUse<'a> {
    mean: &'a ScoredMethod,
    ensemble: &'a ScoredMethod,
}

impl<'a> MethodsInUse<'a> {
    /// Of the methods that were scored; none without an ensemble.
    pub fn of(methods: &'a [ScoredMethod]) -> Option<Self> {
        // One with a temperature comes after the one without.
        let in_use = |is_ensemble: bool| {
            let mut of_kind = methods.iter().rev();
            of_kind.find(|method| method.average.is_some() == is_ensemble)
        };
        Some(Self {
            mean: in_use(false)?,
            ensemble: in_use(true)?,
        })
    }

    /// The one with the lower loss.
    pub fn better(&self) -> InferenceKind {
        if self.ensemble.scores.loss() < self.mean.scores.loss() {
            InferenceKind::Ensemble
        } else {
            InferenceKind::Mean
        }
    }

    /// The number of validation rows, of tagged words of theirs, on which the losses differ by no more than chance; none where they differ
    /// beyond it.
    ///
    /// # Errors
    ///
    /// If a loss is not finite.
    pub fn not_told_apart_on(&self) -> Result<Option<usize>> {
        let interval = difference(self.ensemble, self.mean)?;
        let may_be_chance = interval.lower <= 0.0 && interval.upper >= 0.0;
        Ok(may_be_chance.then_some(self.mean.row_losses.len()))
    }

    /// Which of the two `lora predict` uses, and how sure that choice is.
    ///
    /// # Errors
    ///
    /// If a loss is not finite.
    pub fn in_words(&self) -> Result<String> {
        let better = self.better();
        let (used, other) = match better {
            InferenceKind::Mean => (self.mean, self.ensemble),
            InferenceKind::Ensemble => (self.ensemble, self.mean),
        };
        let interval = difference(self.ensemble, self.mean)?;
        Ok(format!(
            "lora predict uses {}, whose {} on the validation rows is {:.4}, that of {} {:.4}; the ensemble minus the mean pass: {}; \
             --inference {} uses the other",
            better.in_words(),
            used.scores.loss_name(),
            used.scores.loss(),
            better.other().in_words(),
            other.scores.loss(),
            interval_in_words(&interval),
            better.other().name(),
        ))
    }
}

/// The way by which `lora predict` predicts: without a choice the ensemble, if there is one; with its temperature, if it has one.
pub(crate) fn method_in_use(
    methods: &[ScoredMethod],
    inference: Option<InferenceKind>,
) -> Option<&ScoredMethod> {
    let has_ensemble = methods.iter().any(|method| method.average.is_some());
    let wanted = inference != Some(InferenceKind::Mean) && has_ensemble;
    // The one with a temperature comes after the one without.
    methods.iter().rfind(|method| method.average.is_some() == wanted)
}

/// A difference with its interval, and what that means.
fn interval_in_words(interval: &BootstrapInterval) -> String {
    let verdict = match () {
        () if interval.lower > 0.0 => "the mean pass is better here",
        () if interval.upper < 0.0 => "the ensemble is better here",
        () => "no difference beyond chance",
    };
    format!(
        "{} (95 % of paired draws of the rows: {} to {}): {verdict}",
        signed(interval.difference),
        signed(interval.lower),
        signed(interval.upper),
    )
}

/// The comparisons in words.
///
/// # Errors
///
/// As [`comparisons`].
pub fn verdicts(methods: &[ScoredMethod]) -> Result<Vec<String>> {
    Ok(comparisons(methods)?
        .iter()
        .map(MethodComparison::in_words)
        .collect())
}

impl MethodComparison {
    /// One sentence with the verdict.
    pub fn in_words(&self) -> String {
        let temperature = if self.scaled { ", each with its T" } else { "" };
        format!(
            "{} of the ensemble minus that of the mean pass{temperature}: {}",
            self.loss,
            interval_in_words(&self.interval)
        )
    }
}

/// Four decimals, and no sign before a zero.
pub fn signed(value: f64) -> String {
    let text = format!("{value:.4}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|digit| matches!(digit, '0' | '.')) => digits.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_eval::regression::RegressionScores;

    use crate::score::TaskScores;

    use super::*;

    fn method(is_ensemble: bool, row_losses: Vec<f64>) -> ScoredMethod {
        ScoredMethod {
            method: String::new(),
            members: if is_ensemble { 8 } else { 1 },
            mean_members: None,
            average: is_ensemble.then(Default::default),
            temperature: 1.0,
            is_scaled: false,
            scores: TaskScores::Regression(RegressionScores::of(&[0.5, 1.0], &[0.0, 1.5]).unwrap()),
            reliability: Vec::new(),
            row_losses,
            answers: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_is_given_only_where_rows_agree() {
        let mean: Vec<f64> = (0..40).map(|row| f64::from(row % 5)).collect();
        let worse = mean.iter().map(|loss| loss + 0.5).collect();
        let mixed = (0..40)
            .map(|row| mean[row] + if row % 2 == 0 { 0.3 } else { -0.3 })
            .collect();
        let of = |ensemble: Vec<f64>| {
            let both = [method(false, mean.clone()), method(true, ensemble)];
            comparisons(&both).unwrap().remove(0)
        };
        let clear = of(worse);
        assert!(clear.interval.lower > 0.0 && clear.in_words().contains("the mean pass is better"));
        assert!(
            clear
                .in_words()
                .starts_with("MSE of the ensemble minus that of the mean pass: 0.5000")
        );
        assert!(of(mixed).in_words().contains("no difference beyond chance"));
        assert!(comparisons(&[method(false, mean.clone())]).unwrap().is_empty());
    }

    #[test]
    fn methods_that_rows_do_not_tell_apart_are_said_to_be_so() {
        let mean: Vec<f64> = (0..40).map(|row| f64::from(row % 5)).collect();
        let on = |ensemble: Vec<f64>| {
            let both = [method(false, mean.clone()), method(true, ensemble)];
            MethodsInUse::of(&both).unwrap().not_told_apart_on().unwrap()
        };
        let shifted = |by: fn(usize) -> f64| (0..40).map(|row| mean[row] + by(row)).collect();
        assert_eq!(on(shifted(|row| if row % 2 == 0 { 0.3 } else { -0.3 })), Some(40));
        assert_eq!(on(shifted(|_| 0.5)), None);
        assert_eq!(on(shifted(|_| -0.5)), None);
    }

    #[test]
    fn a_difference_that_rounds_to_zero_has_no_sign() {
        assert_eq!(
            (signed(-0.00004), signed(-0.0173)),
            ("0.0000".to_owned(), "-0.0173".to_owned())
        );
    }
}
