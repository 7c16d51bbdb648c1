#![doc = include_str!("../README.md")]
//!
//! An evaluation runs over four steps, each a type of its own:
//!
//! 1. [`Predictions`]: the logits `[members, examples, classes]` of an ensemble. A plain model has one member.
//! 2. [`ClassProbabilities`]: their [`average`](Predictions::average) `[examples, classes]`.
//! 3. Accumulators: counts and sums over examples. Batches are merged, so the split into batches doesn't matter:
//!    [`ConfusionMatrix`](classification::ConfusionMatrix), [`ReliabilityTable`](calibration::ReliabilityTable),
//!    [`NegativeLogLikelihood`](proper::NegativeLogLikelihood), [`BrierScore`](proper::BrierScore), or all in one,
//!    [`ScoreAccumulator`].
//! 4. [`Scores`]: the numbers.
//!
//! Members come from masks ([`predict`]), from a distribution over weights ([`predict_posterior`]; [`laplace`] and [`tfb`] make some), or from models
//! trained apart ([`Predictions::joined`]).
//!
//! Beside it: what the members disagree about ([`Uncertainty`]), ensembles that stop early ([`adaptive`]), [temperature
//! scaling](fit_temperature), [calibrators] of more than one number, [prediction sets](conformal) with a stated coverage, the
//! [bootstrap](Bootstrap) interval, the [interval over rows and seeds](CrossedInterval) and the [permutation test](permutation) of a difference, the [interval of a share](share_interval), [`MeanStd`] over seeds, the
//! [rank table](rank_table) over tasks, the [Pareto front](pareto), the scores of [`regression`], the metrics of [GLUE](glue) and
//! [SQuAD](squad), [multiple choice](choices) by answer letters, [named entities](entities), [answers in a text](spans), [selective]
//! prediction, [detection] of what is out of scope, and the paper's [bound](generalization).
//!
//! Everything here is computed on the host in double precision and is silent; wrong input is an [`EvalError`].

pub mod adaptive;
pub mod bootstrap;
pub mod calibration;
pub mod calibrators;
mod checks;
pub mod choices;
pub mod classification;
pub mod conformal;
pub mod crossed;
pub mod detection;
pub mod ensemble;
pub mod entities;
mod error;
mod gathered;
pub mod generalization;
pub mod glue;
mod joined;
pub mod laplace;
pub mod mean_std;
pub mod multi_label;
pub mod pareto;
mod passes;
pub mod permutation;
mod posterior;
pub mod predictions;
pub mod probabilities;
#[cfg(test)]
mod probe;
pub mod proper;
pub mod rank_table;
pub mod regression;
pub mod scores;
pub mod selection;
pub mod selective;
mod share;
pub mod softmax;
pub mod spans;
pub mod squad;
mod student;
pub mod temperature;
pub mod tfb;
pub mod tokens;
pub mod uncertainty;

pub use adaptive::{AdaptiveEnsemble, AdaptivePredictions, StoppingRule, predict_adaptively};
pub use bootstrap::{Bootstrap, BootstrapInterval};
pub use crossed::CrossedInterval;
pub use ensemble::{ModelOutputs, predict};
pub use error::EvalError;
pub use mean_std::MeanStd;
pub use multi_label::MultiLabelScores;
pub use passes::{DrawnPasses, Passes};
pub use posterior::{predict_members, predict_posterior};
pub use predictions::{Average, Predictions};
pub use probabilities::ClassProbabilities;
pub use scores::{ScoreAccumulator, Scores};
pub use share::share_interval;
pub use spans::{SpanScores, predict_spans};
pub use temperature::{
    FittedTemperature, JudgedTemperature, TemperatureOutcome, fit_temperature, judge_temperature,
};
pub use tokens::{letter_logits, predict_letters, predict_places};
pub use uncertainty::Uncertainty;
