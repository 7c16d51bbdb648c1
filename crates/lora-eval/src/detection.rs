//! Detection: does the model doubt what it should doubt? Out-of-scope queries against in-scope ones, another domain against the
//! one it was trained on, wrong answers against right ones.
//!
//! - **AUROC**: the chance that an out-of-scope example has more doubt than an in-scope one; equal doubts count half. 0.5 is
//!   chance, 1 is the best. It is the area under the ROC curve, whichever of the two is called positive.
//! - **FPR at 95 % TPR** (Liang, Li and Srikant 2018): a threshold of doubt accepts at least 95 % of the in-scope examples; the
//!   share of the out-of-scope examples that it lets through too. 0 is the best. In-scope is "positive" here; some papers take it
//!   the other way round, which gives another number.

use serde::{Deserialize, Serialize};

use crate::checks::{is_finite, require};
use crate::probabilities::ClassProbabilities;
use crate::regression::average_ranks;
use crate::softmax::top_class;
use crate::uncertainty::entropy;
use crate::{Average, EvalError, Predictions};

/// What doubt is measured by. Each grows with doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// One minus the probability of the top class, 0..1.
    Confidence,
    /// Entropy of the averaged probabilities, in nats.
    PredictiveEntropy,
    /// What the members disagree about, in nats: 0 everywhere for a single member.
    MutualInformation,
}

impl Doubt {
    /// Every measure.
    pub const ALL: [Self; 3] = [Self::Confidence, Self::PredictiveEntropy, Self::MutualInformation];

    /// Its name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confidence => "confidence",
            Self::PredictiveEntropy => "predictive_entropy",
            Self::MutualInformation => "mutual_information",
        }
    }
}

impl Predictions {
    /// The doubt `[examples]` of an ensemble whose members are averaged like this. Mutual information always speaks of averaged
    /// probabilities; see [`uncertainty`](Self::uncertainty).
    pub fn doubts(&self, doubt: Doubt, average: Average) -> Vec<f64> {
        match doubt {
            Doubt::Confidence => confidence_doubts(&self.average(average)),
            Doubt::PredictiveEntropy => self.average(average).rows().map(entropy).collect(),
            Doubt::MutualInformation => self
                .uncertainty()
                .iter()
                .map(|uncertainty| uncertainty.mutual_information)
                .collect(),
        }
    }
}

/// One minus the probability of the top class `[examples]`.
pub fn confidence_doubts(probabilities: &ClassProbabilities) -> Vec<f64> {
    probabilities
        .rows()
        .map(|row| 1.0 - row[top_class(row)])
        .collect()
}

/// How well doubt separates two kinds of examples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectionScores {
    /// In-scope examples.
    pub in_scope: usize,
    /// Out-of-scope examples.
    pub out_of_scope: usize,
    /// Area under the ROC curve.
    pub auroc: f64,
    /// Share of the out-of-scope examples among the accepted when 95 % of the in-scope ones are.
    pub fpr_at_95_tpr: f64,
}

/// Gathers doubts of both kinds, batch by batch.
///
/// ```
/// use lora_eval::detection::Detection;
/// let mut detection = Detection::new();
/// for (doubt, out_of_scope) in [(0.1, false), (0.4, false), (0.4, true), (0.9, true)] {
///     detection.update(doubt, out_of_scope)?;
/// }
/// // Of the four pairs three are in order and one is a tie.
/// assert_eq!(detection.auroc()?, 3.5 / 4.0);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Detection {
    in_scope: Vec<f64>,
    out_of_scope: Vec<f64>,
}

impl Detection {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The doubts of both kinds.
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn of(in_scope: &[f64], out_of_scope: &[f64]) -> Result<Self, EvalError> {
        let mut detection = Self::new();
        in_scope
            .iter()
            .try_for_each(|doubt| detection.update(*doubt, false))?;
        out_of_scope
            .iter()
            .try_for_each(|doubt| detection.update(*doubt, true))?;
        Ok(detection)
    }

    /// Adds one example: any number that grows with doubt, and whether the example is out of scope.
    ///
    /// # Errors
    /// [`EvalError::ValueNotFinite`] for NaN or infinity.
    pub fn update(&mut self, doubt: f64, out_of_scope: bool) -> Result<(), EvalError> {
        let side = if out_of_scope {
            &mut self.out_of_scope
        } else {
            &mut self.in_scope
        };
        is_finite("doubt", side.len(), doubt)?;
        // −0 and 0 are the same doubt.
        side.push(doubt + 0.0);
        Ok(())
    }

    /// Adds the examples of another.
    pub fn merge(&mut self, other: &Self) {
        self.in_scope.extend_from_slice(&other.in_scope);
        self.out_of_scope.extend_from_slice(&other.out_of_scope);
    }

    /// Area under the ROC curve, 0..=1: from the rank sum of the out-of-scope examples (Mann and Whitney 1947).
    ///
    /// # Errors
    /// [`EvalError::KindMissing`] without examples of both kinds.
    pub fn auroc(&self) -> Result<f64, EvalError> {
        self.check_kinds("AUROC")?;
        let all: Vec<f64> = self.out_of_scope.iter().chain(&self.in_scope).copied().collect();
        let outer = self.out_of_scope.len() as f64;
        let rank_sum: f64 = average_ranks(&all)[..self.out_of_scope.len()].iter().sum();
        // Ranks are halves of integers: this is exact up to the division.
        Ok((rank_sum - outer * (outer + 1.0) / 2.0) / (outer * self.in_scope.len() as f64))
    }

    /// Share of the out-of-scope examples that are accepted by the strictest threshold which accepts at least the share `accepted`
    /// of the in-scope ones. An example is accepted if its doubt is at most the threshold.
    ///
    /// # Errors
    /// [`EvalError::OutOfRange`] unless `0 < accepted <= 1`, [`EvalError::KindMissing`] without examples of both kinds.
    pub fn false_positive_rate_at(&self, accepted: f64) -> Result<f64, EvalError> {
        let holds = accepted > 0.0 && accepted <= 1.0;
        require(holds, "the true-positive rate", accepted, "above 0 and at most 1")?;
        self.check_kinds("FPR at a true-positive rate")?;
        let mut in_scope = self.in_scope.clone();
        in_scope.sort_unstable_by(f64::total_cmp);
        // The smallest count whose share reaches `accepted`, by the very division that gives a rate.
        let count = in_scope.len() as f64;
        let enough = in_scope
            .iter()
            .zip(1_u64..)
            .find(|(_, place)| *place as f64 / count >= accepted);
        let threshold = enough.map_or(in_scope[in_scope.len() - 1], |(doubt, _)| *doubt);
        let through = self
            .out_of_scope
            .iter()
            .filter(|doubt| **doubt <= threshold)
            .count();
        Ok(through as f64 / self.out_of_scope.len() as f64)
    }

    /// Both scores.
    ///
    /// # Errors
    /// [`EvalError::KindMissing`] without examples of both kinds.
    pub fn scores(&self) -> Result<DetectionScores, EvalError> {
        Ok(DetectionScores {
            in_scope: self.in_scope.len(),
            out_of_scope: self.out_of_scope.len(),
            auroc: self.auroc()?,
            fpr_at_95_tpr: self.false_positive_rate_at(0.95)?,
        })
    }

    fn check_kinds(&self, metric: &'static str) -> Result<(), EvalError> {
        let missing = match (self.in_scope.is_empty(), self.out_of_scope.is_empty()) {
            (false, false) => return Ok(()),
            (true, _) => "in-scope examples",
            (false, true) => "out-of-scope examples",
        };
        Err(EvalError::KindMissing { metric, missing })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn perfect_and_useless_doubt_have_their_known_scores() {
        let perfect = Detection::of(&[0.1, 0.2, 0.3], &[0.4, 0.5])
            .unwrap()
            .scores()
            .unwrap();
        assert_eq!((perfect.auroc, perfect.fpr_at_95_tpr), (1.0, 0.0));
        let useless = Detection::of(&[0.3; 4], &[0.3; 7]).unwrap().scores().unwrap();
        assert_eq!((useless.auroc, useless.fpr_at_95_tpr), (0.5, 1.0));
    }

    #[test]
    fn the_threshold_accepts_at_least_the_share_asked_for() {
        // 20 in-scope doubts 1..=20: 95 % are 19 of them, so everything up to 19 is accepted.
        let in_scope: Vec<f64> = (1..=20).map(f64::from).collect();
        let detection = Detection::of(&in_scope, &[18.5, 19.0, 19.5, 30.0]).unwrap();
        assert_eq!(detection.false_positive_rate_at(0.95).unwrap(), 0.5);
        assert_eq!(detection.false_positive_rate_at(1.0).unwrap(), 0.75);
    }

    #[test]
    fn mutual_information_finds_what_entropy_cannot() {
        // In scope both members are undecided; out of scope they contradict each other.
        let in_scope = Predictions::new(2, 1, 2, vec![0.0, 0.0, 0.0, 0.0]).unwrap();
        let outside = Predictions::new(2, 1, 2, vec![3.0, 0.0, 0.0, 3.0]).unwrap();
        let auroc = |doubt| {
            let of = |predictions: &Predictions| predictions.doubts(doubt, Average::Probabilities);
            Detection::of(&of(&in_scope), &of(&outside))
                .unwrap()
                .auroc()
                .unwrap()
        };
        assert_eq!(auroc(Doubt::MutualInformation), 1.0);
        assert!(auroc(Doubt::PredictiveEntropy) <= 0.5 && auroc(Doubt::Confidence) <= 0.5);
    }

    #[test]
    fn one_kind_alone_has_no_score() {
        let detection = Detection::of(&[0.1], &[]).unwrap();
        let missing = "out-of-scope examples";
        let metric = "AUROC";
        assert_eq!(detection.auroc(), Err(EvalError::KindMissing { metric, missing }));
        assert!(Detection::of(&[], &[0.1]).unwrap().scores().is_err());
        assert!(Detection::of(&[f64::INFINITY], &[0.1]).is_err());
    }
}
