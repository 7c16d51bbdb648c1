//! Logits to probabilities of one example, without overflow, and its top class.

/// `softmax(z)_c = exp(z_c) / Σ_k exp(z_k)` of one row `[classes]`.
///
/// The largest logit is subtracted first, so that nothing overflows; the largest probability is never above 1.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = largest(logits);
    let mut row: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = row.iter().sum();
    for value in &mut row {
        *value /= sum;
    }
    row
}

/// `log softmax(z)_c = z_c − log Σ_k exp(z_k)` of one row `[classes]`, exact also where the probability itself rounds to 0.
pub fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let largest = largest(logits);
    let log_sum = logits
        .iter()
        .map(|logit| (logit - largest).exp())
        .sum::<f64>()
        .ln();
    logits.iter().map(|logit| logit - largest - log_sum).collect()
}

/// The index of the largest value; the lowest of them where several are equal, as numpy and torch answer.
///
/// # Panics
/// If `row` is empty.
pub fn top_class(row: &[f64]) -> usize {
    assert!(!row.is_empty(), "there are no classes to take the top one of");
    let mut top = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[top] {
            top = class;
        }
    }
    top
}

fn largest(logits: &[f64]) -> f64 {
    logits.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_survives_logits_that_overflow_the_exponential() {
        let row = softmax(&[1e4, 1e4 - 3.0_f64.ln(), -1e4]);
        assert!(
            (row[0] - 0.75).abs() < 1e-12 && (row[1] - 0.25).abs() < 1e-12,
            "{row:?}"
        );
        assert!(row[2].abs() < 1e-300);
    }

    #[test]
    fn log_softmax_is_exact_where_the_probability_rounds_to_zero() {
        assert_eq!(log_softmax(&[0.0, -2000.0]), [0.0, -2000.0]);
    }

    #[test]
    fn the_first_of_equal_classes_is_the_top_class() {
        assert_eq!(top_class(&[0.2, 0.4, 0.4]), 1);
    }
}
