//! Which methods are beaten by no other in both of two scores? The Pareto front.

use crate::rank_table::Direction;

/// For each point, whether it is on the front: no other is at least as good in both scores and better in one. A point that is not
/// finite never is; equal points are on it together.
///
/// ```
/// use lora_eval::pareto::front;
/// use lora_eval::rank_table::Direction;
/// // Calibration error and accuracy.
/// let points = [[0.05, 0.80], [0.10, 0.85], [0.10, 0.80], [0.02, 0.60]];
/// assert_eq!(front(&points, [Direction::Minimize, Direction::Maximize]), [true, true, false, true]);
/// ```
pub fn front(points: &[[f64; 2]], better: [Direction; 2]) -> Vec<bool> {
    // From here on smaller is better.
    let signed = |point: &[f64; 2]| {
        let sign = better.map(|better| if better == Direction::Maximize { -1.0 } else { 1.0 });
        [point[0] * sign[0], point[1] * sign[1]]
    };
    let costs: Vec<[f64; 2]> = points.iter().map(signed).collect();
    let beats = |one: &[f64; 2], other: &[f64; 2]| {
        one[0] <= other[0] && one[1] <= other[1] && (one[0] < other[0] || one[1] < other[1])
    };
    let is_on = |point: &[f64; 2]| {
        point.iter().all(|cost| cost.is_finite()) && !costs.iter().any(|other| beats(other, point))
    };
    costs.iter().map(is_on).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_finite_is_never_on_the_front() {
        let points = [[f64::NAN, 0.0], [0.5, 0.5], [f64::INFINITY, 0.1]];
        assert_eq!(front(&points, [Direction::Minimize; 2]), [false, true, false]);
        assert!(front(&[], [Direction::Minimize; 2]).is_empty());
    }

    proptest! {
        #[test]
        fn the_best_in_one_score_is_on_the_front_and_whoever_is_not_is_beaten_by_one_who_is(
            points in prop::collection::vec([0_i8..6, 0_i8..6].prop_map(|point| point.map(f64::from)), 1..12),
        ) {
            let on = front(&points, [Direction::Minimize, Direction::Maximize]);
            prop_assert!(on.contains(&true));
            for (point, is_on) in points.iter().zip(&on) {
                let beaten = points.iter().zip(&on).any(|(other, other_on)| {
                    *other_on && other[0] <= point[0] && other[1] >= point[1] && other != point
                });
                prop_assert_eq!(*is_on, !beaten);
            }
        }
    }
}
