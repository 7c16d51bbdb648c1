//! Training, validation and test rows: those that are given, and those that are split off the training rows.

use lora_data::tasks::Rows;

use super::row_checks::RowChecks;
use crate::bail;
use crate::counted::counted;
use crate::error::{Context, Result};

/// What is split off the training rows where there are no validation or test rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Share for validation; 0 for none.
    pub validation: f64,
    /// Share for the test; 0 for none.
    pub test: f64,
    /// Seed of the draw.
    pub seed: u64,
}

/// Rows by what they are for.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitRows {
    /// Rows to train on.
    pub train: Rows,
    /// Rows that pick the best model, the temperature and thresholds.
    pub validation: Option<Rows>,
    /// Rows that are scored once.
    pub test: Option<Rows>,
    /// What was made of the files, for people: a line each.
    pub notes: Vec<String>,
    /// Where validation and test rows were in the training file, if they were split off it.
    pub split_off: [Option<Vec<usize>>; 2],
}

/// Rows of one split, and where they are in their file.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedRows {
    /// The rows.
    pub rows: Rows,
    /// The place of each in its file, from 0; none where they are all of the file.
    pub places: Option<Vec<usize>>,
}

impl SplitRows {
    /// Rows as they are given.
    pub fn new(train: Rows, validation: Option<Rows>, test: Option<Rows>) -> Self {
        Self {
            train,
            validation,
            test,
            notes: Vec::new(),
            split_off: [None, None],
        }
    }

    /// Splits off what is missing: a share of the training rows, rounded, of at least one row; classes in proportion, rows of one text and
    /// questions about one context on one side.
    ///
    /// # Errors
    ///
    /// If a split that is given is empty, or nothing would be left to train on.
    pub fn complete(mut self, shares: Shares) -> Result<Self> {
        let given = [
            ("training", Some(&self.train)),
            ("validation", self.validation.as_ref()),
            ("test", self.test.as_ref()),
        ];
        for (name, rows) in given {
            if rows.is_some_and(Rows::is_empty) {
                bail!("there are no {name} rows; give files that hold some");
            }
        }
        let seed = shares.seed;
        let wanted = [
            (self.validation.is_none(), shares.validation),
            (self.test.is_none(), shares.test),
        ];
        let is_split_off = wanted.map(|(is_missing, share)| is_missing && share > 0.0);
        let sizes: Vec<f64> = wanted
            .iter()
            .zip(is_split_off)
            .filter_map(|((_, share), is_split_off)| is_split_off.then_some(*share))
            .collect();
        if sizes.is_empty() {
            return Ok(self);
        }
        let rows = self.train.len();
        let places = self.train.split_places(&sizes, seed).with_context(|| {
            format!(
                "{rows} rows cannot be split into training, validation and test rows; give more rows, or a validation_file, or \
                 set validation_fraction to 0"
            )
        })?;
        let mut places = places.into_iter();
        let left = places.next().context("a split has a first part")?;
        let splits = [("validation", &mut self.validation), ("test", &mut self.test)];
        let splits = splits.into_iter().zip(&mut self.split_off).zip(is_split_off);
        for (((name, rows), off), _) in splits.filter(|(_, is_split_off)| *is_split_off) {
            *off = places.next();
            *rows = off.as_ref().map(|places| self.train.select(places));
            self.notes.push(format!(
                "{name}: {} split off the training rows with seed {seed}",
                counted(rows.as_ref().map_or(0, Rows::len), "row")
            ));
        }
        self.train = self.train.select(&left);
        self.notes
            .push(format!("{} left to train on", counted(self.train.len(), "row")));
        Ok(self)
    }

    /// What makes scores of the rows misleading.
    pub fn checks(&self) -> RowChecks {
        RowChecks::of(
            &self.train,
            self.validation.as_ref(),
            self.test.as_ref(),
            self.split_off.each_ref().map(Option::is_some),
        )
    }

    /// The texts that are scored last: those of the test, else of the validation; none where there are training rows alone.
    pub fn texts_scored_last(&self) -> Option<PlacedRows> {
        let [of_validation, of_test] = &self.split_off;
        let (rows, places) = match (&self.validation, &self.test) {
            (_, Some(rows)) => (rows, of_test),
            (Some(rows), None) => (rows, of_validation),
            (None, None) => return None,
        };
        matches!(rows, Rows::Texts(_)).then(|| PlacedRows {
            rows: rows.clone(),
            places: places.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use lora_data::Completion;

    use super::*;

    fn rows(count: usize) -> Rows {
        let row = |number: usize| Completion {
            prompt: format!("prompt {number}"),
            completion: "answer".to_owned(),
        };
        Rows::Completions((0..count).map(row).collect())
    }

    fn split(count: usize, validation: f64, test: f64) -> Result<[usize; 3]> {
        let shares = Shares {
            validation,
            test,
            seed: 5,
        };
        let split = SplitRows::new(rows(count), None, None).complete(shares)?;
        let count = |rows: &Option<Rows>| rows.as_ref().map_or(0, Rows::len);
        Ok([split.train.len(), count(&split.validation), count(&split.test)])
    }

    #[test]
    fn a_share_is_rounded_and_of_at_least_one_row() {
        // 0.1 and 0.26 of 20 rows are 2 and 5.2, 0.01 of them is 0.2.
        assert_eq!(split(20, 0.1, 0.26).unwrap(), [13, 2, 5]);
        assert_eq!(split(20, 0.01, 0.0).unwrap(), [19, 1, 0]);
        assert_eq!(split(20, 0.0, 0.0).unwrap(), [20, 0, 0]);
    }

    #[test]
    fn something_is_left_to_train_on() {
        let error = split(2, 0.5, 0.5).unwrap_err().to_string();
        assert!(error.contains("2 rows cannot be split"), "{error}");
    }

    #[test]
    fn rows_that_are_given_are_not_split_off() {
        let shares = Shares {
            validation: 0.5,
            test: 0.5,
            seed: 1,
        };
        let split = SplitRows::new(rows(8), Some(rows(3)), None)
            .complete(shares)
            .unwrap();
        assert_eq!(split.split_off[0], None);
        let off = split.split_off[1].as_deref().unwrap();
        assert_eq!(split.test, Some(rows(8).select(off)), "rows and their places");
        assert_eq!(
            split.notes,
            [
                "test: 4 rows split off the training rows with seed 1",
                "4 rows left to train on"
            ]
        );
        assert_eq!((split.train.len(), split.validation), (4, Some(rows(3))));
        assert!(
            SplitRows::new(rows(8), Some(rows(0)), None)
                .complete(shares)
                .is_err()
        );
    }
}
