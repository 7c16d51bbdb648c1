//! The embedded sentences: rows to train on, to validate with, to test on, and a domain that training never sees.

use lora_data::{RatedText, Targets, TextTokenizer, read_snippets, snippet_dataset, stratified_split};
use lora_eval::ClassProbabilities;
use lora_models::Checkpoint;
use lora_pipeline::base::checkpoint::open_tokenizer;
use lora_pipeline::data::encoded::EncodedPart;
use lora_pipeline::error::Result;

use super::plan::Plan;

pub(crate) const MOVIES: &str = include_str!("../../../../assets/snippets/movies.tsv");
pub(crate) const TWEETS: &str = include_str!("../../../../assets/snippets/tweets.tsv");

/// Longest text in tokens; the sentences are shorter, but for a handful.
const MAX_TOKENS: usize = 64;
/// Rows to a batch when nothing is learned.
const EVALUATION_BATCH: usize = 64;
/// The rows that are tested on are the same for every seed.
const TEST_SEED: u64 = 0;

/// Rows with their classes, and what people say about them.
pub struct DemoPart {
    /// The rows, tokenized.
    pub part: EncodedPart,
    /// The share of people whose rating falls in each class, `[rows, classes]`.
    pub people: ClassProbabilities,
}

/// The rows that every seed is tested on, and the pool that each draws its training rows from.
pub struct DemoData {
    /// Of the domain of training.
    pub test: DemoPart,
    /// Of the other domain.
    pub shifted: DemoPart,
    pool: Vec<RatedText>,
    tokenizer: TextTokenizer,
}

impl DemoData {
    /// Reads and tokenizes the embedded sentences.
    ///
    /// # Errors
    ///
    /// Never with the files of this repository.
    pub fn open(checkpoint: &Checkpoint, plan: &Plan) -> Result<Self> {
        let tokenizer = open_tokenizer(checkpoint, MAX_TOKENS)?;
        let movies = read_snippets(MOVIES, "movies.tsv")?;
        let tweets = read_snippets(TWEETS, "tweets.tsv")?;
        let [test, pool] = split(&movies, [plan.test, movies.len() - plan.test], TEST_SEED)?;
        let [shifted] = split(&tweets, [plan.shifted], TEST_SEED)?;
        Ok(Self {
            test: DemoPart::new(&test, &tokenizer)?,
            shifted: DemoPart::new(&shifted, &tokenizer)?,
            pool,
            tokenizer,
        })
    }

    /// Training and validation rows of a seed.
    ///
    /// # Errors
    ///
    /// If the plan asks for more rows than there are.
    pub fn draw(&self, plan: &Plan, seed: u64) -> Result<[DemoPart; 2]> {
        let [train, validation] = split(&self.pool, [plan.train, plan.validation], seed)?;
        Ok([
            DemoPart::new(&train, &self.tokenizer)?,
            DemoPart::new(&validation, &self.tokenizer)?,
        ])
    }

    /// The token that fills batches.
    ///
    /// # Errors
    ///
    /// Never with the embedded tokenizer.
    pub fn pad_id(&self) -> Result<u32> {
        Ok(self.tokenizer.pad_id()?)
    }
}

impl DemoPart {
    fn new(texts: &[RatedText], tokenizer: &TextTokenizer) -> Result<Self> {
        let shares: Vec<[f64; 3]> = texts.iter().map(RatedText::human_distribution).collect();
        Ok(Self {
            part: EncodedPart::new(&snippet_dataset(texts), tokenizer, EVALUATION_BATCH)?,
            people: ClassProbabilities::new(shares.len(), 3, shares.concat())?,
        })
    }

    /// The class of each row.
    pub fn labels(&self) -> &[usize] {
        match &self.part.encoded.targets {
            Targets::Classes(classes) => classes,
            _ => unreachable!("snippets have classes"),
        }
    }
}

/// Parts with the class mixture of the whole.
fn split<const PARTS: usize>(
    texts: &[RatedText],
    sizes: [usize; PARTS],
    seed: u64,
) -> Result<[Vec<RatedText>; PARTS]> {
    let classes: Vec<usize> = texts.iter().map(RatedText::class).collect();
    let parts = stratified_split(&classes, &sizes, seed)?;
    let mut parts = parts
        .into_iter()
        .map(|rows| rows.into_iter().map(|row| texts[row].clone()).collect());
    Ok(std::array::from_fn(|_| parts.next().unwrap_or_default()))
}
