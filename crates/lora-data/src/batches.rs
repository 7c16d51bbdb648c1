//! Which rows go into which batch: seeded and bucketed by length for training, sorted by length for evaluation.

use rand::seq::SliceRandom;

use crate::seeded::{Purpose, generator};

/// Training batches of `batch_size` rows, the last one possibly smaller: [`TrainBatches`] with its defaults.
///
/// `lengths` is the number of tokens of each row. Every row is in exactly one batch. The same arguments give the same
/// batches on every machine; another epoch gives another order.
///
/// # Panics
/// When `batch_size` is 0.
pub fn train_batches(lengths: &[usize], batch_size: usize, seed: u64, epoch: u64) -> Vec<Vec<usize>> {
    TrainBatches::new(batch_size).plan(lengths, seed, epoch)
}

/// Evaluation batches: rows by falling length, so that padding is least and the largest batch, the one that may not
/// fit in memory, comes first. Every row is in exactly one batch; `Batch::rows` leads outputs back to their place.
///
/// # Panics
/// When `batch_size` is 0.
pub fn eval_batches(lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    assert!(batch_size > 0, "a batch needs at least one row");
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    sort_by_length(&mut rows, lengths);
    let mut batches = cut_sorted(&rows, lengths, batch_size);
    batches.reverse();
    batches
}

/// Length-bucketed training batches.
///
/// All rows are shuffled and cut into windows of `bucket_batches` batches; rows of one window are sorted by length and
/// cut into batches; then all batches are shuffled. So a batch holds rows of similar length (little padding), while
/// chance still decides which rows meet and in which order the batches come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainBatches {
    /// Rows a batch.
    pub batch_size: usize,
    /// Batches a window. 1: no bucketing; more: less padding and less chance.
    pub bucket_batches: usize,
    /// Leave out the rows that do not fill a batch (others in every epoch), so that all batches are equally large.
    pub drop_last: bool,
}

impl TrainBatches {
    /// Windows of 16 batches; no row left out.
    pub fn new(batch_size: usize) -> Self {
        Self {
            batch_size,
            bucket_batches: 16,
            drop_last: false,
        }
    }

    /// How many batches an epoch has.
    ///
    /// # Panics
    /// When `batch_size` is 0.
    pub fn count(&self, rows: usize) -> usize {
        if self.drop_last {
            rows / self.batch_size
        } else {
            rows.div_ceil(self.batch_size)
        }
    }

    /// The batches of one epoch, as indices into `lengths` (tokens of each row).
    ///
    /// # Panics
    /// When `batch_size` or `bucket_batches` is 0.
    pub fn plan(&self, lengths: &[usize], seed: u64, epoch: u64) -> Vec<Vec<usize>> {
        assert!(self.batch_size > 0, "a batch needs at least one row");
        assert!(self.bucket_batches > 0, "a window needs at least one batch");
        let mut random = generator(seed, Purpose::TrainOrder, epoch);
        let mut rows: Vec<usize> = (0..lengths.len()).collect();
        rows.shuffle(&mut random);
        if self.drop_last {
            // Before sorting: else it would always be the longest rows that are left out.
            rows.truncate(self.count(rows.len()) * self.batch_size);
        }
        let mut batches = Vec::with_capacity(self.count(rows.len()));
        for window in rows.chunks_mut(self.batch_size * self.bucket_batches) {
            if self.bucket_batches > 1 {
                sort_by_length(window, lengths);
            }
            batches.append(&mut cut_sorted(window, lengths, self.batch_size));
        }
        batches.shuffle(&mut random);
        batches
    }
}

/// Rising length; rows of equal length keep their order.
fn sort_by_length(rows: &mut [usize], lengths: &[usize]) {
    rows.sort_by_key(|&row| lengths[row]);
}

/// Cuts rows of rising length into batches. Where the rows do not come out even, one batch is smaller; it stands where
/// the padded area, the sum over batches of rows × longest row, is least. (With all batches contiguous in the sorted
/// order and only that one free to move, no other cut into these sizes has a smaller area.)
fn cut_sorted(rows: &[usize], lengths: &[usize], batch_size: usize) -> Vec<Vec<usize>> {
    let (full, rest) = (rows.len() / batch_size, rows.len() % batch_size);
    if rest == 0 {
        return rows.chunks(batch_size).map(<[usize]>::to_vec).collect();
    }
    let longest_before = |end: usize| lengths[rows[end - 1]];
    // The area with the smaller batch at position 0, then the change with each step to the right.
    let (mut best, mut least, mut area) = (0, 0_i128, 0_i128);
    for position in 0..full {
        let start = position * batch_size;
        let end = start + batch_size + rest;
        let size = |rows: usize, longest: usize| (rows * longest) as i128;
        area -= size(rest, longest_before(start + rest)) + size(batch_size, longest_before(end));
        area += size(batch_size, longest_before(start + batch_size)) + size(rest, longest_before(end));
        if area <= least {
            (best, least) = (position + 1, area);
        }
    }
    let (before, from) = rows.split_at(best * batch_size);
    let (small, after) = from.split_at(rest);
    let full_batches = |rows: &[usize]| rows.chunks(batch_size).map(<[usize]>::to_vec).collect::<Vec<_>>();
    [full_batches(before), vec![small.to_vec()], full_batches(after)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows × longest row, summed: the positions a model computes.
    fn padded_area(batches: &[Vec<usize>], lengths: &[usize]) -> usize {
        batches
            .iter()
            .map(|rows| rows.len() * rows.iter().map(|&row| lengths[row]).max().unwrap_or(0))
            .sum()
    }

    fn sorted_rows(batches: &[Vec<usize>]) -> Vec<usize> {
        let mut rows = batches.concat();
        rows.sort_unstable();
        rows
    }

    #[test]
    fn the_smaller_batch_stands_where_padding_is_least() {
        // 1 + 10 + 10 in batches of 2: [1] [10 10] pads nothing, [1 10] [10] would pad 9.
        assert_eq!(cut_sorted(&[0, 1, 2], &[1, 10, 10], 2), [vec![0], vec![1, 2]]);
        // 1 + 1 + 10: the other way round.
        assert_eq!(cut_sorted(&[0, 1, 2], &[1, 1, 10], 2), [vec![0, 1], vec![2]]);
        // In the middle: [2 2] [7] [9 9].
        assert_eq!(
            cut_sorted(&[0, 1, 2, 3, 4], &[2, 2, 7, 9, 9], 2),
            [vec![0, 1], vec![2], vec![3, 4]]
        );
    }

    #[test]
    fn evaluation_goes_from_long_to_short() {
        let lengths = [3, 9, 4, 8, 1];
        assert_eq!(eval_batches(&lengths, 2), [vec![3, 1], vec![0, 2], vec![4]]);
    }

    #[test]
    fn no_rows_are_no_batches() {
        assert!(train_batches(&[], 4, 1, 0).is_empty());
        assert!(eval_batches(&[], 4).is_empty());
    }

    #[test]
    fn epochs_and_seeds_give_different_orders() {
        let lengths = [5; 40];
        let first = train_batches(&lengths, 4, 7, 0);
        assert_ne!(first, train_batches(&lengths, 4, 7, 1));
        assert_ne!(first, train_batches(&lengths, 4, 8, 0));
    }

    #[test]
    fn each_row_is_left_out_in_some_epoch() {
        let plan = TrainBatches {
            drop_last: true,
            ..TrainBatches::new(4)
        };
        let lengths: Vec<usize> = (1..=7).collect();
        let mut left_out = [0; 7];
        for epoch in 0..200 {
            let kept = sorted_rows(&plan.plan(&lengths, 3, epoch));
            (0..7)
                .filter(|row| !kept.contains(row))
                .for_each(|row| left_out[row] += 1);
        }
        // 3 of 7 rows are left out in each of 200 epochs: 86 times each on average, standard deviation 7.
        assert!(
            left_out.iter().all(|&times| (51..=121).contains(&times)),
            "{left_out:?}"
        );
    }

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_batch(
            lengths in prop::collection::vec(1_usize..60, 0..300),
            batch_size in 1_usize..20,
            seed in any::<u64>(),
            epoch in 0_u64..5,
        ) {
            let all: Vec<usize> = (0..lengths.len()).collect();
            let train = train_batches(&lengths, batch_size, seed, epoch);
            prop_assert_eq!(sorted_rows(&train), all.clone());
            prop_assert_eq!(train.len(), TrainBatches::new(batch_size).count(lengths.len()));
            prop_assert!(train.iter().all(|rows| rows.len() <= batch_size));
            prop_assert_eq!(train_batches(&lengths, batch_size, seed, epoch), train);
            prop_assert_eq!(sorted_rows(&eval_batches(&lengths, batch_size)), all);
        }

        #[test]
        fn dropping_the_last_leaves_only_full_batches_of_different_rows(
            lengths in prop::collection::vec(1_usize..60, 0..200),
            batch_size in 1_usize..20,
            seed in any::<u64>(),
        ) {
            let plan = TrainBatches { drop_last: true, ..TrainBatches::new(batch_size) };
            let batches = plan.plan(&lengths, seed, 0);
            prop_assert_eq!(batches.len(), lengths.len() / batch_size);
            prop_assert!(batches.iter().all(|rows| rows.len() == batch_size));
            let rows = sorted_rows(&batches);
            prop_assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn bucketing_never_pads_more_than_the_same_order_without_it(
            lengths in prop::collection::vec(1_usize..60, 1..300),
            batch_size in 1_usize..20,
            bucket_batches in 2_usize..20,
            seed in any::<u64>(),
        ) {
            let bucketed = TrainBatches { batch_size, bucket_batches, drop_last: false };
            let plain = TrainBatches { bucket_batches: 1, ..bucketed };
            let plain = padded_area(&plain.plan(&lengths, seed, 0), &lengths);
            prop_assert!(padded_area(&bucketed.plan(&lengths, seed, 0), &lengths) <= plain);
            prop_assert!(padded_area(&eval_batches(&lengths, batch_size), &lengths) <= plain);
        }
    }
}
