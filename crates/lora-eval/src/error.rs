//! What can be wrong with the numbers that an evaluation is to score.

use crate::calibration::Binning;

/// Why an evaluation was refused.
///
/// Every variant carries the facts; the message names the place, what was expected and how to fix it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EvalError {
    /// The number of values doesn't fit the announced axes.
    #[error(
        "{what} holds {found} values, expected {expected} (the product of its axes {axes:?}): \
         pass every value once, row-major"
    )]
    ValueCount {
        /// Which array.
        what: &'static str,
        /// The announced sizes of its axes.
        axes: Vec<usize>,
        /// Their product (`usize::MAX` where it doesn't fit).
        expected: usize,
        /// The values given.
        found: usize,
    },
    /// An axis is too short to be scored.
    #[error("the axis {axis} has length {found}, expected at least {minimum}: give more {axis}")]
    AxisTooShort {
        /// Name of the axis.
        axis: &'static str,
        /// Its length.
        found: usize,
        /// The least that makes sense.
        minimum: usize,
    },
    /// A logit is NaN or infinite.
    #[error(
        "the logit of member {member}, example {example}, class {class} is {value}, expected a finite \
         number: the model has diverged, train it with a smaller learning rate or in a wider number format"
    )]
    LogitNotFinite {
        /// Index of the ensemble member.
        member: usize,
        /// Index of the example.
        example: usize,
        /// Index of the class.
        class: usize,
        /// The value found.
        value: f32,
    },
    /// A value to be scored is NaN or infinite.
    #[error(
        "the {what} of example {example} is {value}, expected a finite number: remove or fix the example"
    )]
    ValueNotFinite {
        /// Which of the values (prediction, target, …).
        what: &'static str,
        /// Index of the example.
        example: usize,
        /// The value found.
        value: f64,
    },
    /// A probability is NaN or outside of 0..=1.
    #[error(
        "the probability of class {class} of example {example} is {value}, expected 0 to 1: \
         pass probabilities, not logits"
    )]
    ProbabilityOutOfRange {
        /// Index of the example.
        example: usize,
        /// Index of the class.
        class: usize,
        /// The value found.
        value: f64,
    },
    /// The probabilities of an example don't sum to one.
    #[error(
        "the probabilities of example {example} sum to {sum}, expected 1 within {tolerance}: \
         normalize each row over its classes"
    )]
    ProbabilitySum {
        /// Index of the example.
        example: usize,
        /// The sum found.
        sum: f64,
        /// The allowed distance from 1.
        tolerance: f64,
    },
    /// A confidence is NaN or outside of 0..=1.
    #[error(
        "the confidence of example {example} is {value}, expected 0 to 1: pass the top class's probability"
    )]
    ConfidenceOutOfRange {
        /// Index of the example within the accumulator.
        example: u64,
        /// The value found.
        value: f64,
    },
    /// A label or a predicted class isn't one of the classes.
    #[error(
        "the {what} of example {example} is class {found}, expected 0 to {}: score with the label names \
         that the model was trained with",
        classes.saturating_sub(1)
    )]
    ClassOutOfRange {
        /// Which of the two (label, prediction, …).
        what: &'static str,
        /// Index of the example.
        example: u64,
        /// The class found.
        found: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// The class whose F1 is requested isn't one of the classes.
    #[error(
        "class {found} was chosen as the positive class of F1, expected 0 to {}: GLUE counts class 1 of two",
        classes.saturating_sub(1)
    )]
    PositiveClass {
        /// The class requested.
        found: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// Two things that must speak of the same classes don't.
    #[error("{what} has {found} classes, expected {expected}: both must come from the same label set")]
    ClassCount {
        /// Which of the two is judged.
        what: &'static str,
        /// The number of classes expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// Two lists that must run over the same examples have different lengths.
    #[error("{what} holds {found} examples, expected {expected}: both lists must describe the same examples")]
    ExampleCount {
        /// Which of the two is judged.
        what: &'static str,
        /// The number of examples expected.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A score over no examples has no value.
    #[error("{metric} has no value over zero examples: give at least one")]
    NoExamples {
        /// The score requested.
        metric: &'static str,
    },
    /// A correlation with a constant has no value.
    #[error(
        "{metric} has no value because all {what} are equal ({value}): report the mean squared error instead"
    )]
    ConstantValues {
        /// The score requested.
        metric: &'static str,
        /// The constant side (predictions or targets).
        what: &'static str,
        /// The constant.
        value: f64,
    },
    /// The number of calibration bins is out of range.
    #[error("{found} calibration bins were requested, expected 1 to {maximum}: 15 is the common choice")]
    BinCount {
        /// The number requested.
        found: usize,
        /// The most that is allowed.
        maximum: usize,
    },
    /// Two reliability tables with different bins can't be merged.
    #[error(
        "a reliability table with {found} can't be merged into one with {expected}: use one binning for both"
    )]
    BinningMismatch {
        /// The binning of the table that is merged into.
        expected: Binning,
        /// The binning of the other table.
        found: Binning,
    },
    /// A temperature is NaN, not positive or absurd.
    #[error("the temperature is {found}, expected {minimum} to {maximum}: 1 leaves the logits as they are")]
    Temperature {
        /// The value given.
        found: f64,
        /// The smallest temperature allowed.
        minimum: f64,
        /// The largest temperature allowed.
        maximum: f64,
    },
    /// A setting of an adaptive ensemble that cannot decide anything.
    #[error("the {field} of an adaptive ensemble is {found}, expected {expected}")]
    StoppingRule {
        /// Which setting.
        field: &'static str,
        /// The value given.
        found: f64,
        /// What would do.
        expected: &'static str,
    },
    /// A member that the ensemble doesn't have.
    #[error(
        "{what} {found} was requested of an ensemble of {members} members, expected {minimum} to {maximum}"
    )]
    MemberOutOfRange {
        /// What was requested (a member by index, or the first so many members).
        what: &'static str,
        /// The number given.
        found: usize,
        /// The size of the ensemble.
        members: usize,
        /// The smallest number that makes sense.
        minimum: usize,
        /// The largest.
        maximum: usize,
    },
    /// Predictions that cannot be the members of one ensemble.
    #[error(
        "part {part} (from 0) of the ensemble has {found} {axis}, the parts before it {expected}: join models that scored the same \
         rows, in one order, with the same classes"
    )]
    PartsDiffer {
        /// Its index.
        part: usize,
        /// The axis that differs.
        axis: &'static str,
        /// Its length in the first part.
        expected: usize,
        /// Its length here.
        found: usize,
    },
    /// Predictions at different temperatures in one ensemble.
    #[error(
        "part {part} (from 0) of the ensemble has temperature {found}, the first one {expected}: join them at temperature 1, and fit \
         one temperature for the ensemble"
    )]
    TemperaturesDiffer {
        /// Its index.
        part: usize,
        /// The temperature of the first part.
        expected: f64,
        /// The temperature of this one.
        found: f64,
    },
    /// A bootstrap without resamples.
    #[error(
        "{found} bootstrap resamples were requested, expected at least {minimum}: 10000 is a good choice"
    )]
    ResampleCount {
        /// The number requested.
        found: usize,
        /// The least that makes sense.
        minimum: usize,
    },
    /// A confidence level outside of the open interval 0..1.
    #[error("the confidence level is {found}, expected a number between 0 and 1: 0.95 is the common choice")]
    ConfidenceLevel {
        /// The value given.
        found: f64,
    },
    /// Too few validation rows for sets of a stated coverage.
    #[error(
        "{found} validation rows{} are too few for sets that hold the true class with probability {coverage}, expected at least {needed}: \
         keep more rows for validation, or lower the coverage",
        match class { Some(class) => format!(" of class {class}"), None => String::new() }
    )]
    TooFewRows {
        /// The class whose rows they are; `None` for all rows.
        class: Option<usize>,
        /// The coverage requested.
        coverage: f64,
        /// The rows that there are.
        found: usize,
        /// The rows that are needed.
        needed: usize,
    },
    /// A model without anything that noise could be put on.
    #[error(
        "there is nothing to put noise on: the adapter has no factors A and B of LoRA, or all factors B are zero; give a LoRA adapter that \
         was trained"
    )]
    NothingToVary,
    /// Even the smallest noise costs too much.
    #[error(
        "even noise of σ = {smallest} raises the loss by more than a share of {tolerance}: raise the tolerance, take more members, or check \
         that the rows are like those of the training"
    )]
    NoNoiseAllowed {
        /// The smallest σ that was tried.
        smallest: f64,
        /// The tolerance.
        tolerance: f64,
    },
    /// The metric gave NaN or infinity on a bootstrap resample.
    #[error(
        "the difference of the metrics is {value} on {}, expected a finite number: choose a metric that has \
         a value on every resample",
        match resample { Some(index) => format!("bootstrap resample {index}"), None => "the data itself".to_owned() }
    )]
    DifferenceNotFinite {
        /// Index of the resample; `None` for the data itself.
        resample: Option<usize>,
        /// The value found.
        value: f64,
    },
    /// A setting or a value outside of where it makes sense.
    #[error("{what} is {found}, expected {expected}")]
    OutOfRange {
        /// What is wrong, with its symbol if it has one.
        what: &'static str,
        /// The value given.
        found: f64,
        /// Where it must lie, in words.
        expected: &'static str,
    },
    /// A score that compares two kinds of examples was given one kind only.
    #[error("{metric} has no value without {missing}: give at least one")]
    KindMissing {
        /// The score requested.
        metric: &'static str,
        /// The kind of examples that is missing.
        missing: &'static str,
    },
    /// A table of scores doesn't have one cell for each row and column.
    #[error(
        "a table of {methods} methods and {tasks} tasks holds {found} scores: give one for each method on each \
         task, and at least one of both"
    )]
    ScoreTable {
        /// Rows of the table.
        methods: usize,
        /// Columns of the table.
        tasks: usize,
        /// The scores given.
        found: usize,
    },
    /// A score of a table is NaN or infinite.
    #[error(
        "the score of method {method} on task {task} (from 0) is {value}, expected a finite number: leave out \
         a task that not every method was scored on"
    )]
    ScoreNotFinite {
        /// Row of the table.
        method: usize,
        /// Column of the table.
        task: usize,
        /// The value found.
        value: f64,
    },
    /// A question that must have an answer has none.
    #[error(
        "question {question} (from 0) has no answer to compare with: SQuAD v1.1 has none without; score as v2.0"
    )]
    NoAnswers {
        /// Index of the question within the accumulator.
        question: usize,
    },
    /// A metric of classes was requested for values, or the other way round.
    #[error("{metric} needs {needed}: choose the metric of the task")]
    WrongKind {
        /// The metric requested.
        metric: &'static str,
        /// What it needs.
        needed: &'static str,
    },
}
