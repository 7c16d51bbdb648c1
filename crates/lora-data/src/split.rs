//! Splits of a data set with the label mixture of the whole: training, validation and test sets, or small samples.

mod training;

use std::collections::HashMap;
use std::hash::Hash;

use rand::seq::SliceRandom;

pub use training::training_split;

use crate::duplicates::{RowText, normalized};
use crate::error::DataError;
use crate::seeded::{Purpose, generator};
use crate::tasks::Rows;

/// Draws one split for each size: rows in rising order, no row in two splits, rows that no split needs left out.
///
/// `strata` is the class of each row ([`Dataset::strata`](crate::Dataset::strata)). Each split has the classes in the
/// proportions of the rows not yet drawn, rounded by largest remainder, so a split of k rows has within one row of its
/// share of each class. One size: a subsample.
///
/// # Errors
/// [`DataError::TooFewExamples`] when the sizes add up to more than the rows.
pub fn stratified_split(strata: &[usize], sizes: &[usize], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
    check_sizes(sizes, strata.len())?;
    let mut random = generator(seed, Purpose::Split, 0);
    let mut rows: Vec<usize> = (0..strata.len()).collect();
    rows.shuffle(&mut random);
    let mut pools = by_stratum(&rows, strata);
    Ok(sizes.iter().map(|&size| draw(&mut pools, size)).collect())
}

/// The same, with no group (review, article, patient: `groups[row]`) in two splits, so that a test set holds nothing
/// that was half seen in training.
///
/// All groups are dealt to the splits, in seeded order and in proportion to the sizes; then each split draws its rows from
/// its own groups, with the proportions of these. A split may leave rows of its groups out, no other split gets them.
///
/// # Errors
/// [`DataError::TooFewExamples`] when the sizes add up to more than the rows, or when the groups dealt to a split have
/// fewer rows than its size (groups cannot be cut: leave some rows to spare).
///
/// # Panics
/// When there is not one group a row.
pub fn grouped_split<G: Eq + Hash>(
    strata: &[usize],
    groups: &[G],
    sizes: &[usize],
    seed: u64,
) -> Result<Vec<Vec<usize>>, DataError> {
    assert_eq!(
        strata.len(),
        groups.len(),
        "one stratum and one group for each row"
    );
    check_sizes(sizes, strata.len())?;
    let mut random = generator(seed, Purpose::Split, 0);
    let mut members = rows_of_groups(groups);
    members.shuffle(&mut random);

    let mut dealt: Vec<Vec<usize>> = vec![Vec::new(); sizes.len()];
    for mut rows in members {
        // The split that has the smallest share of what it needs; a split that needs nothing never is.
        let share = |split: usize| dealt[split].len() as f64 / sizes[split] as f64;
        let Some(neediest) = (0..sizes.len())
            .filter(|&split| sizes[split] > 0)
            .min_by(|&a, &b| share(a).total_cmp(&share(b)))
        else {
            break;
        };
        dealt[neediest].append(&mut rows);
    }
    let draw_split = |(split, (rows, &size)): (usize, (&mut Vec<usize>, &usize))| {
        if rows.len() < size {
            return Err(DataError::TooFewExamples {
                wanted: size,
                available: rows.len(),
                split: Some(split),
            });
        }
        rows.shuffle(&mut random);
        Ok(draw(&mut by_stratum(rows, strata), size))
    };
    dealt.iter_mut().zip(sizes).enumerate().map(draw_split).collect()
}

fn check_sizes(sizes: &[usize], available: usize) -> Result<(), DataError> {
    let wanted = sizes.iter().sum();
    if wanted > available {
        return Err(DataError::TooFewExamples {
            wanted,
            available,
            split: None,
        });
    }
    Ok(())
}

/// The rows of each group, groups in the order of their first row (a hash map's own order differs from run to run).
fn rows_of_groups<G: Eq + Hash>(groups: &[G]) -> Vec<Vec<usize>> {
    let mut index_of = HashMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (row, group) in groups.iter().enumerate() {
        let index = *index_of.entry(group).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[index].push(row);
    }
    members
}

fn by_stratum(rows: &[usize], strata: &[usize]) -> Vec<Vec<usize>> {
    let count = rows.iter().map(|&row| strata[row] + 1).max().unwrap_or(0);
    let mut pools = vec![Vec::new(); count];
    for &row in rows {
        pools[strata[row]].push(row);
    }
    pools
}

/// Takes `size` rows from the ends of the pools, by largest remainder. `size` is at most the rows left.
fn draw(pools: &mut [Vec<usize>], size: usize) -> Vec<usize> {
    let left: usize = pools.iter().map(Vec::len).sum();
    if size == 0 {
        return Vec::new();
    }
    // Whole shares first, then one more for the largest remainders (lower class first where equal). A pool with a
    // remainder has a row for it: its share is below its size.
    let mut quotas: Vec<usize> = pools.iter().map(|pool| pool.len() * size / left).collect();
    let mut by_remainder: Vec<usize> = (0..pools.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(pools[class].len() * size % left));
    let missing = size - quotas.iter().sum::<usize>();
    by_remainder
        .iter()
        .take(missing)
        .for_each(|&class| quotas[class] += 1);

    let mut rows = Vec::with_capacity(size);
    for (pool, quota) in pools.iter_mut().zip(quotas) {
        rows.extend(pool.drain(pool.len() - quota..));
    }
    rows.sort_unstable();
    rows
}

impl Rows {
    /// The places of rows when splits are split off: of what is left, then of a split for each share of the rows, rounded, of at least one
    /// row. Drawn by the seed; classes in proportion; all questions about one context in one split, whose share is one of the contexts;
    /// rows of one text in one split, and every class in what is left ([`training_split`]). [`Rows::select`] takes them.
    ///
    /// # Errors
    /// [`DataError::TooFewExamples`] when nothing would be left.
    pub fn split_places(&self, shares: &[f64], seed: u64) -> Result<Vec<Vec<usize>>, DataError> {
        let strata = match self {
            Self::Spans(spans) => vec![0; spans.contexts.len()],
            _ => self.strata(),
        };
        let units = strata.len();
        let whole = |share: &f64| {
            #[expect(clippy::cast_sign_loss, reason = "shares and counts are not negative")]
            let rounded = (share * units as f64).round() as usize;
            rounded.max(1)
        };
        let mut sizes: Vec<usize> = shares.iter().map(whole).collect();
        let off: usize = sizes.iter().sum();
        let left = units
            .checked_sub(off)
            .filter(|left| *left > 0)
            .ok_or(DataError::TooFewExamples {
                wanted: off + 1,
                available: units,
                split: None,
            })?;
        sizes.insert(0, left);
        let groups: Vec<String> = match self {
            Self::Spans(spans) => spans.contexts.iter().map(|context| normalized(context)).collect(),
            _ => RowText::of_rows(self).into_iter().map(|row| row.text).collect(),
        };
        let splits = training_split(&strata, &groups, &sizes, 0, seed)?;
        let Self::Spans(spans) = self else {
            return Ok(splits);
        };
        let questions_about = |contexts: Vec<usize>| {
            let mut chosen = vec![false; units];
            for context in contexts {
                chosen[context] = true;
            }
            let rows = (0..spans.questions.len()).filter(|row| chosen[spans.questions[*row].context]);
            rows.collect()
        };
        Ok(splits.into_iter().map(questions_about).collect())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_part_has_the_mixture_of_the_whole() {
        // 60 % class 0, 30 % class 1, 10 % class 2.
        let strata: Vec<usize> = (0..200)
            .map(|row| [0, 0, 0, 0, 0, 0, 1, 1, 1, 2][row % 10])
            .collect();
        for split in stratified_split(&strata, &[20, 50, 100], 11).unwrap() {
            let of_class = |class| split.iter().filter(|&&row| strata[row] == class).count();
            assert_eq!(
                [of_class(0) * 10, of_class(1) * 10, of_class(2) * 10],
                [6, 3, 1].map(|tenth| tenth * split.len())
            );
        }
    }

    #[test]
    fn asking_for_too_many_names_both_numbers() {
        let error = stratified_split(&[0, 1, 0], &[2, 2], 0).unwrap_err();
        assert!(matches!(
            error,
            DataError::TooFewExamples {
                wanted: 4,
                available: 3,
                split: None
            }
        ));
        // Two groups of three rows cannot make splits of four and two.
        let error = grouped_split(&[0; 6], &["a", "a", "a", "b", "b", "b"], &[4, 2], 0).unwrap_err();
        assert!(matches!(
            error,
            DataError::TooFewExamples {
                wanted: 4,
                available: 3,
                split: Some(0)
            }
        ));
    }

    proptest! {
        #[test]
        fn parts_have_their_sizes_and_share_no_row(
            strata in prop::collection::vec(0_usize..4, 0..120),
            first in 0_usize..60,
            second in 0_usize..60,
            seed in any::<u64>(),
        ) {
            let sizes = [first.min(strata.len()), second.min(strata.len() - first.min(strata.len()))];
            let splits = stratified_split(&strata, &sizes, seed).unwrap();
            prop_assert_eq!([splits[0].len(), splits[1].len()], sizes);
            let rows: HashSet<usize> = splits.concat().into_iter().collect();
            prop_assert_eq!(rows.len(), sizes[0] + sizes[1]);
            prop_assert!(splits.iter().all(|split| split.is_sorted()));
            prop_assert_eq!(stratified_split(&strata, &sizes, seed).unwrap(), splits.clone());
            // The first split is drawn from the whole: within one row of its share of each class.
            for class in 0..4 {
                let all = strata.iter().filter(|&&stratum| stratum == class).count() as f64;
                let drawn = splits[0].iter().filter(|&&row| strata[row] == class).count() as f64;
                prop_assert!((drawn - all * sizes[0] as f64 / strata.len().max(1) as f64).abs() < 1.0);
            }
        }

        #[test]
        fn no_group_is_in_two_parts(
            rows in prop::collection::vec((0_usize..3, 0_usize..30), 60..200),
            seed in any::<u64>(),
        ) {
            let (strata, groups): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            // Small beside the whole, so that whole groups always suffice.
            let sizes = [strata.len() / 8, strata.len() / 8];
            if let Ok(splits) = grouped_split(&strata, &groups, &sizes, seed) {
                let groups_of = |split: &[usize]| split.iter().map(|&row| groups[row]).collect::<HashSet<_>>();
                prop_assert!(groups_of(&splits[0]).is_disjoint(&groups_of(&splits[1])));
                prop_assert_eq!([splits[0].len(), splits[1].len()], sizes);
                prop_assert_eq!(grouped_split(&strata, &groups, &sizes, seed).unwrap(), splits);
            }
        }
    }
}
