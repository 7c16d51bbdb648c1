//! Text by a causal language model, token by token.
//!
//! | file | holds |
//! |---|---|
//! | `sampling` | [`Sampling`], [`Sampler`]: how the next token is chosen, in the order of Transformers |
//! | `chat` | [`ChatTemplate`]: a conversation written as the model was trained to read it |
//! | `paid_text`, `python_methods` | what templates write, within a budget, and methods of Python that they call |
//! | `turn` | [`TurnEnd`]: which token ends an answer, and a turn to learn from |
//! | `mod` | [`generate`]: the loop |

mod chat;
mod paid_text;
mod python_methods;
mod sampling;
mod turn;

use std::ops::ControlFlow;

pub(crate) use chat::SpecialTokens;
pub use chat::{ChatError, ChatMessage, ChatTemplate};
pub use sampling::{Sampler, Sampling, SamplingError};
pub use turn::TurnEnd;

/// When a text ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many new tokens.
    pub max_new_tokens: usize,
    /// The text ends at any of these; the token itself is not part of it.
    pub stop_tokens: Vec<i32>,
    /// At most so many tokens in all, the prompt included: the positions that the model has.
    pub max_tokens: Option<usize>,
}

/// A text that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The new tokens.
    pub tokens: Vec<i32>,
    /// Why it ended.
    pub reason: StopReason,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended it by a stop token.
    StopToken,
    /// It has [`Limits::max_new_tokens`].
    MaxNewTokens,
    /// The model has no more positions.
    MaxTokens,
    /// The caller of [`generate`] ended it.
    Caller,
}

/// Continues a prompt. `next_logits` is called with the tokens that the model has not seen, first the whole prompt, then
/// one by one, and answers with the logits `[vocabulary]` of the token after them; `on_token` sees every new token and
/// may end the text.
///
/// # Panics
///
/// Panics if the prompt is empty or `next_logits` answers with no logits.
pub fn generate(
    prompt: &[i32],
    limits: &Limits,
    sampler: &mut Sampler,
    next_logits: &mut dyn FnMut(&[i32]) -> Vec<f32>,
    on_token: &mut dyn FnMut(i32) -> ControlFlow<()>,
) -> Generated {
    assert!(!prompt.is_empty(), "a prompt needs at least one token");
    let mut history = prompt.to_vec();
    let mut seen = 0;
    let reason = loop {
        if history.len() - prompt.len() >= limits.max_new_tokens {
            break StopReason::MaxNewTokens;
        }
        if limits.max_tokens.is_some_and(|most| history.len() >= most) {
            break StopReason::MaxTokens;
        }
        let mut logits = next_logits(&history[seen..]);
        seen = history.len();
        let token = sampler.choose(&mut logits, &history);
        if limits.stop_tokens.contains(&token) {
            break StopReason::StopToken;
        }
        history.push(token);
        if on_token(token).is_break() {
            break StopReason::Caller;
        }
    };
    Generated {
        tokens: history.split_off(prompt.len()),
        reason,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    /// A model that says the number after the last one, and remembers what it was asked.
    fn count_up(limits: &Limits, stop_after: usize) -> (Generated, Vec<Vec<i32>>) {
        let mut asked = Vec::new();
        let mut seen = 0;
        let generated = generate(
            &[3, 4],
            limits,
            &mut Sampler::new(Sampling::greedy(), 0).unwrap(),
            &mut |tokens| {
                asked.push(tokens.to_vec());
                let mut logits = vec![0.0; 16];
                logits[tokens.last().map_or(0, |last| last.cast_unsigned() as usize + 1)] = 1.0;
                logits
            },
            &mut |_| {
                seen += 1;
                if seen == stop_after {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        (generated, asked)
    }

    #[test]
    fn the_prompt_is_read_once_and_then_every_token_once() {
        let limits = Limits {
            max_new_tokens: 3,
            ..Limits::default()
        };
        let (generated, asked) = count_up(&limits, usize::MAX);
        assert_eq!(generated.tokens, [5, 6, 7]);
        assert_eq!(generated.reason, StopReason::MaxNewTokens);
        assert_eq!(asked, [vec![3, 4], vec![5], vec![6]]);
    }

    #[test]
    fn a_text_ends_at_a_stop_token_the_last_position_or_the_callers_word() {
        let mut limits = Limits {
            max_new_tokens: 9,
            stop_tokens: vec![1, 7],
            max_tokens: None,
        };
        let (generated, _) = count_up(&limits, usize::MAX);
        assert_eq!(
            (generated.tokens, generated.reason),
            (vec![5, 6], StopReason::StopToken)
        );
        limits.max_tokens = Some(3);
        let (generated, _) = count_up(&limits, usize::MAX);
        assert_eq!(
            (generated.tokens, generated.reason),
            (vec![5], StopReason::MaxTokens)
        );
        limits.max_tokens = None;
        let (generated, _) = count_up(&limits, 1);
        assert_eq!(
            (generated.tokens, generated.reason),
            (vec![5], StopReason::Caller)
        );
    }
}
