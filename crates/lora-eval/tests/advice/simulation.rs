//! Made-up classifiers whose true loss is known, and what the advice makes of a few of their validation rows.
//!
//! A row has true logits, and its label is drawn from their softmax. Plain LoRA and four variants of LoRA Dropout see the true logits
//! with errors, which they partly share, and are too sure or not sure enough by a factor. The advice sees some validation rows for each
//! of three seeds; the truth is the expected loss over many rows that nobody saw.

use lora_eval::selection::select;
use lora_eval::softmax::softmax;
use lora_eval::{Average, EvalError, Predictions, fit_temperature, judge_temperature};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use statrs::function::erf::erfc;

const SEEDS: usize = 3;
/// A loss above plain LoRA's by more than this is harm, in nats.
pub const HARM: f64 = 0.01;
/// A gain that must be found, in nats.
pub const WORTH: f64 = 0.05;

/// A kind of data set.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// For tables.
    pub name: &'static str,
    /// How many classes.
    pub classes: usize,
    /// How much larger the true logit of a row's own class is: hard 1, easy 8.
    pub separation: f64,
    /// How much more frequent, in logits, class 0 is than each other.
    pub imbalance: f64,
    /// Rows that are not test rows: training and validation rows of each seed are drawn from them.
    pub pool: usize,
    /// Validation rows of a seed.
    pub validation: usize,
}

/// The kinds of the issue: easy, hard, imbalanced, many classes, tiny.
pub const KINDS: [Kind; 6] = [
    kind("easy", 10, 8.0, 0.0, 350, 75),
    kind("hard", 2, 1.5, 0.0, 700, 150),
    kind("imbalanced", 2, 3.0, 3.0, 560, 120),
    kind("many classes", 50, 7.0, 0.0, 1050, 225),
    kind("tiny and hard", 3, 2.0, 0.0, 70, 40),
    kind("tiny and easy", 5, 7.0, 0.0, 70, 40),
];

const fn kind(
    name: &'static str,
    classes: usize,
    separation: f64,
    imbalance: f64,
    pool: usize,
    validation: usize,
) -> Kind {
    Kind {
        name,
        classes,
        separation,
        imbalance,
        pool,
        validation,
    }
}

/// How a method differs from the truth.
#[derive(Clone, Copy, Debug)]
struct Method {
    /// Factor of its logits: above 1 it is too sure.
    sureness: f64,
    /// Standard deviation of its errors.
    error: f64,
    /// Passes.
    members: usize,
}

/// One simulated comparison.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// True loss of what is advised minus that of plain LoRA.
    pub advised: f64,
    /// The same of the best method, with the best temperature.
    pub best: f64,
    /// The same of what the smallest loss on the fitted rows themselves would have advised.
    pub naive: f64,
    /// Whether plain LoRA without a temperature is advised.
    pub is_plain: bool,
    /// How often a test of one training of the true best method against plain LoRA, on as many validation rows, finds it better at the
    /// level of `select`: a yardstick for what those rows can tell somebody who knows which method and which temperature to test.
    pub power: f64,
}

/// Rows of a data set: true logits and errors that all methods share.
struct Rows {
    classes: usize,
    truth: Vec<Vec<f64>>,
    shared: Vec<Vec<f64>>,
}

impl Rows {
    fn draw(kind: &Kind, count: usize, rng: &mut ChaCha8Rng) -> Self {
        let frequent = kind.imbalance.exp();
        let all = frequent + kind.classes as f64 - 1.0;
        let truth = (0..count).map(|_| {
            let own = if rng.random_range(0.0..all) < frequent {
                0
            } else {
                rng.random_range(1..kind.classes.max(2))
            };
            let mut logits = normals(kind.classes, rng);
            logits[own] += kind.separation;
            logits[0] += kind.imbalance / 2.0;
            logits
        });
        let truth = truth.collect();
        let shared = (0..count).map(|_| normals(kind.classes, rng)).collect();
        Self {
            classes: kind.classes,
            truth,
            shared,
        }
    }

    /// `[members, rows, classes]` of one training.
    fn logits(&self, rows: &[usize], method: Method, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let own: Vec<Vec<f64>> = rows.iter().map(|_| normals(self.classes, rng)).collect();
        let mut logits = Vec::with_capacity(method.members * rows.len() * self.classes);
        for _ in 0..method.members {
            for (row, own) in rows.iter().zip(&own) {
                let scatter = if method.members > 1 { 0.7 } else { 0.0 };
                let rows = self.truth[*row].iter().zip(&self.shared[*row]).zip(own);
                for ((truth, shared), own) in rows {
                    let error = 0.8 * shared + 0.6 * own;
                    let member: f64 = StandardNormal.sample(rng);
                    logits.push((method.sureness * (truth + method.error * error + scatter * member)) as f32);
                }
            }
        }
        logits
    }

    fn labels(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let draw = |logits: &Vec<f64>| {
            let mut rest: f64 = rng.random();
            let probabilities = softmax(logits);
            let found = probabilities.iter().position(|p| {
                rest -= p;
                rest < 0.0
            });
            found.unwrap_or(0)
        };
        self.truth.iter().map(draw).collect()
    }

    /// The expected loss of predictions for all rows.
    fn expected_loss(&self, predictions: &Predictions, temperature: f64) -> Result<f64, EvalError> {
        let losses = losses(predictions, temperature)?;
        let of_row = |(losses, truth): (&[f64], &Vec<f64>)| {
            let p = softmax(truth);
            p.iter().zip(losses).map(|(p, loss)| p * loss).sum::<f64>()
        };
        let sum: f64 = losses.chunks(self.classes).zip(&self.truth).map(of_row).sum();
        Ok(sum / self.truth.len() as f64)
    }

    /// Mean and variance over rows and their labels of the loss of predictions minus that of others.
    fn difference(&self, first: &[f64], second: &[f64]) -> [f64; 2] {
        let (mut sum, mut squares) = (0.0, 0.0);
        let rows = first.chunks(self.classes).zip(second.chunks(self.classes));
        for ((first, second), truth) in rows.zip(&self.truth) {
            for ((p, first), second) in softmax(truth).iter().zip(first).zip(second) {
                sum += p * (first - second);
                squares += p * (first - second).powi(2);
            }
        }
        let rows = self.truth.len() as f64;
        [sum / rows, squares / rows - (sum / rows).powi(2)]
    }
}

/// `[rows, classes]`: the loss of predictions for each label that a row may have.
fn losses(predictions: &Predictions, temperature: f64) -> Result<Vec<f64>, EvalError> {
    let average = predictions
        .clone()
        .with_temperature(temperature)?
        .average(Average::Probabilities);
    Ok(average.rows().flatten().map(|q| -q.max(1e-300).ln()).collect())
}

/// How often a one-sided test at the level of `select` finds a difference of a mean and a variance a row, with so many rows.
fn power([mean, variance]: [f64; 2], rows: usize) -> f64 {
    // The quantile of 0.95 of a normal distribution.
    const LEVEL: f64 = 1.644_854;
    let z = -mean * (rows as f64 / variance).sqrt() - LEVEL;
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

fn normals(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn uniform(range: std::ops::Range<f64>, rng: &mut impl Rng) -> f64 {
    rng.random_range(range)
}

/// One comparison on made-up data. `unseen` rows measure the truth.
///
/// # Errors
/// None that a simulation can meet.
pub fn trial(kind: &Kind, unseen: usize, members: usize, seed: u64) -> Result<Trial, EvalError> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let plain = Method {
        sureness: uniform(-0.4..1.0, rng).exp(),
        error: uniform(0.6..1.4, rng),
        members: 1,
    };
    let mut methods = vec![plain];
    for _ in 0..2 {
        // Masks make less sure, or nearly as sure; errors grow or shrink.
        let mean = Method {
            sureness: plain.sureness.powf(uniform(0.3..1.1, rng)),
            error: plain.error * uniform(-0.3..0.3, rng).exp(),
            members: 1,
        };
        methods.push(mean);
        methods.push(Method { members, ..mean });
    }
    let pool = Rows::draw(kind, kind.pool, rng);
    let labels = pool.labels(rng);
    let test = Rows::draw(kind, unseen, rng);
    let all_test: Vec<usize> = (0..unseen).collect();
    let validation: Vec<Vec<usize>> = (0..SEEDS)
        .map(|_| {
            let mut rows: Vec<usize> = (0..kind.pool).collect();
            rows.shuffle(rng);
            rows.truncate(kind.validation);
            rows
        })
        .collect();

    // For each method: honest losses, true losses as advised, as they are, at their best, and what the fitted rows say.
    let (mut honest, mut advised, mut oracle, mut naive) = (vec![], vec![], vec![], vec![]);
    let mut best_losses: Vec<Vec<f64>> = vec![];
    let mut plain_losses = vec![];
    let mut plain_loss = 0.0;
    let mut plain_is_bare = true;
    for (index, method) in methods.iter().enumerate() {
        let (mut rows_of_seeds, mut of_advice, mut of_best) = (vec![], 0.0, 0.0);
        let (mut fitted_loss, mut of_naive, mut bare) = (0.0, 0.0, 0.0);
        for rows in &validation {
            let labels: Vec<usize> = rows.iter().map(|row| labels[*row]).collect();
            let of = |data: &Rows, rows: &[usize], rng: &mut ChaCha8Rng| {
                Predictions::new(
                    method.members,
                    rows.len(),
                    kind.classes,
                    data.logits(rows, *method, rng),
                )
            };
            let known = of(&pool, rows, rng)?;
            let unseen = of(&test, &all_test, rng)?;
            let judged = judge_temperature(&known, &labels, Average::Probabilities, seed)?;
            let temperature = judged.outcome.temperature();
            plain_is_bare &= index > 0 || temperature.is_none();
            of_advice += test.expected_loss(&unseen, temperature.unwrap_or(1.0))?;
            rows_of_seeds.push(judged.row_losses);
            bare += test.expected_loss(&unseen, 1.0)?;
            let mut lowest = (f64::INFINITY, 1.0);
            for step in -8..=8 {
                let temperature = (0.2 * f64::from(step)).exp();
                let loss = test.expected_loss(&unseen, temperature)?;
                if loss < lowest.0 {
                    lowest = (loss, temperature);
                }
            }
            of_best += lowest.0;
            if rows == &validation[0] {
                best_losses.push(losses(&unseen, lowest.1)?);
                if index == 0 {
                    plain_losses = losses(&unseen, 1.0)?;
                }
            }
            let fitted = fit_temperature(&known, &labels, Average::Probabilities)?;
            let temperature = if fitted.has_minimum {
                fitted.temperature
            } else {
                1.0
            };
            fitted_loss += fitted.nll_after;
            of_naive += test.expected_loss(&unseen, temperature)?;
        }
        if index == 0 {
            plain_loss = bare / SEEDS as f64;
        }
        honest.push(rows_of_seeds);
        advised.push(of_advice / SEEDS as f64);
        oracle.push(of_best / SEEDS as f64);
        naive.push((fitted_loss, of_naive / SEEDS as f64));
    }
    let selection = select(&honest)?;
    let best = (0..oracle.len()).min_by(|left, right| oracle[*left].total_cmp(&oracle[*right]));
    let best = best.unwrap_or(0);
    let luckiest = naive.iter().min_by(|left, right| left.0.total_cmp(&right.0));
    Ok(Trial {
        advised: advised[selection.chosen] - plain_loss,
        best: oracle[best] - plain_loss,
        naive: luckiest.map_or(0.0, |way| way.1) - plain_loss,
        is_plain: selection.chosen == 0 && plain_is_bare,
        // The seeds' rows are drawn from one pool.
        power: power(
            test.difference(&best_losses[best], &plain_losses),
            kind.pool.min(SEEDS * kind.validation),
        ),
    })
}

/// Shares over many trials of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Trials.
    pub trials: usize,
    /// Share in which the advice is worse than plain LoRA by more than [`HARM`].
    pub harmed: f64,
    /// The same of the smallest loss on the fitted rows themselves.
    pub naive_harmed: f64,
    /// Trials in which some method truly is better than plain LoRA by [`WORTH`] or more.
    pub worthwhile: usize,
    /// Share of these in which the advice is better by more than `WORTH − HARM`.
    pub found: f64,
    /// Mean of [`Trial::power`] over these: what a test finds that knows what to compare.
    pub power: f64,
    /// Mean true change of the loss that following the advice brings.
    pub mean_change: f64,
    /// Share in which plain LoRA without a temperature is advised.
    pub plain: f64,
}

/// Summarizes trials with the seeds `0..trials`.
///
/// # Errors
/// As [`trial`].
pub fn summarize(kind: &Kind, trials: usize, unseen: usize, members: usize) -> Result<Summary, EvalError> {
    let all = (0..trials as u64)
        .map(|seed| trial(kind, unseen, members, seed))
        .collect::<Result<Vec<_>, _>>()?;
    let share = |rows: &[&Trial], is: fn(&Trial) -> bool| {
        rows.iter().filter(|trial| is(trial)).count() as f64 / rows.len().max(1) as f64
    };
    let every: Vec<&Trial> = all.iter().collect();
    let worthwhile: Vec<&Trial> = all.iter().filter(|trial| trial.best <= -WORTH).collect();
    Ok(Summary {
        trials,
        harmed: share(&every, |trial| trial.advised > HARM),
        naive_harmed: share(&every, |trial| trial.naive > HARM),
        worthwhile: worthwhile.len(),
        power: worthwhile.iter().map(|trial| trial.power).sum::<f64>() / worthwhile.len() as f64,
        found: share(&worthwhile, |trial| trial.advised < HARM - WORTH),
        mean_change: all.iter().map(|trial| trial.advised).sum::<f64>() / trials as f64,
        plain: share(&every, |trial| trial.is_plain),
    })
}
