//! A split for training: no text on two sides, and every class among the training rows.

use std::collections::VecDeque;
use std::hash::Hash;

use rand::seq::SliceRandom;

use super::{by_stratum, check_sizes, draw, rows_of_groups};
use crate::error::DataError;
use crate::seeded::{Purpose, generator};

/// Draws one part for each size like [`stratified_split`](super::stratified_split), of which part `training` is trained on:
///
/// - rows of one group (the same text: [`RowText::groups`](crate::RowText::groups)) are in one part;
/// - a stratum (class) gives a row to training before it gives one to another part, so that classes with a single row
///   are trained.
///
/// Where every row is a group of its own, parts have exactly their sizes, and are those of `stratified_split` unless a
/// class had to be moved. Else parts that take all rows have about their sizes; parts that leave rows out have exactly
/// theirs, if need be without some rows of a group. A group with more rows than the smallest further part is trained on.
///
/// # Errors
/// [`DataError::TooFewExamples`] when the sizes add up to more than the rows, [`DataError::TooFewTexts`] when there are
/// fewer groups than parts.
///
/// # Panics
/// When there is not one group a row, or `training` is no part.
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
    assert!(training < sizes.len(), "training is one of the parts");
    check_sizes(sizes, strata.len())?;
    let keeps_all = sizes.iter().sum::<usize>() == strata.len();
    let units = Units::new(rows_of_groups(groups), sizes, training);
    let counts = units.counts(sizes, training, keeps_all)?;

    let mut random = generator(seed, Purpose::Split, 0);
    let mut order: Vec<usize> = (0..units.drawn.len()).collect();
    order.shuffle(&mut random);
    let unit_strata: Vec<usize> = units.drawn.iter().map(|rows| strata[rows[0]]).collect();
    let mut pools = by_stratum(&order, &unit_strata);
    let mut parts: Vec<Vec<usize>> = counts.iter().map(|&count| draw(&mut pools, count)).collect();
    let left: Vec<bool> = {
        let mut left = vec![true; units.drawn.len()];
        parts.iter().flatten().for_each(|&unit| left[unit] = false);
        left
    };
    parts.push(order.into_iter().filter(|&unit| left[unit]).collect());
    let always: Vec<usize> = units.large.iter().map(|rows| strata[rows[0]]).collect();
    train_every_stratum(&mut parts, training, &unit_strata, &always);

    let left = parts.pop().unwrap_or_default();
    let mut spare: VecDeque<Vec<usize>> = left.into_iter().map(|unit| units.drawn[unit].clone()).collect();
    let rows_of = |(part, chosen): (usize, Vec<usize>)| {
        let mut groups: Vec<Vec<usize>> = chosen.iter().map(|&unit| units.drawn[unit].clone()).collect();
        if part == training {
            groups.extend(units.large.iter().cloned());
        }
        if !keeps_all {
            fit(&mut groups, sizes[part], &mut spare);
        }
        let mut rows = groups.concat();
        rows.sort_unstable();
        rows
    };
    Ok(parts.into_iter().enumerate().map(rows_of).collect())
}

/// Groups of rows as they are drawn.
struct Units {
    /// Those that any part may get.
    drawn: Vec<Vec<usize>>,
    /// Those that are too large for the further parts.
    large: Vec<Vec<usize>>,
}

impl Units {
    fn new(groups: Vec<Vec<usize>>, sizes: &[usize], training: usize) -> Self {
        let further = |&(part, size): &(usize, &usize)| part != training && *size > 0;
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

    /// How many units each part gets, for its size in rows.
    fn counts(&self, sizes: &[usize], training: usize, keeps_all: bool) -> Result<Vec<usize>, DataError> {
        let of_part = |rows: usize| {
            let all: usize = self.drawn.iter().map(Vec::len).sum();
            #[expect(clippy::cast_sign_loss, reason = "counts are not negative")]
            let units = (rows as f64 * self.drawn.len() as f64 / all.max(1) as f64).round() as usize;
            units.max(usize::from(rows > 0))
        };
        let mut counts: Vec<usize> = sizes.iter().map(|&rows| of_part(rows)).collect();
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
                        parts: sizes.iter().filter(|&&size| size > 0).count(),
                        texts: self.drawn.len() + self.large.len(),
                    });
                }
            }
        }
        let free = self.drawn.len() + counts[training] - counts.iter().sum::<usize>();
        counts[training] = if keeps_all {
            free
        } else {
            of_part(sizes[training].saturating_sub(large)).clamp(least, free)
        };
        Ok(counts)
    }
}

/// Exchanges units so that a stratum has one in training before any other part has one. The last of `parts` is what was not
/// drawn; `always` are the strata of units that are trained on anyway. What is moved out of the further parts does not
/// depend on the size of training.
fn train_every_stratum(parts: &mut [Vec<usize>], training: usize, strata: &[usize], always: &[usize]) {
    let classes = strata
        .iter()
        .chain(always)
        .map(|class| class + 1)
        .max()
        .unwrap_or(0);
    let left = parts.len() - 1;
    let mut table = Table::new(parts, strata, classes);
    for &class in always {
        table.counts[training][class] += 1;
    }
    for class in 0..classes {
        if table.of(&[training, left], class) > 0 {
            continue;
        }
        let further = (0..left).filter(|&part| part != training);
        let giver = further.rev().max_by_key(|&part| table.counts[part][class]);
        let Some(giver) = giver.filter(|&part| table.counts[part][class] > 0) else {
            continue;
        };
        if !table.exchange(parts, giver, class, &[training, left]) && parts[giver].len() > 1 {
            table.give(parts, giver, class, training);
        }
    }
    for class in 0..classes {
        if table.counts[training][class] == 0 && table.counts[left][class] > 0 {
            table.exchange(parts, left, class, &[training]);
        }
    }
}

/// How many units of each class each part has.
struct Table<'a> {
    strata: &'a [usize],
    counts: Vec<Vec<usize>>,
}

impl<'a> Table<'a> {
    fn new(parts: &[Vec<usize>], strata: &'a [usize], classes: usize) -> Self {
        let count = |part: &Vec<usize>| {
            let mut counts = vec![0; classes];
            for &unit in part {
                counts[strata[unit]] += 1;
            }
            counts
        };
        Self {
            strata,
            counts: parts.iter().map(count).collect(),
        }
    }

    fn of(&self, parts: &[usize], class: usize) -> usize {
        parts.iter().map(|&part| self.counts[part][class]).sum()
    }

    /// The place of the unit with the highest number.
    fn place(&self, parts: &[Vec<usize>], among: &[usize], class: usize) -> Option<(usize, usize)> {
        let places = among
            .iter()
            .flat_map(|&part| (0..parts[part].len()).map(move |place| (part, place)));
        places
            .filter(|&(part, place)| self.strata[parts[part][place]] == class)
            .max_by_key(|&(part, place)| parts[part][place])
    }

    /// Exchanges a unit of the class in `giver` for one of the commonest class in the others, unless that would take the last
    /// of that class.
    fn exchange(&mut self, parts: &mut [Vec<usize>], giver: usize, class: usize, others: &[usize]) -> bool {
        let commonest = (0..self.counts[giver].len())
            .rev()
            .max_by_key(|&other| self.of(others, other));
        let Some(commonest) = commonest.filter(|&other| self.of(others, other) > 1) else {
            return false;
        };
        let places = self
            .place(parts, &[giver], class)
            .zip(self.place(parts, others, commonest));
        let Some(((_, mine), (taker, theirs))) = places else {
            return false;
        };
        let unit = parts[giver][mine];
        parts[giver][mine] = parts[taker][theirs];
        parts[taker][theirs] = unit;
        for (part, lost, won) in [(giver, class, commonest), (taker, commonest, class)] {
            self.counts[part][lost] -= 1;
            self.counts[part][won] += 1;
        }
        true
    }

    /// Moves a unit of the class.
    fn give(&mut self, parts: &mut [Vec<usize>], giver: usize, class: usize, taker: usize) {
        if let Some((_, place)) = self.place(parts, &[giver], class) {
            let unit = parts[giver].remove(place);
            parts[taker].push(unit);
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
            let parts = training_split(&strata, &alone(72), &[50, 11, 11], 0, seed).unwrap();
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [50, 11, 11]);
            assert!((60..72).all(|row| parts[0].contains(&row)), "{parts:?}");
        }
    }

    #[test]
    fn a_class_of_two_rows_trains_with_one_at_least() {
        let strata = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        for seed in 0..50 {
            // Half of the rows are not trained on, so that a draw alone would often take both.
            let parts = training_split(&strata, &alone(10), &[3, 2, 5], 1, seed).unwrap();
            assert!(parts[1].iter().any(|&row| strata[row] == 1), "{parts:?}");
            assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2, 5]);
        }
    }

    #[test]
    fn thirty_texts_of_four_rows_are_split_by_text() {
        let groups: Vec<usize> = (0..120).map(|row| row % 30).collect();
        let strata: Vec<usize> = (0..120).map(|row| row / 7 % 2).collect();
        let parts = training_split(&strata, &groups, &[84, 18, 18], 0, 3).unwrap();
        // 18 of 120 rows are 4.5 of 30 texts, rounded away from 0.
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [80, 20, 20]);
    }

    #[test]
    fn a_text_in_most_rows_is_trained_on() {
        let groups: Vec<usize> = (0..100).map(|row: usize| row.saturating_sub(69)).collect();
        for seed in 0..20 {
            let parts = training_split(&[0; 100], &groups, &[80, 10, 10], 0, seed).unwrap();
            assert!((0..70).all(|row| parts[0].contains(&row)));
            assert_eq!([parts[1].len(), parts[2].len()], [10, 10]);
        }
    }

    #[test]
    fn one_text_cannot_be_split() {
        let error = training_split(&[0; 6], &["a"; 6], &[4, 2], 0, 1).unwrap_err();
        assert!(
            matches!(error, DataError::TooFewTexts { parts: 2, texts: 1 }),
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
            let parts = training_split(&strata, &alone(strata.len()), &sizes, 1, seed).unwrap();
            prop_assert_eq!(parts, stratified);
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
            let parts = training_split(&strata, &groups, &sizes, 1, seed).unwrap();
            let groups_of = |part: &[usize]| part.iter().map(|&row| groups[row]).collect::<HashSet<_>>();
            for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                prop_assert!(groups_of(&parts[one]).is_disjoint(&groups_of(&parts[other])));
            }
            let rows: HashSet<usize> = parts.concat().into_iter().collect();
            prop_assert_eq!(rows.len(), parts.iter().map(Vec::len).sum::<usize>());
            if leaves_out {
                prop_assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
            } else {
                prop_assert_eq!(rows.len(), strata.len());
            }
            // A group counts as its first row.
            let class_of = |row: usize| strata[groups.iter().position(|group| *group == groups[row]).unwrap()];
            let classes = |part: &[usize]| part.iter().map(|&row| class_of(row)).collect::<HashSet<_>>();
            prop_assert!(classes(&parts[0]).is_subset(&classes(&parts[1])));
            prop_assert!(classes(&parts[2]).is_subset(&classes(&parts[1])));
        }
    }
}
