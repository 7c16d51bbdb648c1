//! From a question with choices to the prompt after which a model answers with a letter.

use super::ChoiceQuestion;
use crate::error::TaskError;
use crate::readers::Completion;

/// How a question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptStyle {
    /// Question, `Choices:`, `A) …`, and `Answer:`: the protocol of Laplace-LoRA and `BLoB` (their repository `bayesian-peft`). Their
    /// prompt for OpenBookQA misspells `Choices:`, and theirs for OpenBookQA and ARC put letter and choice the wrong way round;
    /// here neither is so.
    Letters,
    /// Passage, question, and `Answer (true or false):`, answered by `True` or `False`: the same protocol for BoolQ, where the passage
    /// is cut after 1,024 characters. (There, the two answers' tokens are swapped.)
    TrueFalse,
    /// A line about the subject, the question, `A. …`, and `Answer:`, after as many solved examples as wanted: MMLU (Hendrycks et al.
    /// 2021), with the single space before the subject that the evaluation harness writes.
    Mmlu,
}

/// A prompt, the answers that may follow it, and the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoicePrompt {
    /// The prompt; it ends with a colon, and the answer follows after a space.
    pub text: String,
    /// The answers, in the order of the choices: letters, or `False` and `True`.
    pub answers: Vec<String>,
    /// The index of the right answer, where it is known.
    pub answer: Option<usize>,
}

impl ChoicePrompt {
    /// Prompt and right answer as a language model is trained on them; `None` where the answer is not known.
    pub fn completion(&self) -> Option<Completion> {
        Some(Completion {
            prompt: self.text.clone(),
            completion: format!(" {}", self.answers[self.answer?]),
        })
    }
}

/// Characters of a passage that are shown.
const PASSAGE: usize = 1024;

/// The prompts of questions, each after `shots` solved examples: the first so many of `examples` with the question's subject. (Without
/// shots, `examples` may be empty.)
///
/// # Errors
/// [`TaskError::TooFewShots`] when a subject has fewer examples.
pub fn prompts(
    questions: &[ChoiceQuestion],
    style: PromptStyle,
    examples: &[ChoiceQuestion],
    shots: usize,
) -> Result<Vec<ChoicePrompt>, TaskError> {
    let prompts = questions.iter().map(|question| {
        let solved = examples
            .iter()
            .filter(|example| example.subject == question.subject && example.answer.is_some());
        let shown: Vec<&ChoiceQuestion> = solved.take(shots).collect();
        if shown.len() < shots {
            return Err(TaskError::TooFewShots {
                subject: question.subject.clone().unwrap_or_default(),
                wanted: shots,
                found: shown.len(),
            });
        }
        let mut text = style.opening(question);
        for example in shown {
            text.push_str(&style.ask(example));
            text.push(' ');
            let answer = example
                .answer
                .map(|answer| style.answer(answer))
                .unwrap_or_default();
            text.push_str(&answer);
            text.push_str("\n\n");
        }
        text.push_str(&style.ask(question));
        Ok(ChoicePrompt {
            text,
            answers: (0..question.choices.len())
                .map(|choice| style.answer(choice))
                .collect(),
            answer: question.answer,
        })
    });
    prompts.collect()
}

impl PromptStyle {
    /// What stands before all questions.
    fn opening(self, question: &ChoiceQuestion) -> String {
        match self {
            Self::Letters => "Return the label of the correct answer for the question below.\n\n".to_owned(),
            Self::TrueFalse => {
                "Read the passage below and answer the question with the words 'true' or 'false'.\n\n"
                    .to_owned()
            }
            Self::Mmlu => {
                let subject = question
                    .subject
                    .as_deref()
                    .map(|subject| format!(" about {}", subject.replace('_', " ")));
                format!(
                    "The following are multiple choice questions (with answers){}.\n\n",
                    subject.unwrap_or_default()
                )
            }
        }
    }

    /// The question up to the colon before the answer.
    fn ask(self, question: &ChoiceQuestion) -> String {
        let lines = |separator: char| {
            let choices = question.choices.iter().enumerate();
            let line = |(index, choice): (usize, &String)| format!("{}{separator} {choice}", letter(index));
            choices.map(line).collect::<Vec<_>>().join("\n")
        };
        let passage = |cut: Option<usize>| match &question.passage {
            Some(passage) => format!(
                "Passage: {}\n",
                passage
                    .chars()
                    .take(cut.unwrap_or(usize::MAX))
                    .collect::<String>()
            ),
            None => String::new(),
        };
        let asked = &question.question;
        match self {
            Self::Letters => format!(
                "{}Question: {asked}\nChoices:\n{}\nAnswer:",
                passage(None),
                lines(')')
            ),
            Self::TrueFalse => format!(
                "{}Question: {asked}\nAnswer (true or false):",
                passage(Some(PASSAGE))
            ),
            Self::Mmlu => format!("{}\n{}\nAnswer:", asked.trim(), lines('.')),
        }
    }

    fn answer(self, choice: usize) -> String {
        match self {
            Self::TrueFalse => ["False", "True"]
                .get(choice)
                .map_or_else(|| letter(choice).to_string(), |word| (*word).to_owned()),
            Self::Letters | Self::Mmlu => letter(choice).to_string(),
        }
    }
}

/// A, B, C… and after Z the letters that Unicode has there; no set comes near.
fn letter(index: usize) -> char {
    u32::try_from(index)
        .ok()
        .and_then(|index| char::from_u32('A' as u32 + index))
        .unwrap_or('?')
}
