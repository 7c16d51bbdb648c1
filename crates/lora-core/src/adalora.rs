//! AdaLoRA's settings and its budget (arXiv 2303.10512), as PEFT has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;

/// What PEFT adds to the rank before it divides by it.
const RANK_GUARD: f64 = 1e-5;

/// AdaLoRA's settings under PEFT's names. Steps are counted from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdaLora {
    /// Average rank of a linear at the end.
    pub target_r: usize,
    /// Rank of every linear at the start.
    pub init_r: usize,
    /// Steps before the budget shrinks.
    pub tinit: u64,
    /// Steps at the end with a fixed rank pattern.
    pub tfinal: u64,
    /// Steps between two allocations.
    #[serde(rename = "deltaT")]
    pub delta_t: u64,
    /// Smoothing of the sensitivity, in `(0, 1)`.
    pub beta1: f64,
    /// Smoothing of the uncertainty, in `(0, 1)`.
    pub beta2: f64,
    /// Weight of the orthogonality loss.
    pub orth_reg_weight: f64,
    /// Steps of the whole training; a training sets its own where this is absent.
    pub total_step: Option<u64>,
    /// Which of the `init_r` triplets of each linear are kept, by path; empty before the first allocation.
    pub rank_pattern: RankPattern,
}

/// For each adapted linear, by path, which of its triplets are kept.
pub type RankPattern = BTreeMap<String, Vec<bool>>;

/// What AdaLoRA does in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetStep {
    /// Importance is measured; nothing is cut.
    Measure,
    /// Importance is measured and the budget is shared out anew; triplets may come back later.
    Allocate {
        /// Triplets to keep in all linears together.
        budget: usize,
    },
    /// The budget is shared out for the last time, with the importance measured so far.
    Finalize {
        /// Triplets to keep in all linears together.
        budget: usize,
    },
    /// The triplets that the last allocation cut are set to zero.
    Hold,
}

impl Default for AdaLora {
    /// PEFT's defaults.
    fn default() -> Self {
        Self {
            target_r: 8,
            init_r: 12,
            tinit: 0,
            tfinal: 0,
            delta_t: 1,
            beta1: 0.85,
            beta2: 0.85,
            orth_reg_weight: 0.5,
            total_step: None,
            rank_pattern: RankPattern::new(),
        }
    }
}

impl AdaLora {
    /// Steps of the training in which the budget does not shrink: `tinit` before and `tfinal` after; at most the largest `u64`.
    pub fn steps_outside(&self) -> u64 {
        self.tinit.saturating_add(self.tfinal)
    }

    /// Checks the ranges of the values.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, found, expected| Err(ConfigError::AdaLora { key, found, expected });
        if self.init_r == 0 {
            return Err(ConfigError::ZeroRank { key: "init_r".into() });
        }
        if self.target_r > self.init_r {
            return refuse(
                "target_r",
                self.target_r as f64,
                "at most init_r: ranks only shrink",
            );
        }
        if self.delta_t == 0 {
            return refuse("deltaT", 0.0, "at least 1: steps between two allocations");
        }
        for (key, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(beta > 0.0 && beta < 1.0) {
                return refuse(key, beta, "a number between 0 and 1");
            }
        }
        if !(self.orth_reg_weight.is_finite() && self.orth_reg_weight >= 0.0) {
            return refuse("orth_reg_weight", self.orth_reg_weight, "0 or a positive number");
        }
        if let Some(total) = self.total_step
            && self.steps_outside() >= total
        {
            return refuse(
                "total_step",
                total as f64,
                "more than tinit + tfinal: the budget shrinks in between",
            );
        }
        for (path, kept) in &self.rank_pattern {
            if kept.len() != self.init_r {
                return Err(ConfigError::RankPattern {
                    path: path.clone(),
                    expected: self.init_r,
                    found: kept.len(),
                });
            }
        }
        Ok(())
    }

    /// Rank of a linear in a file: what the rank pattern keeps, or the initial rank.
    pub fn rank_of(&self, path: &str) -> usize {
        self.rank_pattern
            .get(path)
            .map_or(self.init_r, |kept| kept.iter().filter(|kept| **kept).count())
    }

    /// Whether there is a rank pattern, and it keeps no triplet at all.
    pub fn keeps_nothing(&self) -> bool {
        !self.rank_pattern.is_empty() && !self.rank_pattern.values().flatten().any(|kept| *kept)
    }

    /// `α / (init_r + 1e-5)`: cutting triplets does not change it.
    pub fn scale(&self, alpha: f64) -> f64 {
        alpha / (self.init_r as f64 + RANK_GUARD)
    }

    /// What happens after the optimizer's update of step `step` of `total`, with `linears` adapted linears.
    ///
    /// Without final steps (`tfinal` 0) the last allocation is followed by up to `deltaT − 1` steps in which what it cut grows
    /// again. The very last step cuts it once more, as PEFT does when it saves: the trained model and its file are one.
    pub fn step(&self, step: u64, total: u64, linears: usize) -> BudgetStep {
        let last = total.saturating_sub(self.tfinal);
        let (initial, target) = (self.init_r * linears, self.target_r * linears);
        if step > last {
            BudgetStep::Hold
        } else if step == last {
            let budget = if step <= self.tinit { initial } else { target };
            BudgetStep::Finalize { budget }
        } else if step <= self.tinit || !step.is_multiple_of(self.delta_t) {
            if step + 1 == total {
                BudgetStep::Hold
            } else {
                BudgetStep::Measure
            }
        } else {
            let left = 1.0 - (step - self.tinit) as f64 / (last - self.tinit) as f64;
            // PEFT truncates, and multiplies in this order.
            #[expect(clippy::cast_sign_loss, reason = "no term is negative")]
            let budget = ((initial - target) as f64 * left.powi(3) + target as f64) as usize;
            BudgetStep::Allocate { budget }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AdaLora {
        AdaLora {
            target_r: 3,
            init_r: 6,
            tinit: 3,
            tfinal: 5,
            delta_t: 2,
            ..AdaLora::default()
        }
    }

    #[test]
    fn the_budget_falls_with_the_cube_of_what_is_left() {
        // Four linears: from 24 to 12 between steps 3 and 15; 12·(1 − (t−3)/12)³ + 12, truncated.
        let at = |step| settings().step(step, 20, 4);
        assert_eq!([at(0), at(2), at(3)], [BudgetStep::Measure; 3]);
        assert_eq!(at(4), BudgetStep::Allocate { budget: 21 }); // 12·(11/12)³ + 12 = 21.24
        assert_eq!(at(5), BudgetStep::Measure);
        assert_eq!(at(8), BudgetStep::Allocate { budget: 14 }); // 12·(7/12)³ + 12 = 14.38
        assert_eq!(at(14), BudgetStep::Allocate { budget: 12 }); // 12·(1/12)³ + 12 = 12.01
        assert_eq!(at(15), BudgetStep::Finalize { budget: 12 });
        assert_eq!([at(16), at(19)], [BudgetStep::Hold; 2]);
    }

    #[test]
    fn without_final_steps_the_last_step_cuts_what_the_last_allocation_cut() {
        let settings = AdaLora {
            tinit: 0,
            tfinal: 0,
            delta_t: 10,
            ..settings()
        };
        let at = |step| settings.step(step, 26, 4);
        assert_eq!(at(10), BudgetStep::Allocate { budget: 14 }); // 12·(16/26)³ + 12 = 14.80
        assert_eq!(at(20), BudgetStep::Allocate { budget: 12 }); // 12·(6/26)³ + 12 = 12.15
        assert_eq!([at(0), at(21), at(24)], [BudgetStep::Measure; 3]);
        assert_eq!(at(25), BudgetStep::Hold);
        // A last step that is one of PEFT's allocations stays one.
        assert!(matches!(settings.step(20, 21, 4), BudgetStep::Allocate { .. }));
    }

    #[test]
    fn cutting_does_not_change_the_scale() {
        let mut settings = settings();
        let before = settings.scale(16.0);
        settings
            .rank_pattern
            .insert("q".into(), vec![true, false, false, false, false, false]);
        assert_eq!(settings.rank_of("q"), 1);
        assert_eq!(settings.rank_of("v"), 6);
        assert_eq!(settings.scale(16.0), before);
        assert!((before - 16.0 / 6.000_01).abs() < 1e-12);
    }

    #[test]
    fn values_out_of_range_are_refused_by_key() {
        type Change = fn(&mut AdaLora);
        let cases: [(&str, Change); 7] = [
            ("init_r", |s| s.init_r = 0),
            ("target_r", |s| s.target_r = 7),
            ("deltaT", |s| s.delta_t = 0),
            ("beta1", |s| s.beta1 = 1.0),
            ("orth_reg_weight", |s| s.orth_reg_weight = f64::NAN),
            ("total_step", |s| s.total_step = Some(8)),
            ("rank_pattern", |s| {
                s.rank_pattern.insert("q".into(), vec![true]);
            }),
        ];
        for (key, change) in cases {
            let mut settings = settings();
            change(&mut settings);
            let sentence = settings.validate().expect_err(key).to_string();
            assert!(sentence.contains(key), "{sentence}");
        }
    }
}
