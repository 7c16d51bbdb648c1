//! Outputs of an ensemble for a set of examples: logits of every member, and the average over members.

mod average;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

pub use self::average::Average;
use crate::EvalError;
use crate::probabilities::check_axes;
use crate::softmax::softmax;

/// The temperatures that logits may be divided by. Wide, but never so small that a finite logit becomes infinite.
pub const TEMPERATURES: RangeInclusive<f64> = 1e-6..=1e6;

/// Logits `[members, examples, classes]`, row-major, and the temperature they are divided by.
///
/// A plain model is an ensemble of one member. The invariants (every value finite, at least one member, one example and two
/// classes) are checked when it is built, also when it is read by serde.
///
/// ```
/// use lora_eval::{Average, Predictions};
/// // Two members, one example, two classes: one member is sure, the other undecided.
/// let predictions = Predictions::new(2, 1, 2, vec![3.0_f32.ln(), 0.0, 0.0, 0.0])?;
/// let average = predictions.average(Average::Probabilities);
/// assert!((average.row(0)[0] - (0.75 + 0.5) / 2.0).abs() < 1e-7);
/// # Ok::<(), lora_eval::EvalError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedPredictions")]
pub struct Predictions {
    members: usize,
    examples: usize,
    classes: usize,
    temperature: f64,
    logits: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedPredictions {
    members: usize,
    examples: usize,
    classes: usize,
    temperature: f64,
    logits: Vec<f32>,
}

impl TryFrom<UncheckedPredictions> for Predictions {
    type Error = EvalError;

    fn try_from(unchecked: UncheckedPredictions) -> Result<Self, EvalError> {
        let UncheckedPredictions {
            members,
            examples,
            classes,
            temperature,
            logits,
        } = unchecked;
        Self::new(members, examples, classes, logits)?.with_temperature(temperature)
    }
}

impl Predictions {
    /// Checks and takes `logits` `[members, examples, classes]`, row-major, at temperature 1.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without members or examples or with fewer than two classes, [`EvalError::ValueCount`] for
    /// another number of values, [`EvalError::LogitNotFinite`] for NaN or infinity.
    pub fn new(members: usize, examples: usize, classes: usize, logits: Vec<f32>) -> Result<Self, EvalError> {
        let axes = [
            ("members", members, 1),
            ("examples", examples, 1),
            ("classes", classes, 2),
        ];
        check_axes("logits", &axes, logits.len())?;
        if let Some(index) = logits.iter().position(|logit| !logit.is_finite()) {
            return Err(EvalError::LogitNotFinite {
                member: index / (examples * classes),
                example: index / classes % examples,
                class: index % classes,
                value: logits[index],
            });
        }
        Ok(Self {
            members,
            examples,
            classes,
            temperature: 1.0,
            logits,
        })
    }

    /// The same logits, from now on divided by `temperature` in every member before anything else. It replaces the temperature
    /// that was set before; above 1 softens, below 1 sharpens.
    ///
    /// # Errors
    /// [`EvalError::Temperature`] unless it lies in [`TEMPERATURES`].
    pub fn with_temperature(mut self, temperature: f64) -> Result<Self, EvalError> {
        if !TEMPERATURES.contains(&temperature) {
            let (minimum, maximum) = (*TEMPERATURES.start(), *TEMPERATURES.end());
            return Err(EvalError::Temperature {
                found: temperature,
                minimum,
                maximum,
            });
        }
        self.temperature = temperature;
        Ok(self)
    }

    /// The probabilities `[classes]` that one member gives one example.
    ///
    /// # Panics
    /// If `member` or `example` is out of range.
    pub fn member_probabilities(&self, member: usize, example: usize) -> Vec<f64> {
        softmax(&self.scaled_logits(member, example))
    }

    /// One member as an ensemble of its own.
    ///
    /// # Errors
    /// [`EvalError::MemberOutOfRange`] unless `member < members`.
    pub fn member(&self, member: usize) -> Result<Self, EvalError> {
        if member >= self.members {
            return Err(EvalError::MemberOutOfRange {
                what: "the member with index",
                found: member,
                members: self.members,
                minimum: 0,
                maximum: self.members - 1,
            });
        }
        Ok(self.members_from(member, 1))
    }

    /// The ensemble of the first `count` members: the outputs of the ensemble had it stopped there.
    ///
    /// # Errors
    /// [`EvalError::MemberOutOfRange`] unless `1 <= count <= members`.
    pub fn first_members(&self, count: usize) -> Result<Self, EvalError> {
        if !(1..=self.members).contains(&count) {
            return Err(EvalError::MemberOutOfRange {
                what: "a number of first members of",
                found: count,
                members: self.members,
                minimum: 1,
                maximum: self.members,
            });
        }
        Ok(self.members_from(0, count))
    }

    /// How many members.
    pub fn members(&self) -> usize {
        self.members
    }

    /// How many examples.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// How many classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// What the logits are divided by; 1 unless [`with_temperature`](Self::with_temperature) set another.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The logits `[members, examples, classes]` as they were given, not divided by the temperature.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    fn members_from(&self, first: usize, members: usize) -> Self {
        let member_size = self.examples * self.classes;
        let logits = self.logits[first * member_size..][..members * member_size].to_vec();
        Self {
            members,
            logits,
            ..*self
        }
    }

    /// The logits `[classes]` that one member gives one example, divided by the temperature.
    pub(crate) fn scaled_logits(&self, member: usize, example: usize) -> Vec<f64> {
        assert!(
            member < self.members && example < self.examples,
            "member or example out of range"
        );
        let row = &self.logits[(member * self.examples + example) * self.classes..][..self.classes];
        row.iter()
            .map(|logit| f64::from(*logit) / self.temperature)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// Three members, two examples, two classes; the logits count up in steps of 1/8, so that every row differs by 1/8 inside.
    fn counting() -> Predictions {
        Predictions::new(3, 2, 2, (0_u8..12).map(|value| f32::from(value) / 8.0).collect()).unwrap()
    }

    #[test]
    fn temperatures_that_are_not_positive_or_absurd_are_refused() {
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            let error = counting().with_temperature(temperature).unwrap_err();
            assert!(matches!(error, EvalError::Temperature { .. }), "{error}");
        }
    }

    #[test]
    fn the_first_members_and_a_single_member_keep_their_logits() {
        let predictions = counting().with_temperature(2.0).unwrap();
        assert_eq!(
            predictions.first_members(2).unwrap().logits(),
            &predictions.logits()[..8]
        );
        let last = predictions.member(2).unwrap();
        assert_eq!((last.members(), last.logits()), (1, &predictions.logits()[8..]));
        assert!((last.temperature() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn members_that_the_ensemble_does_not_have_are_refused() {
        for count in [0, 4] {
            let error = counting().first_members(count).unwrap_err();
            assert!(
                matches!(
                    error,
                    EvalError::MemberOutOfRange {
                        minimum: 1,
                        maximum: 3,
                        ..
                    }
                ),
                "{error}"
            );
        }
        assert!(matches!(
            counting().member(3),
            Err(EvalError::MemberOutOfRange { maximum: 2, .. })
        ));
    }

    #[test]
    fn a_diverged_logit_is_refused_by_place() {
        let mut logits = vec![0.5; 12];
        logits[9] = f32::NAN;
        let error = Predictions::new(2, 3, 2, logits).unwrap_err();
        assert!(
            matches!(
                error,
                EvalError::LogitNotFinite {
                    member: 1,
                    example: 1,
                    class: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_number_of_logits_is_refused_even_when_the_product_overflows() {
        assert!(matches!(
            Predictions::new(2, 3, 2, vec![0.5; 11]),
            Err(EvalError::ValueCount {
                expected: 12,
                found: 11,
                ..
            })
        ));
        assert!(Predictions::new(usize::MAX, 3, 2, vec![0.5; 11]).is_err());
        assert!(matches!(
            Predictions::new(0, 3, 2, vec![]),
            Err(EvalError::AxisTooShort { axis: "members", .. })
        ));
    }

    #[test]
    fn predictions_survive_json_bit_for_bit_and_lies_do_not() {
        let predictions = counting().with_temperature(1.5).unwrap();
        let text = serde_json::to_string(&predictions).unwrap();
        assert_eq!(serde_json::from_str::<Predictions>(&text).unwrap(), predictions);
        let lie = text.replace("\"examples\":2", "\"examples\":3");
        assert!(serde_json::from_str::<Predictions>(&lie).is_err());
    }
}
