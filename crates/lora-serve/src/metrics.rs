//! What Prometheus reads: counts and times, and no text.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Counts and times since the start.
#[derive(Debug)]
pub(crate) struct ServerMetrics {
    registry: Registry,
    requests: Family<OfRequest, Counter>,
    seconds: Histogram,
    texts: Family<OfAdapter, Counter>,
    truncated: Counter,
    batch_texts: Histogram,
    batch_seconds: Histogram,
    waiting: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    path: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAdapter {
    adapter: String,
}

impl ServerMetrics {
    pub fn new() -> Self {
        // From half a millisecond to 16 seconds; from one text to 512.
        let seconds = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("lora"),
            requests: Family::default(),
            seconds: seconds(),
            texts: Family::default(),
            truncated: Counter::default(),
            batch_texts: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            batch_seconds: seconds(),
            waiting: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(
            "requests",
            "Requests, by path and status",
            metrics.requests.clone(),
        );
        registry.register(
            "predict_seconds",
            "Time from the head of a prediction's request to its answer",
            metrics.seconds.clone(),
        );
        registry.register("texts", "Texts predicted, by adapter", metrics.texts.clone());
        registry.register(
            "truncated_texts",
            "Texts longer than their model reads",
            metrics.truncated.clone(),
        );
        registry.register("batch_texts", "Texts of a batch", metrics.batch_texts.clone());
        registry.register(
            "batch_seconds",
            "Time of a batch in the model",
            metrics.batch_seconds.clone(),
        );
        registry.register(
            "queue_texts",
            "Texts that wait for a batch",
            metrics.waiting.clone(),
        );
        metrics
    }

    /// A request was answered. `path` is that of a route, never what a client made up.
    pub fn request(&self, path: &str, status: u16, took: Duration) {
        let of = OfRequest {
            path: path.to_owned(),
            status,
        };
        self.requests.get_or_create(&of).inc();
        if path == "/predict" {
            self.seconds.observe(took.as_secs_f64());
        }
    }

    /// Texts were predicted.
    pub fn texts(&self, adapter: &str, texts: usize, truncated: usize) {
        let of = OfAdapter {
            adapter: adapter.to_owned(),
        };
        self.texts.get_or_create(&of).inc_by(texts as u64);
        self.truncated.inc_by(truncated as u64);
    }

    /// A batch went through the model.
    pub fn batch(&self, texts: usize, took: Duration) {
        self.batch_texts.observe(texts as f64);
        self.batch_seconds.observe(took.as_secs_f64());
    }

    /// As Prometheus reads it; `waiting` texts are in the queue.
    pub fn text(&self, waiting: usize) -> Result<String, fmt::Error> {
        self.waiting.set(waiting as i64);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
