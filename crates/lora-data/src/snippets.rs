//! Sentences of four domains, each rated by many raters: text to learn from, three shifts of domain, and on every
//! text how far the raters disagree.
//!
//! The files are those of `crates/lora-experiments/snippets` (Hutto and Gilbert, 2014; its `SOURCE.md` says what was done). Ratings are
//! integers from −4 (extremely negative) to 4 (extremely positive).
//!
//! **Classes.** A score below −0.5 is negative, above 0.5 positive, between them (edges included) neutral. A single
//! rating, an integer, falls where its sign says. So the class of a text, cut from the mean of its ratings, and the
//! distribution of the raters' classes, cut from each rating, come from one rule. 0.5 is where a mean rounds to 0, and
//! it is what the data favour: in products, editorials and tweets no other multiple of 0.05 makes the class of the mean the
//! most frequent class of the single ratings more often (95 %, 92 % and 94 % of texts; movies, which have few neutral
//! ratings, 95 %).

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::dataset::{Dataset, Example, Target};
use crate::error::{ColumnError, DataError};
use crate::labels::LabelNames;
use crate::readers::delimited::plain_rows;
use crate::task::Task;

/// Half the width of the neutral band around 0: a score of this size is still neutral.
pub const NEUTRAL_BAND: f64 = 0.5;

/// The class names in the order of [`sentiment_class`].
const CLASSES: [&str; 3] = ["negative", "neutral", "positive"];

/// Where rated sentences come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// Movie reviews, 10,605 sentences.
    Movies,
    /// Product reviews, 3,708 sentences of 300 reviews.
    Products,
    /// Newspaper editorials, 5,190 sentences of 498 articles.
    Editorials,
    /// Tweets, 4,200.
    Tweets,
}

impl Domain {
    /// All domains.
    pub const ALL: [Self; 4] = [Self::Movies, Self::Products, Self::Editorials, Self::Tweets];

    /// The domain in one word; the file is `{name}.tsv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Movies => "movies",
            Self::Products => "products",
            Self::Editorials => "editorials",
            Self::Tweets => "tweets",
        }
    }
}

/// One sentence and its human labels.
#[derive(Debug, Clone, PartialEq)]
pub struct RatedText {
    /// `number`, or `group_number` where sentences come from one review or article.
    pub id: String,
    /// The sentence.
    pub text: String,
    /// The mean of the ratings.
    pub mean: f64,
    /// Each person's rating, −4 to 4.
    pub ratings: Vec<i8>,
}

impl RatedText {
    /// The class of the mean rating, as an index into [`sentiment_labels`].
    pub fn class(&self) -> usize {
        sentiment_class(self.mean)
    }

    /// The share of raters whose rating falls in each class `[classes]`, in the order of [`sentiment_labels`]; sums to 1.
    pub fn human_distribution(&self) -> [f64; CLASSES.len()] {
        let mut counts = [0_usize; CLASSES.len()];
        for &rating in &self.ratings {
            counts[sentiment_class(f64::from(rating))] += 1;
        }
        counts.map(|count| count as f64 / self.ratings.len() as f64)
    }

    /// The review or article that the sentence is from; its own id where it stands alone. Sentences of one group belong
    /// in one part of a split ([`grouped_split`](crate::grouped_split)).
    pub fn group(&self) -> &str {
        self.id.split_once('_').map_or(&self.id, |(group, _)| group)
    }
}

/// The class of a mean rating or a single rating: 0 below −[`NEUTRAL_BAND`], 2 above it, else 1.
pub fn sentiment_class(score: f64) -> usize {
    if score < -NEUTRAL_BAND {
        0
    } else if score > NEUTRAL_BAND {
        2
    } else {
        1
    }
}

/// `negative`, `neutral`, `positive`.
///
/// # Panics
/// Never: the names are constants.
pub fn sentiment_labels() -> LabelNames {
    LabelNames::new(CLASSES).expect("three different names")
}

/// The texts with the class of their mean rating, in order.
pub fn snippet_dataset(texts: &[RatedText]) -> Dataset {
    let example = |rated: &RatedText| Example {
        text: rated.text.clone(),
        text_pair: None,
        target: Some(Target::Class(rated.class())),
    };
    Dataset {
        examples: texts.iter().map(example).collect(),
        task: Task::Classification {
            labels: sentiment_labels(),
        },
    }
}

/// Reads the content of a file of `crates/lora-experiments/snippets`: plain TSV with the header `id, text, mean, ratings`.
///
/// `origin` is the file's path, for messages.
///
/// # Errors
/// [`DataError::Empty`], [`DataError::HeaderOnly`], [`ColumnError::MissingColumn`] (another header),
/// [`DataError::RaggedRow`], [`DataError::EmptyText`], [`DataError::BadRating`], [`DataError::WrongMean`].
pub fn read_snippets(content: &str, origin: impl AsRef<Path>) -> Result<Vec<RatedText>, DataError> {
    const HEADER: [&str; 4] = ["id", "text", "mean", "ratings"];
    let file = origin.as_ref();
    let mut rows = plain_rows(content);
    let (_, header) = rows.next().ok_or_else(|| DataError::Empty {
        file: file.to_path_buf(),
    })?;
    if let Some(missing) = HEADER
        .iter()
        .enumerate()
        .find(|&(index, name)| header.get(index) != Some(name))
    {
        return Err(ColumnError::MissingColumn {
            file: file.to_path_buf(),
            role: missing.1,
            wanted: (*missing.1).to_owned(),
            found: header.iter().map(|&name| name.to_owned()).collect(),
            nearest: None,
        }
        .into());
    }
    let texts = rows
        .map(|(line, fields)| rated_text(file, line, &fields))
        .collect::<Result<Vec<_>, _>>()?;
    if texts.is_empty() {
        Err(DataError::HeaderOnly {
            file: file.to_path_buf(),
        })
    } else {
        Ok(texts)
    }
}

fn rated_text(file: &Path, line: usize, fields: &[&str]) -> Result<RatedText, DataError> {
    let file = || PathBuf::from(file);
    let &[id, text, written_mean, ratings] = fields else {
        return Err(DataError::RaggedRow {
            file: file(),
            line,
            expected: 4,
            found: fields.len(),
            separator: None,
        });
    };
    if text.trim().is_empty() {
        return Err(DataError::EmptyText {
            file: file(),
            line,
            column: "text".to_owned(),
        });
    }
    let rating = |written: &str| {
        i8::from_str(written)
            .ok()
            .filter(|rating| (-4..=4).contains(rating))
            .ok_or_else(|| DataError::BadRating {
                file: file(),
                line,
                rating: written.to_owned(),
            })
    };
    let ratings = ratings.split(',').map(rating).collect::<Result<Vec<i8>, _>>()?;
    // From the ratings, not from the six written digits: a mean of exactly 0.5 must stay on its side of the cut.
    let mean = ratings.iter().map(|&rating| f64::from(rating)).sum::<f64>() / ratings.len() as f64;
    if !f64::from_str(written_mean).is_ok_and(|written| (written - mean).abs() < 1e-6) {
        return Err(DataError::WrongMean {
            file: file(),
            line,
            mean: written_mean.to_owned(),
            expected: mean,
        });
    }
    Ok(RatedText {
        id: id.to_owned(),
        text: text.to_owned(),
        mean,
        ratings,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#[expect(clippy::float_cmp, reason = "quarters are exact")]
mod tests {
    use super::*;

    const HEADER: &str = "id\ttext\tmean\tratings\n";

    fn read(rows: &str) -> Result<Vec<RatedText>, DataError> {
        read_snippets(&format!("{HEADER}{rows}"), "snippets.tsv")
    }

    #[test]
    fn a_row_becomes_a_text_with_its_ratings() {
        let texts = read("12_3\tit \"works\" well\t0.500000\t1,0,-1,2\n").unwrap();
        let text = &texts[0];
        assert_eq!((text.id.as_str(), text.group()), ("12_3", "12"));
        assert_eq!(text.text, "it \"works\" well");
        assert_eq!(text.ratings, [1, 0, -1, 2]);
        // Mean exactly 0.5: neutral. People: one negative, one neutral, two positive.
        assert_eq!(text.class(), 1);
        assert_eq!(text.human_distribution(), [0.25, 0.25, 0.5]);
    }

    #[test]
    fn a_rating_falls_where_its_sign_says() {
        let classes: Vec<usize> = (-4..=4_i8)
            .map(|rating| sentiment_class(f64::from(rating)))
            .collect();
        assert_eq!(classes, [0, 0, 0, 0, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn rows_that_contradict_themselves_are_refused_by_line() {
        let bad = [
            (
                "1\ta\t1.0\t1\n2\tb\t5.0\t5\n",
                "snippets.tsv`, line 3: rating `5`",
            ),
            ("1\ta\t1.0\t1,x\n", "line 2: rating `x`"),
            ("1\ta\t1.0\t\n", "line 2: rating ``"),
            (
                "1\ta\t0.25\t1,0\n",
                "line 2: mean `0.25` is not the mean 0.500000",
            ),
            ("1\ta\tNaN\t1,0\n", "line 2: mean `NaN`"),
            ("1\ta\t1\n", "line 2: 3 fields"),
            ("1\t \t1\t1\n", "line 2: the text in `text` is empty"),
            ("", "snippets.tsv`: there is a header and no row"),
        ];
        for (rows, sentence) in bad {
            let error = read(rows).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
        let error = read_snippets("id\tsentence\n1\ta\n", "other.tsv")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`other.tsv`: there is no text column `text`; the columns are `id`, `sentence`")
        );
    }
}
