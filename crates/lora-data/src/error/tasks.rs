//! What can be wrong with a benchmark task: its name, its files, and rows that are not of its form.

use std::path::PathBuf;

use thiserror::Error;

use crate::counted::counted;

use super::words::{did_you_mean, quoted};

/// Why a task was refused. For Parquet, which has no lines, a line is the number of the row, from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// No task of this name.
    #[error("there is no task `{given}`; the tasks are {}{}", known.join(", "), did_you_mean(nearest.as_ref()))]
    UnknownTask {
        /// The name as given.
        given: String,
        /// All names.
        known: Vec<String>,
        /// The task it may have meant.
        nearest: Option<String>,
    },

    /// The task has no such split.
    #[error("task `{task}` has no split `{given}`; it has {}{}", quoted(known), did_you_mean(nearest.as_ref()))]
    UnknownSplit {
        /// The task.
        task: &'static str,
        /// The split as given.
        given: String,
        /// Its splits.
        known: Vec<String>,
        /// The split it may have meant.
        nearest: Option<String>,
    },

    /// The folder holds no file of the split.
    #[error("`{}`: there is no file for the split `{split}` of task `{task}`; expected one of {} (or give the path of the file itself)", folder.display(), quoted(expected))]
    NoSplitFile {
        /// The folder as given.
        folder: PathBuf,
        /// The task.
        task: &'static str,
        /// The split.
        split: &'static str,
        /// The files that were looked for, below the folder.
        expected: Vec<String>,
    },

    /// The rows of a task are of another kind than is wanted.
    #[error("task `{task}` has {found}, where {wanted} are needed; choose a task that has them")]
    OtherRows {
        /// The task.
        task: &'static str,
        /// The kind of rows that is wanted.
        wanted: &'static str,
        /// The kind of rows of the task.
        found: &'static str,
    },

    // ---- rows ----
    /// A line that is not of the form `CLASS:detail text`.
    #[error("`{}`, line {line}: expected a class, a colon, a detail, a space and the question, as in `NUM:dist How far is it?`; fix or remove the line", file.display())]
    NotTrec {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
    },

    /// A line of words in columns that is unlike the first.
    #[error("`{}`, line {line}: {}, expected {expected}: the word first, its tag last, an empty line between sentences; fix the line", file.display(), counted(*found, "column"))]
    NotColumns {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// Columns of the first word.
        expected: usize,
        /// Columns of this one.
        found: usize,
    },

    /// Lists cannot stand in a CSV.
    #[error("`{}`: a CSV holds no lists of words and tags; write one word and its tag a line with an empty line between sentences (.conll), or JSONL with `tokens` and `tags`", file.display())]
    NoListsInCsv {
        /// The file.
        file: PathBuf,
    },

    /// More or fewer tags than words.
    #[error("`{}`, line {line}: {} and {}, expected a tag for each word; fix the row", file.display(), counted(*words, "word"), counted(*tags, "tag"))]
    TagCount {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// How many words.
        words: usize,
        /// How many tags.
        tags: usize,
    },

    /// A question with fewer than two choices.
    #[error("`{}`, line {line}: the question has {}, expected at least 2; give them as a list `choices` or in columns A, B, C…", file.display(), counted(*found, "choice"))]
    TooFewChoices {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// How many there are.
        found: usize,
    },

    /// An answer that names none of the choices.
    #[error("`{}`, line {line}: the answer `{answer}` names none of the {choices} choices; write its letter, its number from 1, or its text", file.display())]
    BadAnswer {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The answer found.
        answer: String,
        /// How many choices the question has.
        choices: usize,
    },

    /// An answer that may mean two choices.
    #[error("`{}`, line {line}: the answer `{answer}` is the number of a choice, counted from 1, and the text of choice {by_text}; write the letter of the right one", file.display())]
    AnswerOfTwo {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The answer found.
        answer: String,
        /// The number, from 1, of the choice whose text it is.
        by_text: usize,
    },

    /// An instruction that holds no question with choices.
    #[error("`{}`, line {line}: no question with its choices is found in `instruction`; expected `… question: … Answer1: … Answer2: … Answer format: …`, or columns question, choices and answer", file.display())]
    NoChoicesInText {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
    },

    /// An answer that is not where the file says.
    #[error("`{}`, question `{id}`: the context does not have `{answer}` at character {start}; correct answer_start (it counts characters from 0) or the answer", file.display())]
    AnswerElsewhere {
        /// The file.
        file: PathBuf,
        /// The id of the question.
        id: String,
        /// The answer.
        answer: String,
        /// Where it should start.
        start: usize,
    },

    /// An answer that is not in its context at all.
    #[error("`{}`, line {line}: the context does not hold the answer `{answer}`; an extractive answer is a part of its context, letter by letter", file.display())]
    AnswerNotInContext {
        /// The file.
        file: PathBuf,
        /// Where the row starts.
        line: usize,
        /// The answer.
        answer: String,
    },

    /// Two questions with one id: their predictions could not be told apart.
    #[error("`{}`: two questions have the id `{id}`; give each its own", file.display())]
    RepeatedId {
        /// The file.
        file: PathBuf,
        /// The id.
        id: String,
    },

    /// A subject without enough examples to show.
    #[error(
        "subject `{subject}` has {found} questions to show before the test question, expected {wanted}; ask for fewer shots or give the dev split of the same set"
    )]
    TooFewShots {
        /// The subject.
        subject: String,
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        found: usize,
    },

    // ---- tokens ----
    /// An answer letter that is not one token.
    #[error(
        "the answer ` {answer}` is {tokens} tokens after `{before}`, expected one; this tokenizer cannot answer by letters"
    )]
    AnswerTokens {
        /// The letter or word.
        answer: String,
        /// The end of the prompt before it.
        before: String,
        /// How many tokens it is.
        tokens: usize,
    },

    /// Two answers that a model cannot tell apart.
    #[error(
        "the answers ` {first}` and ` {second}` are one and the same token after `{before}`; this tokenizer cannot answer by letters"
    )]
    AnswersAlike {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The end of the prompt before them.
        before: String,
    },

    /// Question and special tokens leave no room for new context in a window.
    #[error(
        "max_seq_length {max_length} leaves {room} tokens of a window to the context, but windows overlap by {overlap}; raise the maximal length or lower the overlap"
    )]
    NoRoomForContext {
        /// Longest window.
        max_length: usize,
        /// What question and special tokens leave.
        room: usize,
        /// Tokens that two windows share.
        overlap: usize,
    },
}
