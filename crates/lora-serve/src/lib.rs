#![doc = include_str!("../README.md")]
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
pub use call::{LoadCall, PredictCall};
pub use error::{CallError, ServeError};
pub use server::Server;
pub use settings::{BatchLimits, RequestLimits, ServeSettings};
