//! Threads that take batches from the queue and run the model over them.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crate::error::ServeError;
use crate::metrics::ServerMetrics;
use crate::question::QueuedText;
use crate::queue::BatchQueue;

/// Starts the workers, each in a pool of its share of the threads: products of a few short texts are too small for all of them. They
/// end when the queue is closed and empty.
pub(crate) fn start_workers(
    workers: usize,
    queue: &Arc<BatchQueue<QueuedText>>,
    metrics: &Arc<ServerMetrics>,
) -> Result<Vec<JoinHandle<()>>, ServeError> {
    let threads = (rayon::current_num_threads() / workers).max(1);
    let start = |_| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| ServeError::System {
            what: "threads for a worker",
            source: std::io::Error::other(error),
        })?;
        let (queue, metrics) = (Arc::clone(queue), Arc::clone(metrics));
        let work = move || {
            // Within the pool, so that no batch is handed from thread to thread.
            pool.install(|| {
                while let Some(batch) = queue.next() {
                    compute(&batch, &metrics);
                }
            });
        };
        let thread = std::thread::Builder::new().name("lora-serve worker".to_owned());
        thread.spawn(work).map_err(|source| ServeError::System {
            what: "thread for a worker",
            source,
        })
    };
    (0..workers).map(start).collect()
}

/// Runs the model over a batch of one adapter. A panic is a bug, which costs the requests in the batch and nothing else.
fn compute(batch: &[QueuedText], metrics: &ServerMetrics) {
    let Some(first) = batch.first() else { return };
    let predictor = first.question.predictor();
    let begun = Instant::now();
    let rows: Vec<_> = batch
        .iter()
        .map(|text| (text.place, &text.question.text(text.place).tokens))
        .collect();
    let outputs = panic::catch_unwind(AssertUnwindSafe(|| predictor.outputs(&rows)));
    // Before anybody is answered, who may look at the counts next.
    metrics.batch(batch.len(), begun.elapsed());
    match outputs {
        Ok(outputs) => {
            for (row, text) in batch.iter().enumerate() {
                text.question.take(text.place, &outputs, row);
            }
        }
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let reason = said
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or_default();
            tracing::error!(
                texts = batch.len(),
                reason,
                "the model panicked; this is a bug in lora"
            );
            for text in batch {
                text.question.fail();
            }
        }
    }
}
