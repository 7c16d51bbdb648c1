//! Questions with choices as tokens, and the tokens of the letters.

use super::TextTokenizer;
use crate::batch::Encoded;
use crate::dataset::EncodedDataset;
use crate::error::{DataError, TaskError};
use crate::targets::{ChoiceTarget, Targets};
use crate::tasks::ChoicePrompt;

/// Prompts of questions with choices as token ids, and the tokens that answer them.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedChoices {
    /// The prompts. Where all right answers are known, the targets are [`Targets::Choices`]: the answer's token among those of all
    /// answers, after the last token of each prompt; else [`Targets::None`].
    pub dataset: EncodedDataset,
    /// `[examples][choices]`: the token of each answer. A model's scores of these, after the last token of the prompt, are its scores of
    /// the choices.
    pub answers: Vec<Vec<u32>>,
}

impl TextTokenizer {
    /// Prompts of questions, ready to be cut into batches. `special`: with the tokens that the tokenizer's template puts around a text.
    /// A prompt of more than `max_length` tokens loses its beginning, never the question's end; how many do is
    /// [`EncodedDataset::truncated`].
    ///
    /// # Errors
    /// [`TokenizerError::Tokenize`](crate::TokenizerError::Tokenize); [`TaskError::AnswerTokens`] when an answer is not one token,
    /// [`TaskError::AnswersAlike`] when two answers of a question are the same one.
    pub fn encode_choices(
        &self,
        prompts: &[ChoicePrompt],
        special: bool,
        max_length: usize,
    ) -> Result<EncodedChoices, DataError> {
        // What the template puts in front stays in front.
        let lead = if special {
            self.encode_one("", true, 0)?.len().min(max_length)
        } else {
            0
        };
        let mut known: Vec<(String, u32)> = Vec::new();
        let (mut encoded, mut answers, mut truncated) = (Vec::new(), Vec::new(), 0);
        for (row, prompt) in prompts.iter().enumerate() {
            let mut input_ids = self.encode_one(&prompt.text, special, row)?;
            let too_many = input_ids.len().saturating_sub(max_length);
            if too_many > 0 {
                input_ids.drain(lead..lead + too_many);
                truncated += 1;
            }
            encoded.push(Encoded::of_one_text(input_ids));
            let mut tokens = Vec::with_capacity(prompt.answers.len());
            for answer in &prompt.answers {
                let found = known
                    .iter()
                    .find(|(text, _)| text == answer)
                    .map(|(_, token)| *token);
                let token = if let Some(token) = found {
                    token
                } else {
                    let token = self.answer_token(&prompt.text, answer)?;
                    known.push((answer.clone(), token));
                    token
                };
                if let Some(other) = tokens.iter().position(|known| *known == token) {
                    return Err(TaskError::AnswersAlike {
                        first: prompt.answers[other].clone(),
                        second: answer.clone(),
                        before: last_line(&prompt.text).to_owned(),
                    }
                    .into());
                }
                tokens.push(token);
            }
            answers.push(tokens);
        }
        let targets = prompts.iter().zip(&answers).zip(&encoded);
        let targets = targets.map(|((prompt, tokens), encoded)| {
            Some(ChoiceTarget {
                place: encoded.len().checked_sub(1)?,
                tokens: tokens.clone(),
                answer: prompt.answer?,
            })
        });
        let targets = targets
            .collect::<Option<Vec<_>>>()
            .map_or(Targets::None, Targets::Choices);
        Ok(EncodedChoices {
            dataset: EncodedDataset {
                encoded,
                targets,
                task: None,
                truncated,
            },
            answers,
        })
    }

    /// The one token by which the tokenizer goes on after a prompt's last line with a space and the answer.
    fn answer_token(&self, prompt: &str, answer: &str) -> Result<u32, DataError> {
        let before = last_line(prompt);
        let alone = self.encode_one(before, false, 0)?;
        let together = self.encode_one(&format!("{before} {answer}"), false, 0)?;
        match together.strip_prefix(alone.as_slice()) {
            Some(&[token]) => Ok(token),
            rest => Err(TaskError::AnswerTokens {
                answer: answer.to_owned(),
                before: before.to_owned(),
                tokens: rest.map_or(together.len(), <[u32]>::len),
            }
            .into()),
        }
    }
}

fn last_line(prompt: &str) -> &str {
    prompt.rsplit('\n').next().unwrap_or(prompt)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Words, and the letters A and B with the space before them as one token.
    fn tokenizer() -> TextTokenizer {
        let json = r#"{"version": "1.0", "truncation": null, "padding": null, "normalizer": null, "decoder": null,
            "added_tokens": [{"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"<s>": 0, "?": 1, "Answer:": 2, "A": 3, "B": 4, "why": 5}}}"#;
        TextTokenizer::from_bytes(json.as_bytes(), "words/tokenizer.json").unwrap()
    }

    fn prompt(text: &str, answer: Option<usize>) -> ChoicePrompt {
        ChoicePrompt {
            text: text.to_owned(),
            answers: vec!["A".to_owned(), "B".to_owned()],
            answer,
        }
    }

    #[test]
    fn a_prompt_ends_where_the_letter_is_predicted() {
        let prompts = [
            prompt("why\nAnswer:", Some(1)),
            prompt("why why why\nAnswer:", Some(0)),
        ];
        let encoded = tokenizer().encode_choices(&prompts, true, 4).unwrap();
        assert_eq!(encoded.answers, [[3, 4], [3, 4]]);
        assert_eq!(encoded.dataset.truncated, 1);
        // The beginning goes, the mark of the beginning and the end stay.
        assert_eq!(encoded.dataset.encoded[1].input_ids, [0, 5, 5, 2]);
        let target = |place, answer| ChoiceTarget {
            place,
            tokens: vec![3, 4],
            answer,
        };
        let expected = vec![target(2, 1), target(3, 0)];
        assert_eq!(encoded.dataset.targets, Targets::Choices(expected));
        let unknown = tokenizer()
            .encode_choices(&[prompt("why\nAnswer:", None)], true, 4)
            .unwrap();
        assert_eq!(unknown.dataset.targets, Targets::None);
    }

    #[test]
    fn an_answer_that_is_not_one_token_is_refused() {
        let mut asked = prompt("Answer:", Some(0));
        asked.answers[1] = "why why".to_owned();
        let error = tokenizer()
            .encode_choices(&[asked], false, 9)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("` why why` is 2 tokens after `Answer:`"),
            "{error}"
        );
    }
}
