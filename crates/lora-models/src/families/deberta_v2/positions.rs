//! Where a token stands from another, as a row of the table of relative positions (DeBERTa, arXiv 2006.03654, section 3.1;
//! logarithmic buckets: DeBERTa-v3's released code).

/// How distances become rows of a table of `2 · span` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelativePositions {
    /// Half the number of rows: the number of buckets, or of distances where there are no buckets.
    pub span: usize,
    /// The largest distance told apart from a larger one; `None` without buckets.
    pub bucketed_to: Option<usize>,
}

impl RelativePositions {
    /// The row for every pair of places: that of `bucket(i − j) + span`, held within the table.
    ///
    /// # Shapes
    ///
    /// - output: `seq · seq`, row i for the query at place i, column j for the key at place j
    pub fn rows(self, seq: usize) -> Vec<i32> {
        let span = self.span as i64;
        let places = 0..seq as i64;
        let pairs = places.clone().flat_map(|i| places.clone().map(move |j| i - j));
        pairs
            .map(|distance| {
                let bucket = match self.bucketed_to {
                    Some(largest) => log_bucket(distance, self.span, largest),
                    None => distance,
                };
                (bucket.clamp(-span, span - 1) + span) as i32
            })
            .collect()
    }
}

/// Distances up to half the number of buckets have a bucket each; beyond, buckets widen with the logarithm until the last
/// one ends at `largest`. In f32, as the reference rounds.
fn log_bucket(distance: i64, buckets: usize, largest: usize) -> i64 {
    let half = (buckets / 2) as i64;
    if distance.abs() <= half {
        return distance;
    }
    let middle = half as f32;
    let growth = (distance.abs() as f32 / middle).ln() / ((largest as f32 - 1.0) / middle).ln();
    let beyond = (growth * (middle - 1.0)).ceil() + middle;
    distance.signum() * beyond as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_a_bucket_each_and_far_ones_share_by_the_logarithm() {
        // 8 buckets to distance 40: half is 4; beyond, ceil(3 ln(d/4) / ln(39/4)) + 4, with 3 / ln 9.75 = 1.3173.
        // d = 5: 1.3173 · 0.2231 = 0.29 → 5; d = 8: 0.91 → 5; d = 9: 1.07 → 6; d = 18: 1.98 → 6; d = 19: 2.05 → 7.
        let buckets = [0, 3, 4, 5, 8, 9, 18, 19, 39].map(|distance| log_bucket(distance, 8, 40));
        assert_eq!(buckets, [0, 3, 4, 5, 5, 6, 6, 7, 7]);
    }

    #[test]
    fn buckets_are_odd_in_the_distance() {
        for distance in 0..600 {
            assert_eq!(log_bucket(-distance, 256, 512), -log_bucket(distance, 256, 512));
        }
    }

    #[test]
    fn rows_stay_within_the_table() {
        for bucketed_to in [None, Some(12)] {
            let positions = RelativePositions { span: 4, bucketed_to };
            let rows = positions.rows(30);
            assert_eq!(rows.len(), 900);
            assert!(rows.iter().all(|row| (0..8).contains(row)));
            assert_eq!(
                (rows[0], rows[1], rows[30]),
                (4, 3, 5),
                "same place, key after, key before"
            );
        }
    }
}
