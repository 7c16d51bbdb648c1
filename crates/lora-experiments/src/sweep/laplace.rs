//! Laplace approximations of a trained model: fitted on its training rows once, then run on all rows.

use std::time::Instant;

use lora_core::Adapted;
use lora_data::Targets;
use lora_eval::calibration::Binning;
use lora_eval::laplace::{
    Laplace, LaplaceSettings, LastLayerFeatures, Observed, Outputs, RootColumns, Structure,
};
use lora_eval::regression::RegressionScores;
use lora_eval::{Average, ModelOutputs, Passes, Scores};
use lora_models::Transformer;
use lora_pipeline::bail;
use lora_pipeline::data::encoded::{Detail, EncodedSplit, RowDetail};
use lora_pipeline::error::Result;
use lora_pipeline::inference::JudgedRows;
use lora_pipeline::progress::CancelToken;

use super::data::TrialSplits;
use super::inference_method::{Prior, Varied};
use super::outputs::{TrialOutputs, batches, of_passes, of_posterior};

/// Prior precisions that validation rows choose among.
const PRECISIONS: [f64; 8] = [1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5];
/// Members by which they choose, whatever number predicts: λ is one number for all of them.
const CHOOSING_MEMBERS: u64 = 8;
/// Columns of a row's curvature, at most: each costs a forward and a backward pass. Of tasks with more classes they are drawn.
pub const MOST_COLUMNS: usize = 8;

/// Which approximation, and how its members are averaged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaplaceKind {
    /// Which parameters vary.
    pub of: Varied,
    /// Which entries of the curvature are kept.
    pub structure: Structure,
    /// What chooses λ.
    pub prior: Prior,
    /// Whether its average is taken in closed form, for the last layer.
    pub is_probit: bool,
}

/// Outputs of an approximation on all rows, none if Ctrl-C came between. The seed draws members.
///
/// # Errors
///
/// If the model has parameters without curvature here, or has diverged.
pub fn run(
    adapted: &Adapted<Transformer>,
    splits: &TrialSplits,
    seed: u64,
    kind: LaplaceKind,
    members: u64,
    cancel: &CancelToken,
) -> Result<Option<TrialOutputs>> {
    if kind.of == Varied::LastLayer && matches!(splits.train.detail, Detail::Rows(RowDetail::Choices(_))) {
        bail!(
            "the last layer of a language model is its table of words, which is not trained: questions with choices have the Laplace \
             approximation of adapters (`of: adapters`)"
        );
    }
    let started = Instant::now();
    let is_regression = matches!(splits.train.encoded.targets, Targets::Values(_));
    let approximation = Approximation {
        adapted,
        kind,
        is_regression,
    };
    let posterior = approximation.fit(splits, seed)?;
    let fitting_seconds = started.elapsed().as_secs_f64();
    let outputs = TrialOutputs::of(splits, cancel, |split| {
        approximation.outputs(&posterior, &approximation.rows(split)?, members)
    })?;
    Ok(outputs.map(|outputs| TrialOutputs {
        fitting_seconds,
        ..outputs
    }))
}

struct Approximation<'a> {
    adapted: &'a Adapted<Transformer>,
    kind: LaplaceKind,
    is_regression: bool,
}

/// Rows in the form that an approximation takes.
enum Rows<'a> {
    /// A pass for each member.
    Whole(&'a EncodedSplit),
    /// The one pass that all members of the last layer share.
    Features(LastLayerFeatures),
}

impl Approximation<'_> {
    fn fit(&self, splits: &TrialSplits, seed: u64) -> Result<Laplace> {
        let values;
        let targets = splits.train.truth();
        let observed = match &targets {
            Targets::Classes(classes) => Observed::Classes(classes),
            Targets::Values(numbers) => {
                values = doubles(numbers);
                let deviation = self.noise(&splits.validation)?;
                Observed::Values {
                    values: &values,
                    deviation,
                }
            }
            _ => bail!("a Laplace approximation needs rows with a class or a number each"),
        };
        let posterior = self.at_trained(&splits.train, &observed, seed)?;
        Ok(match self.kind.prior {
            Prior::Evidence => posterior.with_evidence_prior(),
            Prior::Fixed(precision) => posterior.with_prior(precision)?,
            Prior::Validation => {
                let rows = self.rows(&splits.validation)?;
                let targets = splits.validation.truth();
                let mut score =
                    |candidate: &Laplace| loss(&self.outputs(candidate, &rows, CHOOSING_MEMBERS)?, &targets);
                posterior.with_best_prior(&PRECISIONS, &mut score)?
            }
        })
    }

    /// With λ = 1.
    fn at_trained(&self, train: &EncodedSplit, observed: &Observed<'_>, seed: u64) -> Result<Laplace> {
        let LaplaceKind { of, structure, .. } = self.kind;
        let Some(part) = of.part() else {
            let features = self.features(train)?;
            let posterior = Laplace::of_last_layer(self.adapted, &features, observed, structure)?;
            return Ok(posterior.with_seed(seed));
        };
        let classes = match observed {
            Observed::Classes(classes) => classes.iter().max().map_or(0, |most| most + 1),
            Observed::Values { .. } => 1,
        };
        let roots = if classes > MOST_COLUMNS {
            RootColumns::Sampled(MOST_COLUMNS)
        } else {
            RootColumns::Exact
        };
        let settings = LaplaceSettings {
            part,
            structure,
            roots,
            prior_precision: 1.0,
            seed,
        };
        let judged = JudgedRows::of(train)?;
        let outputs: Outputs<'_, Transformer> =
            &|model, batch, rows, pass| judged.batch_outputs(model, batch, rows, pass);
        Ok(Laplace::fit_outputs(
            self.adapted,
            batches(train),
            observed,
            &settings,
            outputs,
            &mut |_| {},
        )?)
    }

    /// Root mean squared error of the mean pass on validation rows: those it was trained on would say too little.
    fn noise(&self, validation: &EncodedSplit) -> Result<f64> {
        let logits = of_passes(self.adapted, validation, &Passes::Mean)?;
        Ok(loss(&logits, &validation.truth())?.sqrt())
    }

    fn features(&self, split: &EncodedSplit) -> Result<LastLayerFeatures> {
        let rows = split.encoded.len();
        Ok(LastLayerFeatures::of(
            self.adapted,
            batches(split),
            rows,
            &mut |_| {},
        )?)
    }

    fn rows<'p>(&self, split: &'p EncodedSplit) -> Result<Rows<'p>> {
        Ok(match self.kind.of {
            // Of a regression the average over the last layer is the output of the mean pass, exactly.
            Varied::LastLayer if !(self.kind.is_probit && self.is_regression) => {
                Rows::Features(self.features(split)?)
            }
            _ => Rows::Whole(split),
        })
    }

    fn outputs(&self, posterior: &Laplace, rows: &Rows<'_>, members: u64) -> Result<ModelOutputs> {
        Ok(match rows {
            Rows::Features(features) if self.kind.is_probit => {
                let predictions = posterior.probit(features)?;
                ModelOutputs {
                    members: 1,
                    examples: predictions.examples(),
                    outputs: predictions.classes(),
                    values: predictions.logits().to_vec(),
                }
            }
            Rows::Features(features) => posterior.last_layer_members(features, 0..members)?,
            Rows::Whole(split) if self.kind.is_probit => of_passes(self.adapted, split, &Passes::Mean)?,
            Rows::Whole(split) => of_posterior(self.adapted, split, posterior, members)?,
        })
    }
}

/// Mean negative log-likelihood of the averaged probabilities, or mean squared error.
fn loss(outputs: &ModelOutputs, targets: &Targets) -> Result<f64> {
    match targets {
        Targets::Classes(labels) => {
            let probabilities = outputs
                .clone()
                .into_predictions()?
                .average(Average::Probabilities);
            Ok(Scores::of(&probabilities, labels, Binning::default())?.nll)
        }
        Targets::Values(values) => Ok(RegressionScores::of(&outputs.mean_values(), &doubles(values))?.mse),
        _ => bail!("a split has neither classes nor numbers as labels"),
    }
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}
