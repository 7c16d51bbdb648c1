//! Prediction sets with a stated coverage: conformal prediction.
//!
//! A classifier's probabilities promise nothing. Its errors on rows that it was not trained on do: take as many classes as were needed
//! to hold the true one in 90 % of such rows, and the sets of new rows of the same kind hold it in 90 % of the cases, however wrong the
//! probabilities are (Vovk et al. 2005; [Angelopoulos & Bates, 2107.07511](https://arxiv.org/abs/2107.07511)).
//!
//! 1. A [`ConformityScore`] says how badly a class fits a row's probabilities.
//! 2. [`ConformalScores`] are those of the true classes on validation rows.
//! 3. [`ConformalThresholds`] are their quantile for a coverage, over all rows or in each class.
//! 4. [`PredictionSets`] hold the classes of a new row that fit no worse; [`SetScores`] say how often they hold the true class, and how
//!    large they are.
//!
//! The promise is `coverage ≤ P(true class in the set) < coverage + 1/(n + 1)` (the right side without ties), over the choice of the `n`
//! validation rows and of the new row, if all of them come in an order that says nothing (are exchangeable). It is about rows on average,
//! not about each kind of row; thresholds by class promise it for each class. The validation rows at hand may keep more or less than the mean
//! over all choices of them: [`coverage_interval`] says how much.
//!
//! ```
//! use lora_eval::ClassProbabilities;
//! use lora_eval::conformal::{ConformalScores, ConformityScore};
//! // Ten validation rows; in the last one the true class 1 has a probability of 0.25.
//! let validation = ClassProbabilities::new(10, 2, [0.75, 0.25].repeat(10))?;
//! let labels = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
//! let scores = ConformalScores::of(&validation, &labels, ConformityScore::Lac, None)?;
//! let new = ClassProbabilities::new(2, 2, vec![0.9, 0.1, 0.6, 0.4])?;
//! // The ninth smallest of ten scores holds 80 %, the tenth 90 %.
//! let sets = scores.thresholds(0.8, false)?.sets(&new)?;
//! assert_eq!(sets.of_row(0), [0]);
//! assert_eq!(sets.of_row(1), [0_usize; 0]);
//! assert_eq!(scores.thresholds(0.9, false)?.sets(&new)?.of_row(1), [0, 1]);
//! // For 95 % no ten rows are enough.
//! assert!(scores.thresholds(0.95, false).is_err());
//! # Ok::<(), lora_eval::EvalError>(())
//! ```

mod score;
mod sets;
mod spread;
mod thresholds;

pub use score::ConformityScore;
pub use sets::{ClassSetScores, PredictionSets, SetScores};
pub use spread::coverage_interval;
pub use thresholds::{ConformalScores, ConformalThresholds, fewest_rows};
