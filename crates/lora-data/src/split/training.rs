//! A split for training: no text on two sides, and every class among the training rows.

use std::collections::VecDeque;
use std::hash::Hash;

use rand::seq::SliceRandom;

use super::{by_stratum, check_sizes, draw, rows_of_groups};
use crate::error::DataError;
use crate::seeded::{Purpose, generator};

/// Draws one split for each size like [`stratified_split`](super::stratified_split), of which split `training` is trained on:
///
/// - rows of one group (the same text: [`RowText::groups`](crate::RowText::groups)) are in one split;
/// - a stratum (class) gives a row to training before it gives one to another split, so that classes with a single row
///   are trained.
///
/// Where every row is a group of its own, splits have exactly their sizes, and are those of `stratified_split` unless a
/// class had to be moved. Else splits that take all rows have about their sizes; splits that leave rows out have exactly
/// theirs, if need be without some rows of a group. A group with more rows than the smallest further split is trained on.
///
/// # Errors
/// [`DataError::TooFewExamples`] when the sizes add up to more than the rows, [`DataError::TooFewTexts`] when there are
/// fewer groups than splits.
///
/// # Panics
/// When there is not one group a row, or `training` is no split.
pub fn training_split<G: Eq + Hash>(
    strata: &[usize],
    groups: &[G],
    sizes: &[usize],
    training: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>, DataError> {
    assert_eq!(
        strata.len(),
        groups.len(),
        "one stratum and one group for each row"
    );
    assert!(training < sizes.len(), "training is one of the splits");
    check_sizes(sizes, strata.len())?;
    let keeps_all = sizes.iter().sum::<usize>() == strata.len();
    let units = Units::new(rows_of_groups(groups), sizes, training);
    let counts = units.counts(sizes, training, keeps_all)?;

    let mut random = generator(seed, Purpose::Split, 0);
    let mut order: Vec<usize> = (0..units.drawn.len()).collect();
    order.shuffle(&mut random);
    let unit_strata: Vec<usize> = units.drawn.iter().map(|rows| strata[rows[0]]).collect();
    let mut pools = by_stratum(&order, &unit_strata);
    let mut splits: Vec<Vec<usize>> = counts.iter().map(|&count| draw(&mut pools, count)).collect();
    let left: Vec<bool> = {
        let mut left = vec![true; units.drawn.len()];
        splits.iter().flatten().for_each(|&unit| left[unit] = false);
        left
    };
    splits.push(order.into_iter().filter(|&unit| left[unit]).collect());
    let always: Vec<usize> = units.large.iter().map(|rows| strata[rows[0]]).collect();
    train_every_stratum(&mut splits, training, &unit_strata, &always);

    let left = splits.pop().unwrap_or_default();
    let mut spare: VecDeque<Vec<usize>> = left.into_iter().map(|unit| units.drawn[unit].clone()).collect();
    let rows_of = |(split, chosen): (usize, Vec<usize>)| {
        let mut groups: Vec<Vec<usize>> = chosen.iter().map(|&unit| units.drawn[unit].clone()).collect();
        if split == training {
            groups.extend(units.large.iter().cloned());
        }
        if !keeps_all {
            fit(&mut groups, sizes[split], &mut spare);
        }
        let mut rows = groups.concat();
        rows.sort_unstable();
        rows
    };
    Ok(splits.into_iter().enumerate().map(rows_of).collect())
}

/// Groups of rows as they are drawn.
struct Units {
    /// Those that any split may get.
    drawn: Vec<Vec<usize>>,
    /// Those that are too large for the further splits.
    large: Vec<Vec<usize>>,
}

impl Units {
    fn new(groups: Vec<Vec<usize>>, sizes: &[usize], training: usize) -> Self {
        let further = |&(split, size): &(usize, &usize)| split != training && *size > 0;
        let further: Vec<usize> = sizes
            .iter()
            .enumerate()
            .filter(further)
            .map(|(_, &size)| size)
            .collect();
        let most = further.iter().copied().min().unwrap_or(usize::MAX);
        let is_large = |rows: &Vec<usize>| rows.len() > most;
        let small = groups.iter().filter(|rows| !is_large(rows)).count();
        if small < further.len() {
            return Self {
                drawn: groups,
                large: Vec::new(),
            };
        }
        let (large, drawn) = groups.into_iter().partition(is_large);
        Self { drawn, large }
    }

    /// How many units each split gets, for its size in rows.
    fn counts(&self, sizes: &[usize], training: usize, keeps_all: bool) -> Result<Vec<usize>, DataError> {
        let of_split = |rows: usize| {
            let all: usize = self.drawn.iter().map(Vec::len).sum();
            #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
            let units = (rows as f64 * self.drawn.len() as f64 / all.max(1) as f64).round() as usize;
            units.max(usize::from(rows > 0))
        };
        let mut counts: Vec<usize> = sizes.iter().map(|&rows| of_split(rows)).collect();
        let large: usize = self.large.iter().map(Vec::len).sum();
        let least = usize::from(sizes[training] > 0 && large == 0);
        counts[training] = least;
        // Rounding up may ask for more than there are.
        while counts.iter().sum::<usize>() > self.drawn.len() {
            let largest = counts.iter_mut().max();
            match largest.filter(|count| **count > 1) {
                Some(count) => *count -= 1,
                None => {
                    return Err(DataError::TooFewTexts {
                        splits: sizes.iter().filter(|&&size| size > 0).count(),
                        texts: self.drawn.len() + self.large.len(),
                    });
                }
            }
        }
        let free = self.drawn.len() + counts[training] - counts.iter().sum::<usize>();
        counts[training] = if keeps_all {
            free
        } else {
            of_split(sizes[training].saturating_sub(large)).clamp(least, free)
        };
        Ok(counts)
    }
}

/// Exchanges units so that a stratum has one in training before any other split has one. The last of `splits` is what was not
/// drawn; `always` are the strata of units that are trained on anyway. What is moved out of the further splits does not
/// depend on the size of training.
fn train_every_stratum(splits: &mut [Vec<usize>], training: usize, strata: &[usize], always: &[usize]) {
    let classes = strata
        .iter()
        .chain(always)
        .map(|class| class + 1)
        .max()
        .unwrap_or(0);
    let left = splits.len() - 1;
    let mut table = Table::new(splits, strata, classes);
    for &class in always {
        table.counts[training][class] += 1;
    }
    for class in 0..classes {
        if table.of(&[training, left], class) > 0 {
            continue;
        }
        let further = (0..left).filter(|&split| split != training);
        let giver = further.rev().max_by_key(|&split| table.counts[split][class]);
        let Some(giver) = giver.filter(|&split| table.counts[split][class] > 0) else {
            continue;
        };
        if !table.exchange(splits, giver, class, &[training, left]) && splits[giver].len() > 1 {
            table.give(splits, giver, class, training);
        }
    }
    for class in 0..classes {
        if table.counts[training][class] == 0 && table.counts[left][class] > 0 {
            table.exchange(splits, left, class, &[training]);
        }
    }
}

/// How many units of each class each split has.
struct Table<'a> {
    strata: &'a [usize],
    counts: Vec<Vec<usize>>,
}

impl<'a> Table<'a> {
    fn new(splits: &[Vec<usize>], strata: &'a [usize], classes: usize) -> Self {
        let count = |split: &Vec<usize>| {
            let mut counts = vec![0; classes];
            for &unit in split {
                counts[strata[unit]] += 1;
            }
            counts
        };
        Self {
            strata,
            counts: splits.iter().map(count).collect(),
        }
    }

    fn of(&self, splits: &[usize], class: usize) -> usize {
        splits.iter().map(|&split| self.counts[split][class]).sum()
    }

    /// The place of the unit with the highest number.
    fn place(&self, splits: &[Vec<usize>], among: &[usize], class: usize) -> Option<(usize, usize)> {
        let places = among
            .iter()
            .flat_map(|&split| (0..splits[split].len()).map(move |place| (split, place)));
        places
            .filter(|&(split, place)| self.strata[splits[split][place]] == class)
            .max_by_key(|&(split, place)| splits[split][place])
    }

    /// Exchanges a unit of the class in `giver` for one of the commonest class in the others, unless that would take the last
    /// of that class.
    fn exchange(&mut self, splits: &mut [Vec<usize>], giver: usize, class: usize, others: &[usize]) -> bool {
        let commonest = (0..self.counts[giver].len())
            .rev()
            .max_by_key(|&other| self.of(others, other));
        let Some(commonest) = commonest.filter(|&other| self.of(others, other) > 1) else {
            return false;
        };
        let places = self
            .place(splits, &[giver], class)
            .zip(self.place(splits, others, commonest));
        let Some(((_, mine), (taker, theirs))) = places else {
            return false;
        };
        let unit = splits[giver][mine];
        splits[giver][mine] = splits[taker][theirs];
        splits[taker][theirs] = unit;
        for (split, lost, won) in [(giver, class, commonest), (taker, commonest, class)] {
            self.counts[split][lost] -= 1;
            self.counts[split][won] += 1;
        }
        true
    }

    /// Moves a unit of the class.
    fn give(&mut self, splits: &mut [Vec<usize>], giver: usize, class: usize, taker: usize) {
        if let Some((_, place)) = self.place(splits, &[giver], class) {
            let unit = splits[giver].remove(place);
            splits[taker].push(unit);
            self.counts[giver][class] -= 1;
            self.counts[taker][class] += 1;
        }
    }
}

/// Makes groups have exactly `size` rows: leaves rows of large groups out, then groups; or takes groups from `spare`.
fn fit(groups: &mut Vec<Vec<usize>>, size: usize, spare: &mut VecDeque<Vec<usize>>) {
    let mut rows: usize = groups.iter().map(Vec::len).sum();
    while rows > size {
        match groups.iter_mut().max_by_key(|group| group.len()) {
            Some(largest) if largest.len() > 1 => {
                largest.pop();
            }
            _ => {
                groups.pop();
            }
        }
        rows -= 1;
    }
    while rows < size {
        let Some(mut group) = spare.pop_front() else { break };
        group.truncate(size - rows);
        rows += group.len();
        groups.push(group);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::stratified_split;
    use super::*;

    /// Every row a group of its own.
    fn alone(rows: usize) -> Vec<usize> {
        (0..rows).collect()
    }

    #[test]
    fn classes_of_one_row_are_trained_on_and_sizes_stay() {
        // 60 rows of a common class, and 12 classes of one row.
        let strata: Vec<usize> = (0..72_usize).map(|row| row.saturating_sub(59)).collect();
        for seed in 0..20 {
            let splits = training_split(&strata, &alone(72), &[50, 11, 11], 0, seed).unwrap();
            assert_eq!(splits.iter().map(Vec::len).collect::<Vec<_>>(), [50, 11, 11]);
            assert!((60..72).all(|row| splits[0].contains(&row)), "{splits:?}");
        }
    }

    #[test]
    fn a_class_of_two_rows_trains_with_one_at_least() {
        let strata = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        for seed in 0..50 {
            // Half of the rows are not trained on, so that a draw alone would often take both.
            let splits = training_split(&strata, &alone(10), &[3, 2, 5], 1, seed).unwrap();
            assert!(splits[1].iter().any(|&row| strata[row] == 1), "{splits:?}");
            assert_eq!(splits.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 5]);
        }
    }

    #[test]
    fn thirty_texts_of_four_rows_are_split_by_text() {
        let groups: Vec<usize> = (0..120).map(|row| row % 30).collect();
        let strata: Vec<usize> = (0..120).map(|row| row / 7 % 2).collect();
        let splits = training_split(&strata, &groups, &[84, 18, 18], 0, 3).unwrap();
        // 18 of 120 rows are 4.5 of 30 texts, rounded away from 0.
        assert_eq!(splits.iter().map(Vec::len).collect::<Vec<_>>(), [80, 20, 20]);
    }

    #[test]
    fn a_text_in_most_rows_is_trained_on() {
        let groups: Vec<usize> = (0..100).map(|row: usize| row.saturating_sub(69)).collect();
        for seed in 0..20 {
            let splits = training_split(&[0; 100], &groups, &[80, 10, 10], 0, seed).unwrap();
            assert!((0..70).all(|row| splits[0].contains(&row)));
            assert_eq!([splits[1].len(), splits[2].len()], [10, 10]);
        }
    }

    #[test]
    fn one_text_cannot_be_split() {
        let error = training_split(&[0; 6], &["a"; 6], &[4, 2], 0, 1).unwrap_err();
        assert!(
            matches!(error, DataError::TooFewTexts { splits: 2, texts: 1 }),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn without_repeated_texts_it_is_the_stratified_split(
            strata in prop::collection::vec(0_usize..3, 40..120),
            seed in any::<u64>(),
        ) {
            let sizes = [strata.len() / 5, strata.len() / 2];
            let stratified = stratified_split(&strata, &sizes, seed).unwrap();
            prop_assume!((0..3).all(|class| stratified[1].iter().any(|&row| strata[row] == class)));
            let splits = training_split(&strata, &alone(strata.len()), &sizes, 1, seed).unwrap();
            prop_assert_eq!(splits, stratified);
        }

        #[test]
        fn no_text_is_in_two_parts_and_every_class_is_trained_on(
            rows in prop::collection::vec((0_usize..5, 0_usize..60), 60..160),
            leaves_out in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let (strata, groups): (Vec<usize>, Vec<usize>) = rows.into_iter().unzip();
            let further = strata.len() / 6;
            let left_out = if leaves_out { strata.len() / 4 } else { 0 };
            let sizes = [further, strata.len() - 2 * further - left_out, further];
            let splits = training_split(&strata, &groups, &sizes, 1, seed).unwrap();
            let groups_of = |split: &[usize]| split.iter().map(|&row| groups[row]).collect::<HashSet<_>>();
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                prop_assert!(groups_of(&splits[one]).is_disjoint(&groups_of(&splits[other])));
            }
            let rows: HashSet<usize> = splits.concat().into_iter().collect();
            prop_assert_eq!(rows.len(), splits.iter().map(Vec::len).sum::<usize>());
            if leaves_out {
                prop_assert_eq!(splits.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            } else {
                prop_assert_eq!(rows.len(), strata.len());
            }
            // A group counts as its first row.
            let class_of = |row: usize| strata[groups.iter().position(|group| *group == groups[row]).unwrap()];
            let classes = |split: &[usize]| split.iter().map(|&row| class_of(row)).collect::<HashSet<_>>();
            prop_assert!(classes(&splits[0]).is_subset(&classes(&splits[1])));
            prop_assert!(classes(&splits[2]).is_subset(&classes(&splits[1])));
        }
    }
}
