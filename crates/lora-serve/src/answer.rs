//! What is answered.

use std::sync::Arc;

use lora_pipeline::calibration::CalibrationFile;
use lora_pipeline::predict::PredictedLabel;
use lora_pipeline::predict::prepared::PreparedPredictor;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::ServeSettings;

/// The answer to `POST /predict`.
#[derive(Debug, Serialize)]
pub(crate) struct PredictAnswer<'a> {
    pub adapter: &'a str,
    #[serde(flatten)]
    pub method: PredictMethod,
    /// In the order of the texts.
    pub predictions: Vec<AnsweredText>,
    /// What to know about their sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caution: Option<String>,
}

/// How an adapter predicts.
#[derive(Debug, Serialize)]
pub(crate) struct PredictMethod {
    /// `mean` or `ensemble`.
    inference: &'static str,
    /// Passes of the model over a text.
    members: u64,
    /// What logits are divided by.
    temperature: f64,
}

/// What is predicted of a text: as `lora predict --json` writes it, without the text.
#[derive(Debug, Serialize)]
pub(crate) struct AnsweredText {
    #[serde(flatten)]
    pub label: PredictedLabel,
    /// Whether the text is longer than the model reads, so that its end was not read.
    pub truncated: bool,
}

impl PredictMethod {
    pub fn of(predictor: &PreparedPredictor) -> Self {
        let ensemble = predictor.ensemble();
        Self {
            inference: if ensemble.is_some() { "ensemble" } else { "mean" },
            members: ensemble.map_or(1, |settings| settings.members),
            temperature: predictor.temperature(),
        }
    }
}

/// What `GET /info` says of an adapter.
pub(crate) fn adapter_info(name: &str, predictor: &PreparedPredictor) -> Value {
    let opened = predictor.opened();
    let task = predictor.task();
    let mut info = json!({
        "name": name,
        "problem_type": task.problem_type().name(),
        "labels": task.labels().map(lora_data::LabelNames::names),
        "reads_pairs": opened.reads_pairs(),
        "max_seq_length": opened.lengths.longest,
        "base_model": opened.base.name,
        "has_prediction_sets": opened.calibration.is_some(),
        "validation_rows": opened.calibration.as_ref().and_then(CalibrationFile::validation_rows),
    });
    if let (Value::Object(info), Ok(Value::Object(method))) =
        (&mut info, serde_json::to_value(PredictMethod::of(predictor)))
    {
        info.extend(method);
    }
    info
}

/// The answer to `GET /info`.
pub(crate) fn info(adapters: &[(String, Arc<PreparedPredictor>)], settings: &ServeSettings) -> Value {
    let adapters: Vec<Value> = adapters
        .iter()
        .map(|(name, one)| adapter_info(name, one))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapters": adapters,
        "limits": {
            "texts": settings.requests.texts,
            "body_bytes": settings.requests.body,
            "seconds": settings.requests.time.as_secs_f64(),
            "batch_texts": settings.batches.texts,
            "wait_ms": settings.batches.wait.as_secs_f64() * 1000.0,
            "queue_texts": settings.batches.queue,
            "workers": settings.workers,
        },
    })
}
