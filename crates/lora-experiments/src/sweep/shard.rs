//! `--shard i/n`: the units of a sweep in n parts that take about equally long.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::result_files::SHARD_NAME;
use super::work_units::WorkUnit;

/// The i-th of n parts, counted from 1, as the tools that run tests in parts count theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// What is no shard.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{found}` is no shard: expected i/n with i from 1 to n, such as 2/8 for the second of eight")]
pub struct ShardError {
    /// What was given.
    found: String,
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => Err(ShardError {
                found: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// For names of files, in which a slash cannot stand.
    pub fn in_words(self) -> String {
        format!("{SHARD_NAME}{}-of-{}", self.index, self.count)
    }

    /// All parts in order.
    pub fn all(self) -> impl Iterator<Item = Self> {
        (1..=self.count).map(move |index| Self { index, ..self })
    }

    /// Its part of all units, which are sorted with the most tokens first: each goes to the part that has the fewest tokens so far. So
    /// parts differ by no more than the largest unit, and every machine finds the same ones.
    pub fn part_of(self, units: &[WorkUnit]) -> Vec<&WorkUnit> {
        // At most as many parts as units get one.
        let mut tokens = vec![0_u64; self.count.min(units.len())];
        let mut own = Vec::new();
        for unit in units {
            let fewest = tokens
                .iter()
                .enumerate()
                .min_by_key(|(part, tokens)| (**tokens, *part));
            let Some((part, _)) = fewest else { continue };
            // A unit of nothing must not draw all others of nothing after it.
            tokens[part] += unit.tokens.max(1);
            if part + 1 == self.index {
                own.push(unit);
            }
        }
        own
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;

    fn units(tokens: &[u64]) -> Vec<WorkUnit> {
        let unit = |(index, &tokens): (usize, &u64)| WorkUnit {
            key: format!("{index:016x}"),
            trials: vec![2 * index, 2 * index + 1],
            trainings: 1,
            tokens,
        };
        let mut units: Vec<WorkUnit> = tokens.iter().enumerate().map(unit).collect();
        units.sort_by(|left, right| {
            right
                .tokens
                .cmp(&left.tokens)
                .then_with(|| left.key.cmp(&right.key))
        });
        units
    }

    proptest! {
        #[test]
        fn shards_part_the_trials_and_differ_by_no_more_than_the_largest_unit(
            tokens in prop::collection::vec(0_u64..1_000_000, 0..40),
            count in 1_usize..50,
        ) {
            let units = units(&tokens);
            let shards: Vec<Vec<&WorkUnit>> = (1..=count).map(|index| Shard { index, count }.part_of(&units)).collect();
            let mut trials: Vec<usize> = shards.iter().flatten().flat_map(|unit| unit.trials.clone()).collect();
            trials.sort_unstable();
            prop_assert_eq!(trials, (0..2 * tokens.len()).collect::<Vec<_>>());
            let sums: Vec<u64> = shards.iter().map(|shard| shard.iter().map(|unit| unit.tokens.max(1)).sum()).collect();
            let largest = tokens.iter().copied().max().unwrap_or(0).max(1);
            prop_assert!(sums.iter().max().unwrap() - sums.iter().min().unwrap() <= largest);
        }
    }

    #[test]
    fn costs_are_shared_out_and_not_counts() {
        // One unit takes as long as all others together.
        let units = units(&[10, 10, 60, 10, 10, 10, 10]);
        let sizes = ["1/2", "2/2"].map(|shard| shard.parse::<Shard>().unwrap().part_of(&units).len());
        assert_eq!(sizes, [1, 6]);
    }

    #[test]
    fn a_shard_is_counted_from_one() {
        assert_eq!("2/8".parse::<Shard>().unwrap(), Shard { index: 2, count: 8 });
        for wrong in ["0/8", "9/8", "0/0", "1", "1/", "-1/2", "1/2/3", "a/b"] {
            let message = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(
                message.contains(wrong) && message.contains("from 1 to n"),
                "{message}"
            );
        }
    }
}
