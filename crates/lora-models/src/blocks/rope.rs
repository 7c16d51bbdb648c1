//! Rotary position embedding (Su et al. 2021, eq. 34), in the form of the LLaMA checkpoints: feature `i` is turned
//! together with feature `i + d_head/2`.

use std::f32::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};
use lora_kernels::rotary;

/// How the angles are changed for texts longer than those of pretraining.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// Every frequency divided by a factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f32,
    },
    /// LLaMA 3.1: low frequencies are divided by a factor, high ones stay, those between are blended.
    Llama3 {
        /// What low frequencies are divided by.
        factor: f32,
        /// Frequencies that turn fewer times than this within the context of pretraining are low.
        low_freq_factor: f32,
        /// Frequencies that turn more times than this are high.
        high_freq_factor: f32,
        /// Longest text of pretraining.
        original_context: f32,
    },
    /// `YaRN` (Peng et al. 2023): as [`RopeScaling::Llama3`], but blended by pair instead of by turn, and the rotated features
    /// are lengthened.
    Yarn(Yarn),
}

/// The settings of `YaRN`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// What low frequencies are divided by.
    pub factor: f32,
    /// Pairs that turn more times than this within the context of pretraining are left alone.
    pub beta_fast: f64,
    /// Pairs that turn fewer times than this are divided by the factor.
    pub beta_slow: f64,
    /// Longest text of pretraining.
    pub original_context: f64,
    /// Whether the two bounds are whole pairs.
    pub truncate: bool,
    /// What query and key are multiplied by.
    pub attention_factor: f32,
}

/// The frequencies of a model: `1 / theta^(2i/d_head)`, scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// `[d_head / 2]`, radians a position.
    frequencies: Vec<f32>,
    /// What the turned features are multiplied by.
    length: f32,
}

/// The rotation of some positions, made once a pass for all layers.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Both `[seq, d_head / 2]`.
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl Rope {
    /// The frequencies for heads of `d_head` features.
    ///
    /// # Panics
    ///
    /// Panics if `d_head` is odd.
    pub fn new(d_head: usize, theta: f32, scaling: RopeScaling) -> Self {
        assert!(d_head.is_multiple_of(2), "{d_head} features are no pairs");
        // In f32, and in this order, as the checkpoints were trained: at position 8000 an angle differs otherwise by 1e-3.
        let wavelengths = (0..d_head / 2).map(|pair| theta.powf((2 * pair) as f32 / d_head as f32));
        let (frequencies, length) = match scaling {
            RopeScaling::Yarn(yarn) => {
                let divided = yarn.divided(d_head, theta);
                let blend = |(pair, wavelength)| yarn.apply(wavelength, divided(pair));
                (
                    wavelengths.enumerate().map(blend).collect(),
                    yarn.attention_factor,
                )
            }
            other => (
                wavelengths
                    .map(|wavelength| other.apply(1.0 / wavelength))
                    .collect(),
                1.0,
            ),
        };
        Self { frequencies, length }
    }

    /// What scaling divides each frequency by, `[d_head / 2]`.
    pub(crate) fn wavelength_factors(d_head: usize, theta: f32, scaling: RopeScaling) -> Vec<f32> {
        let [plain, scaled] = [RopeScaling::None, scaling].map(|scaling| Self::new(d_head, theta, scaling));
        let frequencies = plain.frequencies.iter().zip(&scaled.frequencies);
        frequencies.map(|(plain, scaled)| plain / scaled).collect()
    }

    /// The rotation of the positions `first..first + seq`.
    pub fn rotation(&self, first: usize, seq: usize, device: &Device) -> Rotation {
        let shape = [seq, self.frequencies.len()];
        let angles = || {
            let at = |position| {
                let turn = move |frequency: &f32| position as f32 * frequency;
                self.frequencies.iter().map(turn)
            };
            (first..first + seq).flat_map(at)
        };
        let tensor = |of: fn(f32) -> f32| {
            let values: Vec<f32> = angles().map(|angle| of(angle) * self.length).collect();
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        Rotation {
            cos: tensor(f32::cos),
            sin: tensor(f32::sin),
        }
    }
}

impl RopeScaling {
    fn apply(self, frequency: f32) -> f32 {
        match self {
            Self::None | Self::Yarn(_) => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context,
            } => {
                let turns = original_context * frequency / TAU;
                let high = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                (1.0 - high) * frequency / factor + high * frequency
            }
        }
    }
}

impl Yarn {
    /// For each pair how much of it is divided by the factor: nothing up to the pair that turns `beta_fast` times, all from the
    /// one that turns `beta_slow` times on, and evenly more between.
    fn divided(self, d_head: usize, theta: f32) -> impl Fn(usize) -> f32 {
        let pair_of = |turns: f64| {
            let wavelength = self.original_context / (turns * std::f64::consts::TAU);
            d_head as f64 * wavelength.ln() / (2.0 * f64::from(theta).ln())
        };
        let (mut low, mut high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(d_head as f64 - 1.0));
        if low == high {
            high += 0.001;
        }
        let width = (high - low) as f32;
        move |pair| ((pair as f32 - low as f32) / width).clamp(0.0, 1.0)
    }

    fn apply(self, wavelength: f32, divided: f32) -> f32 {
        let kept = 1.0 - divided;
        1.0 / (self.factor * wavelength) * (1.0 - kept) + 1.0 / wavelength * kept
    }
}

impl Rotation {
    /// Turns every head.
    ///
    /// # Shapes
    ///
    /// - heads, output: `[batch, n_heads, seq, d_head]`
    ///
    /// # Panics
    ///
    /// Panics if `seq` or `d_head` differ from those of the rotation.
    pub fn apply(&self, heads: Tensor<4>) -> Tensor<4> {
        rotary(heads, self.cos.clone(), self.sin.clone())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    const LLAMA3: RopeScaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192.0,
    };

    #[test]
    fn llama3_leaves_fast_turns_alone_and_slows_slow_ones_by_the_factor() {
        assert!((LLAMA3.apply(1.0) - 1.0).abs() < 1e-6);
        // 0.9 turns within the context: low.
        let slow = 0.9 * TAU / 8192.0;
        assert!((LLAMA3.apply(slow) - slow / 8.0).abs() < 1e-9);
        // 2.5 turns: half way between 1 and 4, so half of it is divided by 8.
        let middle = 2.5 * TAU / 8192.0;
        assert!((LLAMA3.apply(middle) / middle - (0.5 + 0.5 / 8.0)).abs() < 1e-5);
    }

    #[test]
    fn yarn_divides_slow_pairs_leaves_fast_ones_and_blends_between() {
        // Twelve pairs of wavelength 2π·10^(pair/3): within 2000π positions a pair turns 10^(3 - pair/3) times. So pair 3 turns
        // 100 times, pair 9 once.
        let yarn = Yarn {
            factor: 8.0,
            beta_fast: 100.0,
            beta_slow: 1.0,
            original_context: 1000.0 * std::f64::consts::TAU,
            truncate: false,
            attention_factor: 1.25,
        };
        let rope = Rope::new(24, 10_000.0, RopeScaling::Yarn(yarn));
        let plain = Rope::new(24, 10_000.0, RopeScaling::None);
        let ratio = |pair: usize| rope.frequencies[pair] / plain.frequencies[pair];
        for (pair, expected) in [
            (0, 1.0),
            (3, 1.0),
            (6, 0.5 + 0.5 / 8.0),
            (9, 1.0 / 8.0),
            (11, 1.0 / 8.0),
        ] {
            assert!((ratio(pair) - expected).abs() < 1e-5, "{pair}: {}", ratio(pair));
        }
        assert_eq!((rope.length, plain.length), (1.25, 1.0));
    }

    #[test]
    fn a_score_depends_on_the_distance_of_two_positions_alone() {
        let device = Device::default();
        let rope = Rope::new(6, 10_000.0, RopeScaling::None);
        let vector = |values: [f32; 6]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 1, 6]);
        let score = |query: usize, key: usize| {
            let turn = |heads: Tensor<4>, position| rope.rotation(position, 1, &device).apply(heads);
            let query = turn(vector([0.3, -1.2, 0.7, 2.0, 0.1, -0.4]), query);
            let key = turn(vector([1.1, 0.2, -0.5, 0.9, -1.3, 0.6]), key);
            (query * key).sum().into_data().try_to_vec::<f32>().unwrap()[0]
        };
        assert!((score(3, 1) - score(12, 10)).abs() < 1e-5);
        assert!((score(3, 1) - score(3, 2)).abs() > 1e-2);
    }
}
