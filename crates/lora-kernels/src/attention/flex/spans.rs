//! Which keys the queries of one head see: what a bias hides is not multiplied.

use std::ops::Range;

use crate::attention::HIDDEN;

/// Neighbouring queries, and the keys from the first to the last that any of them sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueryBlock {
    /// Indices of the queries.
    pub queries: Range<usize>,
    /// Indices of the keys.
    pub keys: Range<usize>,
}

/// A bias below this hides a key: [`HIDDEN`] with a score of some thousands added, but not the half of it that `DropKey` adds, for a
/// dropped key has a weight again where all others are dropped.
const HIDES: f32 = (0.75 * HIDDEN) as f32;
/// Queries of a span, where each has a bias of its own.
const BLOCK: usize = 64;

/// The spans of `queries` queries over `keys` keys; together they hold every query once, in order.
///
/// `rows` says how many queries have a bias of their own (1 if all share one), and `bias` is that of a query: a number for each key,
/// or one for all. A query from which all keys are hidden sees all of them, with equal weights, as in Hugging Face.
pub(super) fn spans<'a>(
    queries: usize,
    keys: usize,
    rows: usize,
    bias: impl Fn(usize) -> &'a [f32],
) -> Vec<QueryBlock> {
    if rows == 1 {
        let keys = seen(bias(0), keys);
        return vec![QueryBlock {
            queries: 0..queries,
            keys,
        }];
    }
    (0..queries)
        .step_by(BLOCK)
        .map(|first| {
            let queries = first..queries.min(first + BLOCK);
            let of_queries = queries.clone().map(|query| seen(bias(query), keys));
            let keys = of_queries
                .reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
                .unwrap_or(0..0);
            QueryBlock { queries, keys }
        })
        .collect()
}

/// From the first key that is not hidden to the last.
fn seen(bias: &[f32], keys: usize) -> Range<usize> {
    if bias.len() != keys {
        return 0..keys;
    }
    // NaN hides nothing.
    let is_seen = |bias: &f32| !matches!(bias.partial_cmp(&HIDES), Some(std::cmp::Ordering::Less));
    match (bias.iter().position(is_seen), bias.iter().rposition(is_seen)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..keys,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: f32 = HIDDEN as f32;

    #[test]
    fn padding_on_either_side_is_left_out_and_what_is_hidden_between_is_not() {
        let of = |bias: &[f32]| spans(3, bias.len(), 1, |_| bias);
        let span = |keys| vec![QueryBlock { queries: 0..3, keys }];
        assert_eq!(of(&[0.0, 1.0, H, H]), span(0..2));
        assert_eq!(of(&[H, 2.0 * H, -5.0, 0.0]), span(2..4));
        assert_eq!(of(&[H, 0.0, H, 0.0, H + 1000.0]), span(1..4));
    }

    #[test]
    fn all_hidden_keys_are_seen_and_so_are_dropped_ones() {
        let of = |bias: &[f32]| spans(1, bias.len(), 1, |_| bias)[0].keys.clone();
        assert_eq!(of(&[H, H, H]), 0..3);
        assert_eq!(of(&[0.5 * H, 0.5 * H, 1.5 * H]), 0..2);
        assert_eq!(spans(2, 5, 1, |_| &[H])[0].keys, 0..5);
    }

    #[test]
    fn queries_with_their_own_bias_are_taken_in_blocks() {
        // Causal, over 100 keys.
        let bias: Vec<f32> = (0..100 * 100_usize)
            .map(|at| if at % 100 > at / 100 { H } else { 0.0 })
            .collect();
        let found = spans(100, 100, 100, |query| &bias[query * 100..][..100]);
        let expected =
            [(0..64, 0..64), (64..100, 0..100)].map(|(queries, keys)| QueryBlock { queries, keys });
        assert_eq!(found, expected);
    }
}
