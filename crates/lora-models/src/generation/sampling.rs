//! How the next token is chosen. The steps, their order and their edge cases are those of Transformers' `generate`:
//! repetition penalty, temperature, top-k, top-p, then a draw.

use rand::SeedableRng;
use rand::distr::{Distribution, Uniform};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

/// The settings of a choice. Those that are off change nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the largest logit, without a draw.
    pub temperature: f64,
    /// Only the so many largest logits are drawn from, and those equal to the last of them; none: all.
    pub top_k: Option<usize>,
    /// Only the smallest set of largest probabilities that sum to this is drawn from; 1: all.
    pub top_p: f64,
    /// Logits of tokens that stand in the text are divided by this where positive and multiplied where negative (Keskar
    /// et al. 2019); 1: nothing.
    pub repetition_penalty: f64,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{key} is {found}: expected {expected}")]
pub struct SamplingError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub found: f64,
    /// What it may be.
    pub expected: &'static str,
}

/// Chooses tokens. The same seed makes the same choices from the same logits.
#[derive(Clone, Debug)]
pub struct Sampler {
    settings: Sampling,
    generator: ChaCha8Rng,
}

impl Sampling {
    /// The most probable token, always.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            repetition_penalty: 1.0,
        }
    }

    /// Changes logits as Transformers' processors do; what must not be drawn becomes −∞.
    ///
    /// # Shapes
    ///
    /// - logits: `[vocabulary]`
    pub fn process(&self, logits: &mut [f32], history: &[i32]) {
        self.penalize(logits, history);
        if self.temperature > 0.0 {
            let temperature = self.temperature as f32;
            for logit in logits.iter_mut() {
                *logit /= temperature;
            }
            self.keep_top_k(logits);
            self.keep_top_p(logits);
        }
    }

    fn penalize(&self, logits: &mut [f32], history: &[i32]) {
        let penalty = self.repetition_penalty as f32;
        let mut tokens: Vec<usize> = history
            .iter()
            .filter_map(|token| usize::try_from(*token).ok())
            .collect();
        tokens.sort_unstable();
        tokens.dedup(); // once, however often it stands there
        for token in tokens {
            if let Some(logit) = logits.get_mut(token) {
                *logit = if *logit < 0.0 {
                    *logit * penalty
                } else {
                    *logit / penalty
                };
            }
        }
    }

    fn keep_top_k(&self, logits: &mut [f32]) {
        let Some(count) = self.top_k.filter(|count| *count < logits.len()) else {
            return;
        };
        let mut sorted = logits.to_vec();
        let (_, last_kept, _) = sorted.select_nth_unstable_by(count - 1, |left, right| right.total_cmp(left));
        let last_kept = *last_kept;
        for logit in logits.iter_mut().filter(|logit| **logit < last_kept) {
            *logit = f32::NEG_INFINITY;
        }
    }

    fn keep_top_p(&self, logits: &mut [f32]) {
        if self.top_p >= 1.0 {
            return;
        }
        let mut ascending: Vec<usize> = (0..logits.len()).collect();
        ascending.sort_by(|left, right| logits[*left].total_cmp(&logits[*right]));
        let probabilities = softmax(logits);
        let mut sum = 0.0;
        let Some((_, all_but_largest)) = ascending.split_last() else {
            return;
        };
        for &token in all_but_largest {
            sum += probabilities[token];
            if sum > 1.0 - self.top_p {
                break;
            }
            logits[token] = f32::NEG_INFINITY;
        }
    }
}

impl Sampler {
    /// A sampler with checked settings.
    ///
    /// # Errors
    ///
    /// [`SamplingError`] for the first setting that cannot be used.
    pub fn new(settings: Sampling, seed: u64) -> Result<Self, SamplingError> {
        let refuse = |key, found, expected| Err(SamplingError { key, found, expected });
        let Sampling {
            temperature,
            top_k,
            top_p,
            repetition_penalty,
        } = settings;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return refuse(
                "temperature",
                temperature,
                "a number from 0; 0 always takes the most probable token",
            );
        }
        if top_k == Some(0) {
            return refuse("top_k", 0.0, "at least 1");
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return refuse("top_p", top_p, "a number above 0 and at most 1");
        }
        if !(repetition_penalty.is_finite() && repetition_penalty > 0.0) {
            return refuse(
                "repetition_penalty",
                repetition_penalty,
                "a number above 0; 1 is none",
            );
        }
        Ok(Self {
            settings,
            generator: ChaCha8Rng::seed_from_u64(seed),
        })
    }

    /// The next token after `history`. The logits are used up.
    ///
    /// # Panics
    ///
    /// Panics if there are no logits.
    pub fn choose(&mut self, logits: &mut [f32], history: &[i32]) -> i32 {
        assert!(!logits.is_empty(), "a token is chosen from logits");
        self.settings.process(logits, history);
        let token = if self.settings.temperature > 0.0 {
            self.draw(&softmax(logits))
        } else {
            largest(logits)
        };
        i32::try_from(token).expect("a vocabulary has fewer than 2^31 tokens")
    }

    fn draw(&mut self, probabilities: &[f64]) -> usize {
        let unit = Uniform::new(0.0, 1.0).expect("the range is not empty");
        let mut left = unit.sample(&mut self.generator) * probabilities.iter().sum::<f64>();
        let mut last = 0;
        for (token, probability) in probabilities.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            last = token;
            left -= probability;
            if left < 0.0 {
                break;
            }
        }
        last
    }
}

/// The first of the largest logits.
fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits[largest(logits)]);
    let powers: Vec<f64> = logits
        .iter()
        .map(|logit| (f64::from(*logit) - largest).exp())
        .collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use proptest::prelude::*;

    use super::*;

    fn kept(logits: &[f32]) -> Vec<usize> {
        (0..logits.len())
            .filter(|token| logits[*token].is_finite())
            .collect()
    }

    #[test]
    fn a_token_in_the_text_is_penalized_once_and_always_downwards() {
        let mut logits = [2.0, -2.0, 1.0];
        let sampling = Sampling {
            repetition_penalty: 2.0,
            ..Sampling::greedy()
        };
        sampling.process(&mut logits, &[0, 1, 0, 0]);
        assert_eq!(logits, [1.0, -4.0, 1.0]);
    }

    #[test]
    fn a_setting_out_of_range_is_named() {
        let greedy = Sampling::greedy();
        for (sampling, key) in [
            (
                Sampling {
                    temperature: -1.0,
                    ..greedy
                },
                "temperature",
            ),
            (
                Sampling {
                    temperature: f64::NAN,
                    ..greedy
                },
                "temperature",
            ),
            (
                Sampling {
                    top_k: Some(0),
                    ..greedy
                },
                "top_k",
            ),
            (Sampling { top_p: 0.0, ..greedy }, "top_p"),
            (Sampling { top_p: 1.5, ..greedy }, "top_p"),
            (
                Sampling {
                    repetition_penalty: 0.0,
                    ..greedy
                },
                "repetition_penalty",
            ),
        ] {
            assert_eq!(Sampler::new(sampling, 0).unwrap_err().key, key);
        }
    }

    #[test]
    fn draws_come_as_often_as_the_probabilities_say() {
        let sampling = Sampling {
            temperature: 1.0,
            ..Sampling::greedy()
        };
        let mut sampler = Sampler::new(sampling, 7).unwrap();
        let draws = 20_000;
        let mut counts = [0_u32; 3];
        for _ in 0..draws {
            let mut logits = [0.5_f32, 0.25, 0.25].map(f32::ln);
            counts[sampler.choose(&mut logits, &[]).cast_unsigned() as usize] += 1;
        }
        // Five standard deviations of a binomial share: 5 √(p (1 − p) / n) < 0.018.
        for (count, probability) in counts.into_iter().zip([0.5, 0.25, 0.25]) {
            assert!(
                (f64::from(count) / f64::from(draws) - probability).abs() < 0.018,
                "{counts:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn top_p_keeps_the_smallest_set_with_that_mass(
            logits in prop::collection::vec(-5.0_f32..5.0, 1..40),
            top_p in 0.05_f64..0.99,
        ) {
            let probabilities = softmax(&logits);
            let mut processed = logits.clone();
            Sampling { temperature: 1.0, top_p, ..Sampling::greedy() }.process(&mut processed, &[]);
            let kept = kept(&processed);
            let mass: f64 = kept.iter().map(|token| probabilities[*token]).sum();
            let smallest = kept.iter().map(|token| probabilities[*token]).fold(f64::INFINITY, f64::min);
            prop_assert!(mass >= top_p - 1e-9, "{mass}");
            prop_assert!(kept.len() == 1 || mass - smallest < top_p + 1e-9, "one token fewer would do");
            for (token, probability) in probabilities.iter().enumerate() {
                prop_assert!(kept.contains(&token) || *probability <= smallest);
            }
        }

        #[test]
        fn top_k_keeps_so_many_and_none_smaller_than_one_it_drops(
            logits in prop::collection::hash_set(-1000_i16..1000, 1..40),
            top_k in 1_usize..50,
        ) {
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut processed = logits.clone();
            Sampling { temperature: 1.0, top_k: Some(top_k), ..Sampling::greedy() }.process(&mut processed, &[]);
            let kept = kept(&processed);
            prop_assert_eq!(kept.len(), top_k.min(logits.len()));
            let smallest = kept.iter().map(|token| logits[*token]).fold(f32::INFINITY, f32::min);
            prop_assert_eq!(logits.iter().filter(|logit| **logit >= smallest).count(), kept.len());
        }
    }
}
