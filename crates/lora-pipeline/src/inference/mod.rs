//! Running a model over rows: the mean pass, and the members of an ensemble.

pub mod adaptive;

use burn::tensor::Tensor;
use lora_core::peft::EnsembleSettings;
use lora_core::{Adapted, MaskSampler, Model, Pass};
use lora_data::{Batch, WordPlace};
use lora_eval::{
    Average, ModelOutputs, Passes, SpanScores, letter_logits, predict, predict_letters, predict_places,
    predict_spans,
};
use lora_models::Transformer;

use crate::bail;
use crate::data::encoded::{Detail, EncodedSplit, RowDetail};
use crate::error::Result;
use crate::progress::Progress;

/// `MethodOutputs` for a split, in each way that the model was run.
#[derive(Clone, Debug)]
pub struct MethodOutputs<T = ModelOutputs> {
    /// One pass with the expected update.
    pub mean: T,
    /// One pass a member.
    pub ensemble: Option<(EnsembleSettings, T)>,
}

impl<T> MethodOutputs<T> {
    /// Those of the ensemble if there is one, else of the mean pass.
    pub fn best(&self) -> &T {
        self.ensemble.as_ref().map_or(&self.mean, |(_, outputs)| outputs)
    }
}

/// `MethodOutputs` for a split of any task.
#[derive(Clone, Debug)]
pub enum SplitOutputs {
    /// Logits of classes, or values: of each text, judged word or question with choices.
    Rows(MethodOutputs),
    /// Scores of starts and ends: of each window of a context.
    Spans(MethodOutputs<SpanScores>),
}

impl SplitOutputs {
    /// The same mean pass beside the ensemble of another posterior over the same weights; `count` is told how many rows are done, counted
    /// once for each member.
    ///
    /// # Errors
    ///
    /// As [`infer`].
    pub fn with_ensemble(
        &self,
        adapted: &Adapted<Transformer>,
        split: &EncodedSplit,
        settings: EnsembleSettings,
        count: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        Ok(match self {
            Self::Rows(outputs) => Self::Rows(MethodOutputs {
                mean: outputs.mean.clone(),
                ensemble: Some((
                    settings,
                    run_members(adapted, split, settings, &row_passes, count)?,
                )),
            }),
            Self::Spans(outputs) => Self::Spans(MethodOutputs {
                mean: outputs.mean.clone(),
                ensemble: Some((
                    settings,
                    run_members(adapted, split, settings, &span_scores, count)?,
                )),
            }),
        })
    }
}

/// What draws the masks of an ensemble's members: those of LoRA Dropout; for an adapter that was trained without, PEFT's
/// input dropout (Monte Carlo dropout). Members of an adapter with a Gaussian over its weights are drawn from that, without masks.
pub fn member_sampler(adapted: &Adapted<Transformer>, seed: u64) -> MaskSampler {
    if adapted.posterior().is_some() {
        return MaskSampler {
            seed,
            dropout: None,
            input_dropout: 0.0,
        };
    }
    let dropout = adapted.dropout();
    MaskSampler {
        seed,
        dropout,
        input_dropout: if dropout.is_some() {
            0.0
        } else {
            adapted.input_dropout()
        },
    }
}

/// Runs the mean pass and the ensemble, if there is one.
///
/// # Errors
///
/// If the model has diverged, or its outputs for these rows are not scored.
pub fn infer(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Result<SplitOutputs> {
    Ok(match &split.detail {
        Detail::Spans(_) => {
            SplitOutputs::Spans(run_all(adapted, split, ensemble, what, progress, &span_scores)?)
        }
        _ => SplitOutputs::Rows(run_all(adapted, split, ensemble, what, progress, &row_passes)?),
    })
}

/// Runs the ensemble if there is one, else the mean pass, over texts, words or questions with choices.
///
/// # Errors
///
/// As [`JudgedRows::of`].
pub fn infer_rows(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Result<ModelOutputs> {
    run_one(adapted, split, ensemble, what, progress, &row_passes)
}

/// Runs the ensemble if there is one, else the mean pass, over questions about contexts.
///
/// # Errors
///
/// If the model has diverged.
pub fn infer_spans(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
) -> Result<SpanScores> {
    run_one(adapted, split, ensemble, what, progress, &span_scores)
}

/// Makes some passes over a split; the average is that of members.
type Run<'a, T> = &'a dyn Fn(
    &Adapted<Transformer>,
    &EncodedSplit,
    &Passes<'_>,
    Average,
    &mut dyn FnMut(usize),
) -> Result<T>;

fn run_all<T>(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
    run: Run<'_, T>,
) -> Result<MethodOutputs<T>> {
    let rows = split.encoded.len() as u64;
    let members = ensemble.map_or(0, |ensemble| ensemble.members);
    let bar = progress.start((1 + members) * rows, what, split.noun());
    bar.message("mean pass");
    let mean = run(adapted, split, &Passes::Mean, Average::default(), &mut |done| {
        bar.set(done as u64);
    })?;
    let ensemble = ensemble.map(|settings| -> Result<_> {
        // Each batch goes through all members before the next, so no single one is under way.
        bar.message(&format!("ensemble of {members}"));
        let count = &mut |done| bar.set(rows + done as u64);
        Ok((settings, run_members(adapted, split, settings, run, count)?))
    });
    let outputs = MethodOutputs {
        mean,
        ensemble: ensemble.transpose()?,
    };
    bar.finish();
    Ok(outputs)
}

fn run_one<T>(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    ensemble: Option<EnsembleSettings>,
    what: &str,
    progress: &dyn Progress,
    run: Run<'_, T>,
) -> Result<T> {
    let members = ensemble.map_or(1, |ensemble| ensemble.members);
    let bar = progress.start(members * split.encoded.len() as u64, what, split.noun());
    let count = &mut |done| bar.set(done as u64);
    let outputs = match ensemble {
        Some(settings) => run_members(adapted, split, settings, run, count)?,
        None => run(adapted, split, &Passes::Mean, Average::default(), count)?,
    };
    bar.finish();
    Ok(outputs)
}

fn run_members<T>(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    settings: EnsembleSettings,
    run: Run<'_, T>,
    count: &mut dyn FnMut(usize),
) -> Result<T> {
    let sampler = member_sampler(adapted, settings.seed);
    let passes = Passes::Members {
        sampler: &sampler,
        members: 0..settings.members,
    };
    run(adapted, split, &passes, settings.average, count)
}

fn row_passes(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    passes: &Passes<'_>,
    _: Average,
    count: &mut dyn FnMut(usize),
) -> Result<ModelOutputs> {
    Ok(JudgedRows::of(split)?.outputs(adapted, passes, count))
}

fn span_scores(
    adapted: &Adapted<Transformer>,
    split: &EncodedSplit,
    passes: &Passes<'_>,
    average: Average,
    count: &mut dyn FnMut(usize),
) -> Result<SpanScores> {
    let batches = split.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
    Ok(predict_spans(
        adapted,
        batches,
        &split.encoded.lengths(),
        passes,
        average,
        count,
    )?)
}

/// Rows with a class or a number each: texts, words, questions with choices.
#[derive(Clone, Copy, Debug)]
pub struct JudgedRows<'a> {
    split: &'a EncodedSplit,
    detail: &'a RowDetail,
}

impl<'a> JudgedRows<'a> {
    /// The rows of a split.
    ///
    /// # Errors
    ///
    /// For other rows: questions about contexts have a start and an end, completions one output a token.
    pub fn of(split: &'a EncodedSplit) -> Result<Self> {
        match &split.detail {
            Detail::Rows(detail) => Ok(Self { split, detail }),
            Detail::Spans(_) => bail!("questions about a context have a start and an end, not one output"),
            Detail::Completions => bail!(
                "instructions have no labels to score; use lora generate --adapter, or score the adapter on mmlu"
            ),
        }
    }

    /// `MethodOutputs` for every text, every judged word or every question, in all passes; `progress` is told how many rows are done, counted once
    /// for each pass.
    pub fn outputs(
        &self,
        adapted: &Adapted<Transformer>,
        passes: &Passes<'_>,
        progress: &mut dyn FnMut(usize),
    ) -> ModelOutputs {
        let split = self.split;
        let batches = split.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
        let adapted = adapted.with_states(split.states.as_ref());
        match self.detail {
            RowDetail::Texts => predict(adapted, batches, split.encoded.len(), passes, progress),
            RowDetail::Words(detail) => {
                let tokens = |words: &Vec<WordPlace>| words.iter().map(|place| place.token).collect();
                let places: Vec<Vec<usize>> = detail.words.iter().map(tokens).collect();
                predict_places(adapted, batches, &places, passes, progress)
            }
            RowDetail::Choices(detail) => {
                let last: Vec<Vec<usize>> = split
                    .batches
                    .iter()
                    .map(|batch| split.last_tokens(batch))
                    .collect();
                let batches = batches.zip(&last);
                let batches = batches.map(|((batch, rows), places)| (batch, rows, places.as_slice()));
                predict_letters(adapted, batches, &detail.letters, passes, progress)
            }
        }
    }

    /// `MethodOutputs` for a batch of the rows in one pass, in a form that gradients go through: `[rows, outputs]`; of sentences one row a token.
    pub fn batch_outputs(
        &self,
        model: &Transformer,
        batch: &Batch,
        rows: &[usize],
        pass: &Pass<'_>,
    ) -> Tensor<2> {
        let RowDetail::Choices(detail) = self.detail else {
            return model.forward(batch, pass);
        };
        let letters: Vec<&[u32]> = rows.iter().map(|row| &detail.letters[*row][..]).collect();
        // As wide in every batch: an answer that one batch lacks is an answer in another.
        let width = detail.letters.iter().map(Vec::len).max().unwrap_or(0);
        let last = self.split.last_tokens(batch);
        let mut outputs = model.forward_passes(batch, Some(&last), &[*pass], None);
        letter_logits(outputs.remove(0), &letters, width)
    }
}
