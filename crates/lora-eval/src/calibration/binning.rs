//! Equal-width bins over the confidences 0 to 1, and which bin a confidence on an edge belongs to.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EvalError;

/// The most bins that a [`Binning`] may have. Beyond it a bin says nothing, and a mistyped number must not fill the memory.
pub const MAXIMUM_BINS: usize = 10_000;

/// [`EvalError::BinCount`] for no bins, or more than [`MAXIMUM_BINS`].
pub(super) fn check_bins(found: usize) -> Result<(), EvalError> {
    if (1..=MAXIMUM_BINS).contains(&found) {
        return Ok(());
    }
    let maximum = MAXIMUM_BINS;
    Err(EvalError::BinCount { found, maximum })
}

/// Which bin a confidence exactly on an edge belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeRule {
    /// `(lower, upper]`, as in Guo et al. 2017. The first bin also takes a confidence of exactly 0.
    #[default]
    LeftOpen,
    /// `[lower, upper)`. The last bin also takes a confidence of exactly 1.
    LeftClosed,
    /// What torchmetrics computes: `[lower, upper)`, and a confidence of exactly 1 goes into one *extra* bin of its own.
    ///
    /// Confidence and edges are compared in single precision, as torchmetrics does. Its edges come from `torch.linspace`, whose
    /// last bit depends on whether the processor fuses multiplication and addition; we take the fused value, which is what
    /// every x86 processor since 2013 gives.
    Torchmetrics,
}

/// Equal-width bins over 0..=1.
///
/// ```
/// use lora_eval::calibration::{Binning, EdgeRule};
/// assert_eq!(Binning::default(), Binning { bins: 15, edges: EdgeRule::LeftOpen });
/// assert_eq!(Binning::default().to_string(), "15 bins (lo,hi]");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binning {
    /// How many bins; 1 to [`MAXIMUM_BINS`].
    pub bins: usize,
    /// Which bin an edge belongs to.
    pub edges: EdgeRule,
}

impl Default for Binning {
    /// 15 bins, `(lower, upper]`.
    fn default() -> Self {
        Self {
            bins: 15,
            edges: EdgeRule::LeftOpen,
        }
    }
}

impl Binning {
    /// The binning of `torchmetrics.classification.MulticlassCalibrationError(n_bins=bins)`; see [`EdgeRule::Torchmetrics`].
    pub fn torchmetrics(bins: usize) -> Self {
        Self {
            bins,
            edges: EdgeRule::Torchmetrics,
        }
    }

    /// The `bins + 1` edges from 0 to 1, ascending.
    ///
    /// # Errors
    /// [`EvalError::BinCount`] for no bins or more than [`MAXIMUM_BINS`].
    pub fn edges(&self) -> Result<Vec<f64>, EvalError> {
        check_bins(self.bins)?;
        let edge = |index: usize| match self.edges {
            EdgeRule::LeftOpen | EdgeRule::LeftClosed => index as f64 / self.bins as f64,
            EdgeRule::Torchmetrics => self.single_precision_edge(index),
        };
        Ok((0..=self.bins).map(edge).collect())
    }

    /// How many bins a table of this binning has: one more than `bins` under [`EdgeRule::Torchmetrics`].
    pub(super) fn bin_count(&self) -> usize {
        self.bins + usize::from(self.edges == EdgeRule::Torchmetrics)
    }

    /// The bin of a confidence in 0..=1, given this binning's [`edges`](Self::edges).
    pub(super) fn bin_of(&self, confidence: f64, edges: &[f64]) -> usize {
        match self.edges {
            EdgeRule::LeftOpen => edges.partition_point(|&edge| edge < confidence).saturating_sub(1),
            EdgeRule::LeftClosed => {
                (edges.partition_point(|&edge| edge <= confidence) - 1).min(self.bins - 1)
            }
            EdgeRule::Torchmetrics => {
                let confidence = f64::from(confidence as f32);
                edges.partition_point(|&edge| edge <= confidence) - 1
            }
        }
    }

    /// `torch.linspace(0, 1, bins + 1)[index]` in single precision: a rounded step, counted up from 0 in the lower half and down
    /// from 1 in the upper half, each with one rounding. The `f64` products are exact (24 bits times at most 14), so the
    /// conversion to `f32` is that one rounding.
    fn single_precision_edge(&self, index: usize) -> f64 {
        let step = f64::from(1.0_f32 / self.bins as f32);
        let edge = if index < self.bins.div_ceil(2) {
            step * index as f64
        } else {
            1.0 - step * (self.bins - index) as f64
        };
        f64::from(edge as f32)
    }
}

impl fmt::Display for Binning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.edges {
            EdgeRule::LeftOpen => "(lo,hi]",
            EdgeRule::LeftClosed => "[lo,hi)",
            EdgeRule::Torchmetrics => "[lo,hi), 1 apart, as torchmetrics",
        };
        let noun = if self.bins == 1 { "bin" } else { "bins" };
        write!(formatter, "{} {noun} {rule}", self.bins)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn bin(binning: Binning, confidence: f64) -> usize {
        binning.bin_of(confidence, &binning.edges().unwrap())
    }

    #[test]
    fn an_edge_goes_below_when_left_open_and_above_when_left_closed() {
        let open = Binning {
            bins: 4,
            edges: EdgeRule::LeftOpen,
        };
        let closed = Binning {
            bins: 4,
            edges: EdgeRule::LeftClosed,
        };
        assert_eq!((bin(open, 0.5), bin(closed, 0.5)), (1, 2));
        assert_eq!((bin(open, 0.6), bin(closed, 0.6)), (2, 2));
        assert_eq!((bin(open, 0.75), bin(closed, 0.75)), (2, 3));
    }

    #[test]
    fn zero_and_one_always_have_a_bin() {
        for bins in [1, 2, 15] {
            let open = Binning {
                bins,
                edges: EdgeRule::LeftOpen,
            };
            let closed = Binning {
                bins,
                edges: EdgeRule::LeftClosed,
            };
            assert_eq!((bin(open, 0.0), bin(open, 1.0)), (0, bins - 1));
            assert_eq!((bin(closed, 0.0), bin(closed, 1.0)), (0, bins - 1));
        }
    }

    #[test]
    fn torchmetrics_puts_exactly_one_into_an_extra_bin() {
        let binning = Binning::torchmetrics(15);
        assert_eq!(binning.bin_count(), 16);
        assert_eq!(bin(binning, 1.0), 15);
        // 1 − 1e−9 is 1 in single precision, 1 − 1e−7 is not.
        assert_eq!(bin(binning, 1.0 - 1e-9), 15);
        assert_eq!(bin(binning, 1.0 - 1e-7), 14);
    }

    #[test]
    fn no_bins_and_absurdly_many_are_refused() {
        for bins in [0, MAXIMUM_BINS + 1] {
            let error = Binning {
                bins,
                edges: EdgeRule::LeftOpen,
            }
            .edges()
            .unwrap_err();
            assert_eq!(
                error,
                EvalError::BinCount {
                    found: bins,
                    maximum: MAXIMUM_BINS
                }
            );
        }
    }
}
