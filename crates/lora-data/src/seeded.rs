//! Random generators addressed by what they are for, so that no two uses of one seed share numbers.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What random numbers are drawn for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of training rows; the counter is the epoch.
    TrainOrder = 1,
    /// The parts of a split; the counter is 0.
    Split = 2,
}

/// The generator of (seed, purpose, counter). The same on every machine: the key of the cipher is the three numbers.
pub(crate) fn generator(seed: u64, purpose: Purpose, counter: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&counter.to_le_bytes());
    // The last eight bytes say whose key this is: the crate that draws masks has another mark.
    key[24..].copy_from_slice(b"loradata");
    ChaCha8Rng::from_seed(key)
}
