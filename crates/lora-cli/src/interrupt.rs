//! Ctrl-C: while a training runs it ends after the step under way, and what is on disk says so; otherwise, and when pressed a
//! second time, it ends the program at once. And the signal of a file that grows too large, which is an error like a full disk.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use thiserror::Error;

/// Exit code of a program that was interrupted, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// What the signal sets. A handler cannot be taken back without leaving Ctrl-C dead, so it stays, and the flags change.
#[derive(Debug, Default)]
struct Flags {
    asked: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

/// A training that was ended by Ctrl-C.
#[derive(Debug, Error)]
#[error("interrupted at step {step}; {}", kept(folder.as_ref()))]
pub struct Interrupted {
    /// Optimizer steps done.
    pub step: usize,
    /// The output folder, if a checkpoint is in it.
    pub folder: Option<PathBuf>,
}

fn kept(folder: Option<&PathBuf>) -> String {
    match folder {
        Some(folder) => format!(
            "{0} holds the best adapter so far, and {0}/last that of this step",
            folder.display()
        ),
        None => "there was no evaluation yet, so nothing was written".to_owned(),
    }
}

/// From now on a file that grows beyond the user's limit (`ulimit -f`) makes its write fail, as a full disk does, and what was
/// begun is taken back; the signal that goes with the limit would end the program in the middle. Where the system takes no
/// handler it still does.
pub fn let_large_writes_fail() {
    #[cfg(unix)]
    {
        let _ = flag::register(signal_hook::consts::SIGXFSZ, Arc::default());
    }
}

/// As long as this lives, the first Ctrl-C only asks for an end.
#[derive(Debug)]
pub struct Patience(());

impl Patience {
    /// From now on [`is_asked`] tells of a Ctrl-C.
    ///
    /// # Errors
    ///
    /// If the system takes no handler.
    pub fn begin() -> Result<Self> {
        if let Some(flags) = FLAGS.get() {
            flags.asked.store(false, Ordering::SeqCst);
            flags.at_once.store(false, Ordering::SeqCst);
            return Ok(Self(()));
        }
        let flags = FLAGS.get_or_init(Flags::default);
        // In this order: the first signal finds no wish to end at once, and leaves one behind.
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED.into(), Arc::clone(&flags.at_once))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&flags.at_once)))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&flags.asked)))
            .context("cannot listen to Ctrl-C")?;
        Ok(Self(()))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(flags) = FLAGS.get() {
            flags.at_once.store(true, Ordering::SeqCst);
        }
    }
}

/// Whether somebody wants the training to end.
pub fn is_asked() -> bool {
    FLAGS
        .get()
        .is_some_and(|flags| flags.asked.load(Ordering::SeqCst))
}
