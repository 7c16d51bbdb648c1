//! Calibration error: is a class that is given 80 % right in 80 % of the cases?
//!
//! The *confidence* of a prediction is the probability of its top class. Examples are sorted by confidence into bins, and in each
//! bin the mean confidence is compared with the accuracy (Naeini et al. 2015, Guo et al. 2017):
//!
//! - expected calibration error `ECE = Σ_b n_b/n · |accuracy_b − confidence_b|`,
//! - maximum calibration error `MCE = max_b |accuracy_b − confidence_b|` over the bins that hold examples.
//!
//! Both are fractions (0.05 is five percentage points), and both depend on the bins. A value is only comparable with another of
//! the same [`Binning`], so the binning is printed beside it: [`Binning`] implements `Display`.

mod adaptive;
mod binning;
mod classwise;
mod reliability;
mod smooth;

pub use adaptive::AdaptiveCalibration;
pub use binning::{Binning, EdgeRule, MAXIMUM_BINS};
pub use classwise::ClasswiseCalibration;
pub use reliability::{ReliabilityBin, ReliabilityTable};
