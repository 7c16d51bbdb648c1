//! The minimum of a smooth convex function: L-BFGS (Nocedal & Wright 2006, algorithm 7.5) with a backtracking line search.

use std::collections::VecDeque;

/// Steps whose curvature is remembered.
const MEMORY: usize = 12;
/// Steps at most: a likelihood without a minimum would be followed for ever.
const STEPS: usize = 1000;
/// The largest partial derivative at which the search ends.
const STATIONARY: f64 = 1e-10;
/// Share of the value by which a step must lower it, or one of the next few: below is rounding.
const PROGRESS: f64 = 1e-15;
/// Steps in a row without progress.
const PATIENCE: u32 = 5;
/// Share of the promised descent that a step must keep (Armijo).
const DESCENT: f64 = 1e-4;

/// A step: where it went, how the gradient changed, and one over their product.
struct Step {
    moved: Vec<f64>,
    changed: Vec<f64>,
    inverse: f64,
}

/// A function of a place: its value and its gradient.
type Function<'a> = dyn Fn(&[f64]) -> (f64, Vec<f64>) + 'a;

/// The place of the minimum of `function`.
pub(super) fn minimize(start: Vec<f64>, function: &Function<'_>) -> Vec<f64> {
    let mut place = start;
    let (mut value, mut gradient) = function(&place);
    let mut memory: VecDeque<Step> = VecDeque::new();
    let mut without_progress = 0;
    for _ in 0..STEPS {
        if gradient.iter().all(|slope| slope.abs() <= STATIONARY) {
            break;
        }
        let direction = direction(&gradient, &memory);
        let slope = product(&direction, &gradient);
        // The first step has no curvature to go by.
        let mut length = if memory.is_empty() {
            1.0_f64.min(1.0 / norm(&gradient))
        } else {
            1.0
        };
        let next = loop {
            let tried: Vec<f64> = place
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + length * d)
                .collect();
            let (found, its_gradient) = function(&tried);
            if found <= value + DESCENT * length * slope {
                break Some((tried, found, its_gradient));
            }
            length /= 2.0;
            if length < 1e-12 {
                break None;
            }
        };
        // Nothing below: the rest is rounding.
        let Some((tried, found, its_gradient)) = next else {
            break;
        };
        let moved: Vec<f64> = tried.iter().zip(&place).map(|(new, old)| new - old).collect();
        let changed: Vec<f64> = its_gradient
            .iter()
            .zip(&gradient)
            .map(|(new, old)| new - old)
            .collect();
        let is_progress = value - found > PROGRESS * value.abs().max(f64::MIN_POSITIVE);
        without_progress = if is_progress { 0 } else { without_progress + 1 };
        let curvature = product(&moved, &changed);
        if curvature > f64::MIN_POSITIVE {
            memory.push_back(Step {
                inverse: 1.0 / curvature,
                moved,
                changed,
            });
            if memory.len() > MEMORY {
                memory.pop_front();
            }
        }
        (place, value, gradient) = (tried, found, its_gradient);
        if without_progress == PATIENCE {
            break;
        }
    }
    place
}

/// Minus the gradient times the inverse curvature of the steps that are remembered.
fn direction(gradient: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = step.inverse * product(&step.moved, &direction);
        add(&mut direction, -share, &step.changed);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.inverse * product(&last.changed, &last.changed));
        for number in &mut direction {
            *number *= scale;
        }
    }
    for (step, share) in memory.iter().zip(shares.into_iter().rev()) {
        let other = step.inverse * product(&step.changed, &direction);
        add(&mut direction, share - other, &step.moved);
    }
    direction
}

/// `Σ x y`.
pub(super) fn product(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn norm(values: &[f64]) -> f64 {
    product(values, values).sqrt()
}

fn add(to: &mut [f64], factor: f64, values: &[f64]) {
    to.iter_mut()
        .zip(values)
        .for_each(|(to, value)| *to += factor * value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_ends_at_its_minimum() {
        // ½ (x − c)ᵀ diag(1, 10, 100) (x − c) with c = (3, −2, 0.5)
        let (scales, minimum) = ([1.0, 10.0, 100.0], [3.0, -2.0, 0.5]);
        let found = minimize(vec![0.0; 3], &|x| {
            let off: Vec<f64> = x.iter().zip(minimum).map(|(x, c)| x - c).collect();
            let value = off
                .iter()
                .zip(scales)
                .map(|(off, scale)| 0.5 * scale * off * off)
                .sum();
            (
                value,
                off.iter().zip(scales).map(|(off, scale)| scale * off).collect(),
            )
        });
        for (found, expected) in found.iter().zip(minimum) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
    }

    #[test]
    fn a_function_without_minimum_comes_to_an_end() {
        let found = minimize(vec![0.0], &|x| ((-x[0]).exp(), vec![-(-x[0]).exp()]));
        assert!(found[0] > 10.0);
    }
}
