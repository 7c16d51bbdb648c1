//! How a run tells what it does, and how it is stopped. Libraries do not print: they tell a [`Progress`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Hears what a run does.
pub trait Progress: Sync {
    /// A line about what is going on.
    fn note(&self, line: &str);

    /// Work of a known length begins: `what` is done, in `unit`s.
    fn start(&self, length: u64, what: &str, unit: &'static str) -> Box<dyn Counter>;
}

/// How far a piece of work has come.
pub trait Counter: Send + Sync {
    /// So many units are done.
    fn set(&self, done: u64);

    /// So many more units are done.
    fn add(&self, more: u64);

    /// Such a share of the work is done, where units are not equally much: the time left is told from it.
    fn set_share(&self, _share: f64) {}

    /// What is done at the moment.
    fn message(&self, text: &str);

    /// A line that stays.
    fn note(&self, line: &str);

    /// Whether somebody sees the count.
    fn is_visible(&self) -> bool;

    /// The work is over.
    fn finish(&self);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _: &str) {}

    fn start(&self, _: u64, _: &str, _: &'static str) -> Box<dyn Counter> {
        Box::new(Self)
    }
}

impl Counter for Silent {
    fn set(&self, _: u64) {}

    fn add(&self, _: u64) {}

    fn message(&self, _: &str) {}

    fn note(&self, _: &str) {}

    fn is_visible(&self) -> bool {
        false
    }

    fn finish(&self) {}
}

/// Tells a run from outside to end after the step under way. Clones are one token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody asked for the end.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl From<Arc<AtomicBool>> for CancelToken {
    /// A flag that something else sets, such as the handler of a signal.
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}
