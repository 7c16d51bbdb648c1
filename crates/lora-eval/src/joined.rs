//! Deep ensembles: the outputs of independently trained models, as the members of one ensemble.
//!
//! Lakshminarayanan et al. 2017 (arXiv 1612.01474). The members are models that differ in their seed, or in anything else; what
//! they must share is the rows, in one order, and the meaning of their outputs.

use crate::checks::none_of;
use crate::ensemble::ModelOutputs;
use crate::{EvalError, Predictions};

impl Predictions {
    /// All members of all predictions, in their order, as one ensemble.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without predictions, [`EvalError::PartsDiffer`] if they differ in examples or classes,
    /// [`EvalError::TemperaturesDiffer`] if they differ in temperature: fit one for the whole ensemble.
    pub fn joined(parts: &[Self]) -> Result<Self, EvalError> {
        if let Some(first) = parts.first() {
            for (part, predictions) in parts.iter().enumerate() {
                if predictions.temperature() != first.temperature() {
                    return Err(EvalError::TemperaturesDiffer {
                        part,
                        expected: first.temperature(),
                        found: predictions.temperature(),
                    });
                }
            }
        }
        let temperature = parts.first().map_or(1.0, Self::temperature);
        let outputs = ModelOutputs::joined(parts.iter().map(|part| ModelOutputs {
            members: part.members(),
            examples: part.examples(),
            outputs: part.classes(),
            values: part.logits().to_vec(),
        }))?;
        outputs.into_predictions()?.with_temperature(temperature)
    }
}

impl ModelOutputs {
    /// All members of all predictions, in their order.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without predictions, [`EvalError::PartsDiffer`] if they differ in examples or outputs.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Result<Self, EvalError> {
        let mut parts = parts.into_iter();
        let mut joined = parts.next().ok_or(none_of("members"))?;
        for (index, part) in parts.enumerate() {
            let axes = [
                ("examples", joined.examples, part.examples),
                ("classes", joined.outputs, part.outputs),
            ];
            if let Some((axis, expected, found)) =
                axes.into_iter().find(|(_, expected, found)| expected != found)
            {
                return Err(EvalError::PartsDiffer {
                    part: index + 1,
                    axis,
                    expected,
                    found,
                });
            }
            joined.members += part.members;
            joined.values.extend(part.values);
        }
        Ok(joined)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// So many members, three examples, two classes, counting up from a start.
    fn counting(members: usize, start: f32) -> Predictions {
        let logits = (0_u8..).take(members * 6).map(|value| f32::from(value) + start);
        Predictions::new(members, 3, 2, logits.collect()).unwrap()
    }

    #[test]
    fn a_joined_ensemble_has_the_members_of_its_parts_in_their_order() {
        let parts = [counting(1, 0.5), counting(2, 90.0), counting(1, 40.0)];
        let joined = Predictions::joined(&parts).unwrap();
        assert_eq!((joined.members(), joined.examples(), joined.classes()), (4, 3, 2));
        assert_eq!(joined.member(0).unwrap(), parts[0]);
        assert_eq!(joined.member(2).unwrap(), parts[1].member(1).unwrap());
        assert_eq!(joined.member(3).unwrap(), parts[2]);
    }

    #[test]
    fn parts_about_other_rows_or_classes_are_refused_by_number() {
        let other_rows = Predictions::new(1, 2, 2, vec![0.5; 4]).unwrap();
        let other_classes = Predictions::new(1, 3, 4, vec![0.5; 12]).unwrap();
        for (other, axis, expected, found) in
            [(other_rows, "examples", 3, 2), (other_classes, "classes", 2, 4)]
        {
            let error = Predictions::joined(&[counting(1, 0.0), counting(1, 1.0), other]).unwrap_err();
            let refused = EvalError::PartsDiffer {
                part: 2,
                axis,
                expected,
                found,
            };
            assert_eq!(error, refused);
        }
    }

    #[test]
    fn nothing_and_parts_of_different_temperature_are_refused() {
        assert!(matches!(
            Predictions::joined(&[]),
            Err(EvalError::AxisTooShort { axis: "members", .. })
        ));
        let warm = counting(1, 1.0).with_temperature(2.0).unwrap();
        assert!(matches!(
            Predictions::joined(&[counting(1, 0.0), warm.clone()]),
            Err(EvalError::TemperaturesDiffer { part: 1, .. })
        ));
        let both = Predictions::joined(&[warm.clone(), warm]).unwrap();
        assert!((both.temperature() - 2.0).abs() < f64::EPSILON);
    }
}
