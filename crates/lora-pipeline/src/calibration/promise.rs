//! How far prediction sets may be from the coverage that they are made for, because validation rows are few.

use lora_core::peft::EnsembleSettings;
use lora_eval::conformal::{coverage_interval, fewest_rows};
use serde::Serialize;

use super::{Calibrated, CalibrationFile, SetRequest};
use crate::counted::counted;
use crate::error::Result;

/// Share of the choices of validation rows for which an interval holds.
const LEVEL: f64 = 0.95;
/// So far below the coverage that was asked for an interval may begin without a caution.
const TOLERATED: f64 = 0.05;
/// The coverage that is spoken of where nobody has asked for one.
const DEFAULT_COVERAGE: f64 = 0.9;

/// What validation rows promise of the sets that rest on them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CoveragePromise {
    /// The coverage that was asked for: the least mean over all choices of validation rows.
    pub coverage: f64,
    /// Validation rows behind a threshold: with one for each class, those of the class that has the fewest.
    pub rows: usize,
    /// That class.
    pub class: Option<String>,
    /// Between which two shares the coverage of the sets of these very rows lies, with probability 95 %.
    pub interval: [f64; 2],
}

impl SetRequest {
    /// What the validation rows of an adapter folder promise of these sets.
    ///
    /// # Errors
    ///
    /// As [`SetRequest::thresholds`].
    pub fn promise(
        &self,
        calibrated: Calibrated<'_>,
        ensemble: Option<EnsembleSettings>,
    ) -> Result<CoveragePromise> {
        let labels = calibrated.labels("--coverage")?;
        let scores = self.scores(calibrated, ensemble)?;
        let fewest = scores
            .rows_by_class()
            .into_iter()
            .enumerate()
            .min_by_key(|(_, rows)| *rows);
        let (rows, class) = match fewest.filter(|_| self.per_class) {
            Some((class, rows)) => (rows, Some(labels.name(class).to_owned())),
            None => (scores.rows(), None),
        };
        Ok(CoveragePromise {
            coverage: self.coverage,
            rows,
            class,
            interval: coverage_interval(rows, self.coverage, LEVEL)?,
        })
    }
}

impl CalibrationFile {
    /// What its rows promise of sets for a coverage of 0.9; none where they are too few for it.
    pub fn promise(&self) -> Option<CoveragePromise> {
        let rows = self.validation_rows()?;
        let interval = coverage_interval(rows, DEFAULT_COVERAGE, LEVEL).ok()?;
        Some(CoveragePromise {
            coverage: DEFAULT_COVERAGE,
            rows,
            class: None,
            interval,
        })
    }

    /// Tells where its rows are too few for sets with a coverage of 0.9.
    pub fn refusal(&self) -> Option<String> {
        let rows = self.validation_rows()?;
        self.promise().is_none().then(|| {
            format!(
                "Prediction sets with a coverage of {DEFAULT_COVERAGE} are refused: they need at least {}, and this adapter has {rows}.",
                counted(fewest_rows(DEFAULT_COVERAGE), "validation row")
            )
        })
    }
}

impl CoveragePromise {
    /// What is promised, and what is not, in a sentence.
    pub fn in_words(&self) -> String {
        let of_class = self
            .class
            .as_ref()
            .map_or_else(String::new, |class| format!(" of the class `{class}`"));
        let [lower, upper] = self.interval;
        format!(
            "{} on average over all choices of validation rows; sets by these {}{of_class} hold the true class in {lower:.2} to {upper:.2} \
             of new texts like them (95 % interval over that choice)",
            self.coverage,
            counted(self.rows, "row"),
        )
    }

    /// The same as a warning, where the coverage may be far below what was asked for.
    pub fn caution(&self) -> Option<String> {
        (self.coverage - self.interval[0] > TOLERATED).then(|| {
            format!(
                "few validation rows make the coverage of prediction sets uncertain: {}; more validation rows narrow it",
                self.in_words()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_eval::ClassProbabilities;
    use lora_eval::conformal::{ConformalScores, ConformityScore};

    use super::super::MethodCalibration;
    use super::*;

    #[test]
    fn few_rows_come_with_a_caution_and_many_without() {
        let promise = |rows, interval| CoveragePromise {
            coverage: 0.9,
            rows,
            class: None,
            interval,
        };
        // Beta(19, 2) and Beta(901, 100), by SciPy.
        let said = promise(20, [0.7513, 0.9877]).caution().unwrap_or_default();
        assert!(
            said.contains("these 20 rows hold the true class in 0.75 to 0.99 of new texts"),
            "{said}"
        );
        assert_eq!(promise(1000, [0.8808, 0.9179]).caution(), None);
    }

    #[test]
    fn sets_are_refused_where_rows_are_too_few_for_any() {
        let refusal = |rows: usize| {
            let probabilities = ClassProbabilities::new(rows, 2, [0.75, 0.25].repeat(rows)).unwrap();
            let labels = vec![0; rows];
            let scores = ConformalScores::of(&probabilities, &labels, ConformityScore::Lac, None).unwrap();
            let mean = MethodCalibration {
                conformal: vec![scores],
                calibrators: Vec::new(),
            };
            let file = CalibrationFile {
                format: 1,
                mean,
                ensemble: None,
            };
            file.refusal().unwrap_or_default()
        };
        let said = refusal(8);
        assert!(
            said.contains("at least 9 validation rows, and this adapter has 8"),
            "{said}"
        );
        assert_eq!(refusal(9), "");
    }
}
