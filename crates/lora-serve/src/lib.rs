//! Calibrated classifiers as an HTTP service: what `lora serve` runs.
//!
//! A request is parsed, its texts are tokenized and put into a bounded queue, and the handler waits. Worker threads own nothing but
//! what they compute: they take rows of one adapter, close in length, from the queue, and what comes out leads back to the requests.
//! So rows of many requests share a batch, and each has the bits that [`lora_pipeline::Predictor`] gives it alone.
//!
//! ```no_run
//! use lora_serve::{OpenOptions, ServeSettings, Server};
//!
//! # fn example(options: OpenOptions) -> Result<(), Box<dyn std::error::Error>> {
//! let settings = ServeSettings::new("127.0.0.1:8080".parse()?);
//! let server = Server::start(settings, options, &["reviews=runs/reviews".parse()?])?;
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! runtime.block_on(server.run(std::future::pending()))?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | where the server listens, and its limits |
//! | [`adapters`] | the adapters that are in memory, by name |
//! | [`server`] | start, run, end |
//! | `router` | what is answered under which path |
//! | `call`, `answer`, `error` | what is asked, what is answered, and why not |
//! | `queue`, `question`, `worker` | rows on their way into batches and back to their requests |
//! | `access`, `metrics` | who may ask; what Prometheus reads |

mod access;
pub mod adapters;
mod answer;
mod call;
mod error;
mod metrics;
mod question;
mod queue;
mod router;
pub mod server;
pub mod settings;
mod worker;

pub use access::BearerToken;
pub use adapters::{NamedFolder, OpenOptions};
pub use error::ServeError;
pub use server::Server;
pub use settings::{BatchLimits, RequestLimits, ServeSettings};
