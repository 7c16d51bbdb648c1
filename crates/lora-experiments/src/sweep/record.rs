//! What a results file holds: one JSON object a line.

use lora_eval::detection::{DetectionScores, Doubt};
use lora_eval::glue::GlueMetric;
use lora_pipeline::files::provenance::MadeBy;
use lora_pipeline::score::TaskScores;
use lora_train::MaskChange;
use serde::{Deserialize, Serialize};

use super::file::{RowCount, Stopping, SweepFile};
use super::inference_method::InferenceMethod;
use super::settings::Settings;

/// Name of the format, in the first line.
pub const FORMAT: &str = "lora-sweep";
/// Its version.
pub const VERSION: u32 = 1;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first one.
    Header(Header),
    /// Before the results of each call.
    Run(Box<RunRecord>),
    /// A training that is done.
    Training(Box<TrainingRecord>),
    /// A trial that is done, or that failed.
    #[serde(rename = "cell")]
    Trial(Box<TrialRecord>),
}

/// What the file is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
}

/// What a call set out to compute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The file of the sweep.
    pub sweep: SweepFile,
    /// Program and command.
    pub made_by: MadeBy,
    /// Trainings at once.
    pub jobs: usize,
}

/// A training, told once for all trials that predict with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// Its key.
    pub key: String,
    /// Name of the task.
    pub task: String,
    /// Name of the method that brought it in.
    pub method: String,
    /// Its seed.
    pub seed: u64,
    /// Optimizer steps.
    pub steps: usize,
    /// The step of the best evaluation; none without evaluation.
    pub best_step: Option<u64>,
    /// The probability of masks from which step on, where one was looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mask_changes: Vec<MaskChange>,
    /// Numbers that were trained.
    pub trained_parameters: usize,
    /// Wall time.
    pub seconds: f64,
    /// Most memory of the process while it ran, in bytes, where that is known.
    pub peak_memory: Option<u64>,
    /// Step and loss of the objective: means over stretches of steps.
    pub losses: Vec<[f64; 2]>,
    /// Step and validation loss of every evaluation.
    pub evaluations: Vec<[f64; 2]>,
    /// Scores after the epochs that the sweep's `curve` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
}

/// A training on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Epochs done.
    pub epoch: u64,
    /// One pass with the expected update.
    pub mean: CurveScores,
    /// The ensemble, of a training that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<CurveScores>,
}

/// Scores of some training and test rows, without temperature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveScores {
    /// Rows that were learned.
    pub train: CurveScore,
    /// Test rows.
    pub test: CurveScore,
}

/// A point of a curve, in ten-thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveScore {
    /// Negative log-likelihood in nats, or squared error.
    pub loss: f64,
    /// Share of right answers; none for a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Calibration error; none for a regression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ece: Option<f64>,
}

/// A trial: one way to predict with one training, scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Its key.
    pub key: String,
    /// Name of the task.
    pub task: String,
    /// Training rows, as the file says it.
    pub rows: RowCount,
    /// Name of the method.
    pub method: String,
    /// How it predicts.
    pub prediction: InferenceMethod,
    /// Which model of its training predicts.
    #[serde(default, skip_serializing_if = "Stopping::is_early")]
    pub stopping: Stopping,
    /// Its seed.
    pub seed: u64,
    /// What drew training and validation rows.
    pub data_seed: u64,
    /// The settings of its trainings that are not the defaults.
    pub settings: Settings,
    /// Keys of its trainings.
    pub trainings: Vec<String>,
    /// What came out.
    pub outcome: TrialOutcome,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialOutcome {
    /// It was scored.
    Done(Box<TrialResult>),
    /// It could not be, and why.
    Failed(String),
}

/// The scores of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// What the task is scored by.
    pub metric: GlueMetric,
    /// Wall time of its trainings, also where they serve other trials, and of what is fitted to the trained model once (Laplace).
    pub training_seconds: f64,
    /// Wall time of predicting the test rows once, with all members.
    pub predicting_seconds: f64,
    /// Most memory of the process while it predicted, in bytes, where that is known.
    pub peak_memory: Option<u64>,
    /// Fitted and judged on the validation rows; 1 where none is better beyond chance, none for a regression.
    pub temperature: Option<f64>,
    /// On training rows, or a part of them.
    pub train: TaskScores,
    /// On validation rows.
    pub validation: Scored<TaskScores>,
    /// The validation rows, one by one: losses with the temperature, cross-fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_rows: Option<RowRecord>,
    /// On test rows.
    pub test: Scored<TaskScores>,
    /// The test rows, one by one.
    pub test_rows: Scored<RowRecord>,
    /// What the members of an ensemble say about each test row, without temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty: Option<UncertaintyRecord>,
    /// Prediction sets; none for a regression, or where validation rows are too few for their coverage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets: Option<Scored<SetRecord>>,
    /// On shifted rows, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifted: Option<ShiftedRecord>,
}

/// Something without temperature, and with the fitted one where there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored<T> {
    /// As it is.
    pub plain: T,
    /// With the fitted temperature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaled: Option<T>,
}

impl<T> Scored<T> {
    /// Without a temperature.
    pub fn plain(plain: T) -> Self {
        Self { plain, scaled: None }
    }

    /// With or without temperature.
    pub fn get(&self, is_scaled: bool) -> Option<&T> {
        if is_scaled {
            self.scaled.as_ref()
        } else {
            Some(&self.plain)
        }
    }
}

/// Test rows in few bytes: whole numbers of small units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowRecord {
    /// What `losses` are counted in: nats, or squared units of the label.
    pub unit: f64,
    /// Negative log-likelihood, or squared error, of each row.
    pub losses: Vec<u32>,
    /// Probability of the top class of each row, in ten thousandths; empty for a regression.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidence: Vec<u16>,
    /// `1` for each row whose top class is the label, else `0`; empty for a regression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub correct: String,
}

impl RowRecord {
    /// Parts of 1 in which confidence is counted.
    pub const CONFIDENCE: f64 = 10_000.0;

    /// Losses alone.
    pub fn of_losses(unit: f64, losses: Vec<u32>) -> Self {
        Self {
            unit,
            losses,
            confidence: Vec::new(),
            correct: String::new(),
        }
    }

    /// The loss of each row.
    pub fn row_losses(&self) -> Vec<f64> {
        self.losses
            .iter()
            .map(|loss| f64::from(*loss) * self.unit)
            .collect()
    }

    /// Confidence and correctness of each row; none for a regression.
    pub fn confidences(&self) -> impl Iterator<Item = (f64, bool)> + '_ {
        let confidences = self
            .confidence
            .iter()
            .map(|value| f64::from(*value) / Self::CONFIDENCE);
        confidences.zip(self.correct.bytes().map(|byte| byte == b'1'))
    }
}

/// Entropies of each test row in thousandths of nats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UncertaintyRecord {
    /// Of the averaged probabilities.
    pub predictive_entropy: Vec<u32>,
    /// What the members disagree about.
    pub mutual_information: Vec<u32>,
}

/// Sets of classes (LAC) whose thresholds are those of the validation rows, on test rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Share of the rows whose set holds the label.
    pub coverage: f64,
    /// Classes in a set, on average.
    pub mean_size: f64,
}

impl SetRecord {
    /// The coverage that is promised.
    pub const PROMISED: f64 = 0.9;
}

/// Scores on shifted rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShiftedRecord {
    /// Where the rows have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scored<TaskScores>>,
    /// How well doubt tells these rows from the test rows.
    pub detection: Scored<Vec<(Doubt, DetectionScores)>>,
}
