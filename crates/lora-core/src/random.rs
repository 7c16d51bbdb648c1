//! Random numbers from keys: each stream depends on a seed, a path and what is drawn, never on what was drawn before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, Uniform};
use xxhash_rust::xxh3::xxh3_64;

/// What a mask is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// A training step.
    Step {
        /// Number of the optimizer step.
        step: u64,
        /// Number of the mask within the step: several passes, or groups of one batch.
        sample: u32,
    },
    /// A member of an ensemble.
    Member(u64),
}

/// What is drawn for an adapter; keeps the streams of its masks and of the noise apart. The order is part of the streams.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoiseKind {
    Input,
    Output,
    Noise,
    /// Noise on what all rows of a group read.
    SharedNoise,
    Rank,
    /// Keys that attention does not see.
    Keys,
    /// Values cut out of a block's output.
    Cut,
}

/// The generator of one side of one adapter in one draw: its 256-bit key holds all four.
pub(crate) fn generator(seed: u64, path: &str, side: NoiseKind, draw: Draw) -> ChaCha8Rng {
    let (index, sample, kind) = match draw {
        Draw::Step { step, sample } => (step, sample, 1),
        Draw::Member(member) => (member, 0, 2),
    };
    keyed(seed, path, index, sample, kind, side as u16)
}

/// `count` draws from N(0, `deviation`²) that depend on `(seed, name)` alone: the start of a new weight.
///
/// # Panics
///
/// Panics if the deviation is negative or not finite.
pub fn seeded_normal(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation as f32).expect("the deviation is finite and not negative");
    normal
        .sample_iter(&mut parameter_generator(seed, name))
        .take(count)
        .collect()
}

/// `count` draws from the uniform distribution between two values that depend on `(seed, name)` alone.
///
/// # Panics
///
/// Panics unless `low` is below `high` and both are finite.
pub fn seeded_uniform(seed: u64, name: &str, count: usize, low: f64, high: f64) -> Vec<f32> {
    let uniform = Uniform::new(low as f32, high as f32).expect("the bounds are finite and in order");
    uniform
        .sample_iter(&mut parameter_generator(seed, name))
        .take(count)
        .collect()
}

/// The generator of a parameter's first values.
pub(crate) fn parameter_generator(seed: u64, path: &str) -> ChaCha8Rng {
    keyed(seed, path, 0, 0, 0, 0)
}

fn keyed(seed: u64, path: &str, index: u64, sample: u32, kind: u16, side: u16) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&xxh3_64(path.as_bytes()).to_le_bytes());
    key[16..24].copy_from_slice(&index.to_le_bytes());
    key[24..28].copy_from_slice(&sample.to_le_bytes());
    key[28..30].copy_from_slice(&kind.to_le_bytes());
    key[30..].copy_from_slice(&side.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
