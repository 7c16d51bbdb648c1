//! Ctrl-C, and SIGTERM, which schedulers send: while a training runs it ends after the step under way, and what is on disk says so; otherwise, and when pressed a
//! second time, it ends the program at once. And the signal of a file that grows too large, which is an error like a full disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use lora_pipeline::progress::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of a program that was interrupted, as shells count it.
pub const INTERRUPTED: u8 = 130;

/// What the signal sets. A handler cannot be taken back without leaving Ctrl-C dead, so it stays, and the flags change.
#[derive(Debug, Default)]
struct Flags {
    interrupted: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

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
pub struct InterruptGuard(CancelToken);

impl InterruptGuard {
    /// From now on a Ctrl-C, or a SIGTERM, cancels [`InterruptGuard::token`].
    ///
    /// # Errors
    ///
    /// If the system takes no handler.
    pub fn begin() -> Result<Self> {
        if let Some(flags) = FLAGS.get() {
            flags.interrupted.store(false, Ordering::SeqCst);
            flags.at_once.store(false, Ordering::SeqCst);
            return Ok(Self(Arc::clone(&flags.interrupted).into()));
        }
        let flags = FLAGS.get_or_init(Flags::default);
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds no wish to end at once, and leaves one behind.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&flags.at_once))
                .and_then(|_| flag::register(signal, Arc::clone(&flags.at_once)))
                .and_then(|_| flag::register(signal, Arc::clone(&flags.interrupted)))
                .context("cannot listen to Ctrl-C")?;
        }
        Ok(Self(Arc::clone(&flags.interrupted).into()))
    }

    /// What a Ctrl-C cancels.
    pub fn token(&self) -> &CancelToken {
        &self.0
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        if let Some(flags) = FLAGS.get() {
            flags.at_once.store(true, Ordering::SeqCst);
        }
    }
}
