//! How much matrix products have done.

use std::sync::atomic::{AtomicU64, Ordering};

static MULTIPLICATIONS: AtomicU64 = AtomicU64::new(0);

/// A product of so many multiplications is done.
pub(super) fn count(multiplications: usize) {
    MULTIPLICATIONS.fetch_add(multiplications as u64, Ordering::Relaxed);
}

/// Multiplications of all matrix products on the Flex backend in f32, since the process began: what a piece of work takes is the
/// difference between after and before. It tells work that is done for padding from work that is done for tokens, without a clock.
pub fn multiplications() -> u64 {
    MULTIPLICATIONS.load(Ordering::Relaxed)
}
