//! A trained adapter with a Gaussian over its factors: what `lora bayesianize` does.

use std::path::Path;

use lora_core::Adapted;
use lora_core::ensemble::check_members;
use lora_core::gaussian::Gaussian;
use lora_core::peft::{Average, EnsembleSettings};
use lora_core::vector::Part;
use lora_data::tasks::{Rows, of_own_files};
use lora_data::{LabelRule, Targets, Task, read_file};
use lora_eval::laplace::{Laplace, LaplaceSettings, Observed, Outputs, RootColumns, Structure};
use lora_eval::temperature::FEWEST_ROWS;
use lora_eval::tfb::{TfbSettings, largest_noise, low_rank_noise};
use lora_models::Transformer;
use serde::Serialize;

use crate::bail;
use crate::calibration::CalibrationFile;
use crate::config::DEFAULT_MEMBERS;
use crate::counted::counted;
use crate::data::benchmark::read_scored;
use crate::data::encoded::EncodedSplit;
use crate::data::indices_in_words;
use crate::error::{Context, Result};
use crate::inference::{JudgedRows, SplitOutputs, infer};
use crate::progress::{Counter, Progress};
use crate::saved::adapter::{ColumnOptions, OpenedAdapter, read_options};
use crate::saved::task_file::{FittedRules, InferenceKind, TaskFile};
use crate::score::comparison::MethodsInUse;
use crate::score::{ScoredMethod, calibrate, score_split};

/// Prior precisions of a Laplace approximation that validation rows choose from.
const PRECISIONS: [f64; 7] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6];
/// Classes from which on the curvature is estimated from draws.
const MOST_COLUMNS: usize = 8;

/// Where the Gaussian comes from.
#[derive(Debug)]
pub enum GaussianSource {
    /// The largest noise that the rows allow.
    Tfb(TfbSettings),
    /// The curvature of the loss on the rows of a training.
    Laplace {
        /// Those rows.
        train: Box<EncodedSplit>,
        /// Which entries of the curvature are computed.
        structure: Structure,
    },
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct BayesianizeOutcome {
    /// What was found, in a sentence.
    pub found: String,
    /// The ensemble that was calibrated.
    pub ensemble: EnsembleSettings,
    /// The better of the two on the rows, which `lora predict` uses.
    pub inference: InferenceKind,
    /// The same in a sentence, with how sure that is.
    #[serde(skip)]
    pub in_use: String,
    /// Scores on the rows: mean pass and ensemble.
    pub methods: Vec<ScoredMethod>,
}

/// Reads labelled rows for an adapter, in a file like those of its training.
///
/// # Errors
///
/// If the file cannot be read, or has no labels.
pub fn read_rows(
    opened: &OpenedAdapter,
    path: &Path,
    columns: &ColumnOptions,
    batch_size: usize,
    progress: &dyn Progress,
) -> Result<EncodedSplit> {
    let rows = match of_own_files(opened.task.problem_type()) {
        None => {
            let label_columns = opened.task_file.as_ref().map(|file| &file.label_columns[..]);
            let labels = LabelRule::of(&opened.task, label_columns.unwrap_or_default());
            let read = read_file(path, &read_options(opened.task_file.as_ref(), columns, labels))?;
            if let Some(label) = &read.index_label {
                progress.note(&indices_in_words(label, &read.dataset.task));
            }
            Rows::Texts(read.dataset)
        }
        Some(own) => {
            columns.check_unused(own)?;
            let scored = read_scored(own, path, Some("test"), opened.task.labels())?;
            progress.note(&scored.note);
            scored.rows
        }
    };
    if rows.len() < FEWEST_ROWS {
        progress.note(&format!(
            "{} are few to choose a noise and a temperature by; give at least {FEWEST_ROWS}",
            counted(rows.len(), "row")
        ));
    }
    let mut split = opened.encoder(batch_size).encode(&rows)?;
    split.keep_states(&opened.adapted);
    Ok(split)
}

/// Puts a Gaussian over the factors of a LoRA adapter, fits temperatures and the scores behind prediction sets on the same rows, and gives
/// an adapter that can be saved.
///
/// # Errors
///
/// If the adapter has no LoRA factors, rows have no label, or even the smallest noise costs too much.
pub fn bayesianize(
    mut opened: OpenedAdapter,
    rows: &EncodedSplit,
    method: &GaussianSource,
    (members, seed): (u64, u64),
    progress: &dyn Progress,
) -> Result<(OpenedAdapter, BayesianizeOutcome)> {
    check_members(members)?;
    let ensemble = EnsembleSettings {
        members,
        seed,
        average: Average::Probabilities,
    };
    let plain = opened.adapted.clone().with_posterior(None);
    let (posterior, found) = match method {
        GaussianSource::Tfb(settings) => {
            let noise = low_rank_noise(&plain)?;
            let rounds = ("at most ", settings.most_rounds().into());
            let mut search = Search::begin(&plain, rows, ensemble, rounds, progress)?;
            let without = search.loss_without;
            let found = largest_noise(&noise, settings, without, &mut |posterior| {
                search.loss(posterior, &format!("σ = {:.5}", sigma_of(posterior)))
            })?;
            search.bar.finish();
            let limit = if found.is_largest {
                ", the largest that was tried"
            } else {
                ""
            };
            let words = format!(
                "σ = {:.5}{limit}: loss {:.4} without noise, {:.4} of an ensemble of {members} with it",
                found.sigma, found.loss_without, found.loss
            );
            (found.posterior, words)
        }
        GaussianSource::Laplace { train, structure } => {
            let candidates = laplace(&plain, train, *structure, progress)?;
            let rounds = ("", PRECISIONS.len() as u64);
            let mut search = Search::begin(&plain, rows, ensemble, rounds, progress)?;
            let best = candidates.with_best_prior(&PRECISIONS, &mut |candidate: &Laplace| {
                let tried = format!("prior precision {}", candidate.prior_precision());
                search.loss(&gaussian(candidate)?, &tried)
            })?;
            search.bar.finish();
            let words = format!("prior precision {}, chosen on these rows", best.prior_precision());
            (gaussian(&best)?, words)
        }
    };
    let source = posterior.method();
    opened.adapted = plain.with_posterior(posterior);
    opened.ensemble = Some(ensemble);
    let outputs = infer(&opened.adapted, rows, Some(ensemble), "calibrating", progress)?;
    let fitted = calibrate(&outputs, rows, true, progress)?;
    opened.calibration = CalibrationFile::of(&outputs, rows, fitted.temperature)?;
    let methods = score_split(&outputs, rows, fitted)?;
    let in_use = MethodsInUse::of(&methods).context("nothing was scored")?;
    let (inference, not_told_apart_on) = (in_use.better(), in_use.not_told_apart_on()?);
    let in_use = in_use.in_words()?;
    let task = match opened.task_file.take() {
        Some(task) => task,
        None => task_file(&opened),
    };
    opened.task_file = Some(TaskFile {
        temperature: fitted.temperature,
        no_answer_threshold: fitted.threshold,
        ensemble: Some(ensemble),
        inference: Some(inference),
        not_told_apart_on,
        posterior: Some(source),
        ..task
    });
    let outcome = BayesianizeOutcome {
        found,
        ensemble,
        inference,
        in_use,
        methods,
    };
    Ok((opened, outcome))
}

/// Gaussians that are tried one after another on the same rows, as rounds of one count.
struct Search<'a> {
    plain: &'a Adapted<Transformer>,
    rows: &'a EncodedSplit,
    ensemble: EnsembleSettings,
    /// The mean pass, which all of them share.
    mean: SplitOutputs,
    /// Loss of the mean pass.
    loss_without: f64,
    /// Rounds that are over.
    over: u64,
    /// How many there are: `at most ` or nothing, and the number.
    rounds: (&'static str, u64),
    bar: Box<dyn Counter>,
}

impl<'a> Search<'a> {
    fn begin(
        plain: &'a Adapted<Transformer>,
        rows: &'a EncodedSplit,
        ensemble: EnsembleSettings,
        rounds: (&'static str, u64),
        progress: &dyn Progress,
    ) -> Result<Self> {
        let mean = infer(plain, rows, None, "scoring without noise", progress)?;
        let loss_without = last_loss(&mean, rows)?;
        let length = rounds.1 * ensemble.members * rows.encoded.len() as u64;
        Ok(Self {
            plain,
            rows,
            ensemble,
            mean,
            loss_without,
            over: 0,
            rounds,
            bar: progress.start(length, "searching", rows.noun()),
        })
    }

    /// The loss of the ensemble of a Gaussian; `tried` says which it is.
    fn loss(&mut self, posterior: &Gaussian, tried: &str) -> Result<f64> {
        let (at_most, rounds) = self.rounds;
        let round = format!("round {} of {at_most}{rounds}: {tried}", self.over + 1);
        self.bar.message(&round);
        let before = self.over * self.ensemble.members * self.rows.encoded.len() as u64;
        let asked = self.plain.clone().with_posterior(Some(posterior.clone()));
        let count = &mut |done| self.bar.set(before + done as u64);
        let outputs = self.mean.with_ensemble(&asked, self.rows, self.ensemble, count)?;
        let loss = last_loss(&outputs, self.rows)?;
        self.bar.note(&format!(
            "{round}, loss {loss:.4} ({:.4} without noise)",
            self.loss_without
        ));
        self.over += 1;
        Ok(loss)
    }
}

/// The loss of the last way to predict that was run.
fn last_loss(outputs: &SplitOutputs, rows: &EncodedSplit) -> Result<f64> {
    let methods = score_split(outputs, rows, FittedRules::default())?;
    Ok(methods.last().context("nothing was scored")?.scores.loss())
}

/// σ of a Gaussian that [`largest_noise`] tries, which writes it into its settings.
fn sigma_of(posterior: &Gaussian) -> f64 {
    posterior.settings()["sigma"].as_f64().unwrap_or(f64::NAN)
}

/// The members of an ensemble, unless said otherwise.
pub fn members_of(opened: &OpenedAdapter) -> u64 {
    opened
        .ensemble
        .map_or(DEFAULT_MEMBERS, |ensemble| ensemble.members)
}

fn gaussian(posterior: &Laplace) -> Result<Gaussian> {
    posterior
        .gaussian()
        .context("a full curvature has no form in an adapter folder; take diagonal or kronecker")
}

fn laplace(
    adapted: &Adapted<Transformer>,
    train: &EncodedSplit,
    structure: Structure,
    progress: &dyn Progress,
) -> Result<Laplace> {
    let Targets::Classes(labels) = train.truth() else {
        bail!("a Laplace approximation needs rows with a class each");
    };
    let classes = labels.iter().max().map_or(0, |most| most + 1);
    let settings = LaplaceSettings {
        part: Part::Adapters,
        structure,
        roots: if classes > MOST_COLUMNS {
            RootColumns::Sampled(MOST_COLUMNS)
        } else {
            RootColumns::Exact
        },
        ..LaplaceSettings::default()
    };
    let judged = JudgedRows::of(train)?;
    let outputs: Outputs<'_, Transformer> =
        &|model, batch, rows, pass| judged.batch_outputs(model, batch, rows, pass);
    let batches = train.batches.iter().map(|batch| (batch, batch.rows.as_slice()));
    let observed = Observed::Classes(&labels);
    let bar = progress.start(
        train.encoded.len() as u64,
        "computing the curvature",
        train.noun(),
    );
    let count = &mut |done| bar.set(done as u64);
    let fitted = Laplace::fit_outputs(adapted, batches, &observed, &settings, outputs, count)?;
    bar.finish();
    Ok(fitted)
}

/// `task.json` for a folder that PEFT wrote.
fn task_file(opened: &OpenedAdapter) -> TaskFile {
    let of_answers = matches!(opened.task, Task::QuestionAnswering { .. });
    TaskFile {
        doc_stride: of_answers.then_some(opened.lengths.overlap),
        max_answer_length: of_answers.then_some(opened.lengths.answer),
        ..TaskFile::new(&opened.task, &opened.base, opened.lengths.longest)
    }
}
