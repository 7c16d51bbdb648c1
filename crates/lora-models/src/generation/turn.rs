//! One turn of a chat as its template writes it: what is read, what is learnt, and the token that ends it.

use lora_data::{Completion, TextTokenizer};

use super::{ChatError, ChatMessage, ChatTemplate};

/// How a template ends an answer: not always by the model's own end of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnEnd {
    /// The first special token after an answer, such as `<|im_end|>`.
    pub token: u32,
    /// Its text.
    pub text: String,
    /// What stands between the answer and the token.
    before: String,
}

impl ChatTemplate {
    /// How answers end; `None` if no special token of the tokenizer follows them.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] if the template does not parse, or refuses a question and an answer.
    pub fn turn_end(&self, tokenizer: &TextTokenizer) -> Result<Option<TurnEnd>, ChatError> {
        let after = self.after_answer()?;
        Ok(tokenizer.first_special(&after).map(|special| TurnEnd {
            token: special.id,
            text: after[special.range.clone()].to_owned(),
            before: after[..special.range.start].to_owned(),
        }))
    }

    /// A conversation up to the answer, and the answer up to the token that ends it, or without what follows it where
    /// `end` is none.
    ///
    /// The answer is what the template writes for it, which may be more than its text: Qwen3's puts an empty thought
    /// before it. Where a whole conversation does not begin with the prompt for its last answer, the answer is its text.
    ///
    /// # Errors
    ///
    /// [`ChatError::Template`] if the template does not parse, or refuses the conversation.
    pub fn turn(
        &self,
        messages: &[ChatMessage],
        answer: &str,
        end: Option<&TurnEnd>,
    ) -> Result<Completion, ChatError> {
        let prompt = self.render(messages, true)?;
        let answered = [messages, &[message("assistant", answer)]].concat();
        let whole = self.render(&answered, false)?;
        let after = self.after_answer()?;
        let written = whole
            .strip_prefix(&prompt)
            .and_then(|text| text.strip_suffix(&after));
        let mut completion = written.unwrap_or(answer).to_owned();
        if let Some(end) = end {
            completion.push_str(&end.before);
            completion.push_str(&end.text);
        }
        Ok(Completion { prompt, completion })
    }

    /// What the template writes after an answer.
    fn after_answer(&self) -> Result<String, ChatError> {
        const ANSWER: &str = "answer 4711";
        let chat = [message("user", "question"), message("assistant", ANSWER)];
        let text = self.render(&chat, false)?;
        let after = text.rsplit_once(ANSWER).map_or("", |(_, after)| after);
        Ok(after.to_owned())
    }
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}
