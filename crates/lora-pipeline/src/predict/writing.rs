//! Text by a language model, token by token.

use std::ops::ControlFlow;

use burn::module::Module;
use lora_core::Pass;
use lora_data::{Completion, Task};
use lora_models::Transformer;
use lora_models::blocks::{KeyValueCache, Tokens};
use lora_models::generation::{Limits, Sampler, StopReason, generate};

use super::{TaskPredictor, TaskRows};
use crate::bail;
use crate::base::TextReader;
use crate::error::Result;
use crate::saved::adapter::{AdapterOptions, OpenedAdapter, open_language_adapter};

/// Continues prompts, by a language model that learned completions.
///
/// ```no_run
/// use lora_core::{LoraConfig, TargetModules};
/// use lora_data::Completion;
/// use lora_models::generation::{Sampler, Sampling};
/// use lora_pipeline::progress::Silent;
/// use lora_pipeline::{FitSettings, Predictor, TextGenerator};
/// use lora_train::TrainConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rows = vec![Completion { prompt: "Question: 2 + 2\nAnswer:".into(), completion: " 4".into() }];
/// let adapters = LoraConfig::new(8, 16.0, TargetModules::names(["q_proj", "v_proj"]));
/// let settings = FitSettings { validation_fraction: 0.0, ..FitSettings::new(TrainConfig::new(2e-4, 3.0, 8)) };
/// let base = Predictor::open("HuggingFaceTB/SmolLM2-135M")?;
/// let generator: TextGenerator = base.lora(adapters).fit(&rows, &settings, &Silent)?;
/// let greedy = Sampling { temperature: 0.0, top_k: None, top_p: 1.0, repetition_penalty: 1.0 };
/// println!("{}", generator.generate("Question: 3 + 3\nAnswer:", 16, &mut Sampler::new(greedy, 42)?)?);
/// # Ok(())
/// # }
/// ```
pub type TextGenerator = TaskPredictor<Vec<Completion>>;

impl TaskRows for Vec<Completion> {
    const NOUN: &'static str = "prompts with completions";

    fn are_of(task: &Task) -> bool {
        *task == Task::Completion
    }

    fn open(options: &AdapterOptions) -> Result<OpenedAdapter> {
        open_language_adapter(options)
    }
}

impl TextGenerator {
    /// The text after a prompt, of at most `max_new_tokens` tokens; by the mean pass.
    ///
    /// # Errors
    ///
    /// If the prompt has no token or more than the model takes, or the model has diverged.
    pub fn generate(&self, prompt: &str, max_new_tokens: usize, sampler: &mut Sampler) -> Result<String> {
        let reader = &self.opened.reader;
        let ids = reader.tokenizer.encode_prompt(prompt, true)?;
        let limits = Limits {
            max_new_tokens,
            stop_tokens: reader.stop_tokens.iter().map(|id| id.cast_signed()).collect(),
            max_tokens: reader.max_tokens,
        };
        let model = &self.opened.adapted.model;
        Ok(write_text(model, reader, &ids, &limits, sampler, &mut |_| {
            ControlFlow::Continue(())
        })?
        .text)
    }
}

/// What happens while a text is written.
#[derive(Clone, Copy, Debug)]
pub enum Writing<'a> {
    /// Logits have come: the first of the prompt, all others of a token.
    Logits,
    /// A token has come, with the text that it completes; empty within a character of several tokens.
    Text(&'a str),
}

/// A text that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenText {
    /// The text after the prompt.
    pub text: String,
    /// Its tokens.
    pub tokens: Vec<i32>,
    /// Why it ended.
    pub reason: StopReason,
}

/// Continues the tokens of a prompt; `observe` hears of it and may end the text.
///
/// # Errors
///
/// If the prompt has no token or more than the model takes, or the logits are not finite.
///
/// # Panics
///
/// Never: a model is opened for this task with a head that writes text.
pub fn write_text(
    model: &Transformer,
    reader: &TextReader,
    prompt: &[u32],
    limits: &Limits,
    sampler: &mut Sampler,
    observe: &mut dyn FnMut(Writing<'_>) -> ControlFlow<()>,
) -> Result<WrittenText> {
    if prompt.is_empty() {
        bail!("the prompt has no token; give a text with --prompt");
    }
    if let Some(most) = limits.max_tokens.filter(|most| prompt.len() >= *most) {
        bail!(
            "the prompt has {} tokens, but the model takes at most {most} with the answer; shorten it",
            prompt.len()
        );
    }
    let device = model.devices().remove(0);
    let prompt: Vec<i32> = prompt.iter().map(|id| id.cast_signed()).collect();
    let mut cache = KeyValueCache::default();
    let mut stream = reader.tokenizer.stream();
    let mut text = String::new();
    let mut outcome = Ok(());
    // Both closures hear of the text.
    let observe = std::cell::RefCell::new(observe);
    let is_finite = std::cell::Cell::new(true);
    let generated = generate(
        &prompt,
        limits,
        sampler,
        &mut |tokens| {
            let logits = model.next_logits(&Tokens::of_row(tokens, &device), &mut cache, &Pass::Mean);
            let logits = logits.expect("the model was opened as a causal language model");
            let logits: Vec<f32> = logits
                .into_data()
                .convert::<f32>()
                .try_into_vec()
                .expect("a float tensor converts to f32");
            is_finite.set(logits.iter().all(|logit| logit.is_finite()));
            // The end is asked for with the next token.
            let _ = (observe.borrow_mut())(Writing::Logits);
            logits
        },
        &mut |token| {
            if !is_finite.get() {
                return ControlFlow::Break(());
            }
            match stream.push(token.cast_unsigned()) {
                Ok(piece) => {
                    text.push_str(&piece);
                    (observe.borrow_mut())(Writing::Text(&piece))
                }
                Err(error) => {
                    outcome = Err(error);
                    ControlFlow::Break(())
                }
            }
        },
    );
    outcome?;
    if !is_finite.get() {
        bail!(
            "the model's logits are not finite; its files are damaged or, with --dtype f16, its numbers too large: take bf16 or f32 then"
        );
    }
    Ok(WrittenText {
        text,
        tokens: generated.tokens,
        reason: generated.reason,
    })
}
