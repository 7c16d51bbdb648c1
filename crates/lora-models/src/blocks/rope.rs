//! Rotary position embedding (Su et al. 2021, eq. 34), in the form of the LLaMA checkpoints: feature `i` is turned
//! together with feature `i + d_head/2`.

use std::f32::consts::TAU;

use burn::tensor::{Device, Tensor, TensorData};

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
}

/// The frequencies of a model: `1 / theta^(2i/d_head)`, scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// `[d_head / 2]`, radians a position.
    frequencies: Vec<f32>,
}

/// The rotation of some positions, made once a pass for all layers.
#[derive(Clone, Debug)]
pub struct Rotation {
    cos: Tensor<4>,
    sin: Tensor<4>,
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
        let plain = (0..d_head / 2).map(|pair| 1.0 / theta.powf((2 * pair) as f32 / d_head as f32));
        Self {
            frequencies: plain.map(|frequency| scaling.apply(frequency)).collect(),
        }
    }

    /// The rotation of the positions `first..first + seq`.
    pub fn rotation(&self, first: usize, seq: usize, device: &Device) -> Rotation {
        let shape = [1, 1, seq, self.frequencies.len()];
        let angles = || {
            let at = |position| {
                let turn = move |frequency: &f32| position as f32 * frequency;
                self.frequencies.iter().map(turn)
            };
            (first..first + seq).flat_map(at)
        };
        let tensor = |of: fn(f32) -> f32| {
            Tensor::from_data(
                TensorData::new(angles().map(of).collect::<Vec<_>>(), shape),
                device,
            )
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
            Self::None => frequency,
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
    pub fn apply(&self, heads: &Tensor<4>) -> Tensor<4> {
        let half = heads.dims()[3] / 2;
        let [first, second] = [0, half].map(|start| heads.clone().narrow(3, start, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let turned_first = first.clone() * cos.clone() - second.clone() * sin.clone();
        let turned_second = second * cos + first * sin;
        Tensor::cat(vec![turned_first, turned_second], 3)
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
    fn a_score_depends_on_the_distance_of_two_positions_alone() {
        let device = Device::default();
        let rope = Rope::new(6, 10_000.0, RopeScaling::None);
        let vector = |values: [f32; 6]| Tensor::<1>::from_floats(values, &device).reshape([1, 1, 1, 6]);
        let score = |query: usize, key: usize| {
            let turn = |heads: Tensor<4>, position| rope.rotation(position, 1, &device).apply(&heads);
            let query = turn(vector([0.3, -1.2, 0.7, 2.0, 0.1, -0.4]), query);
            let key = turn(vector([1.1, 0.2, -0.5, 0.9, -1.3, 0.6]), key);
            (query * key).sum().into_data().try_to_vec::<f32>().unwrap()[0]
        };
        assert!((score(3, 1) - score(12, 10)).abs() < 1e-5);
        assert!((score(3, 1) - score(3, 2)).abs() > 1e-2);
    }
}
