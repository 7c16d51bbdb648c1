//! SmolLM2-135M-Instruct computes what Transformers computes, to 1e-3 in f32, and says what it says
//! (`golden/make_smollm2.py`).
//!
//! The weights are not part of the project: the tests run where `LORA_SMOLLM2` names the folder of the checkpoint, and where
//! `LORA_SMOLLM2_GGUF` names the GGUF file that it was made from. Without, they say so and pass.
#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and how near it came"
)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use lora_core::{Model, Pass};
use lora_data::{Batch, Encoded, Padding, TextTokenizer};
use lora_models::blocks::{KeyValueCache, Tokens};
use lora_models::generation::{ChatMessage, ChatTemplate, Limits, Sampler, Sampling, generate};
use lora_models::gguf::Gguf;
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<Prompt>,
    chat: Chat,
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    input_ids: Vec<u32>,
    positions: Vec<Position>,
    greedy: Vec<i32>,
    greedy_text: String,
}

/// Some of the logits after a token.
#[derive(Deserialize)]
struct Position {
    tokens: Vec<usize>,
    logits: Vec<f32>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<ChatMessage>,
    text: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/smollm2.json")).unwrap()
}

fn given(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from);
    if path.is_none() {
        println!("skipped: {variable} names no model; its weights are not part of the project");
    }
    path
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

struct Opened {
    model: Transformer,
    tokenizer: TextTokenizer,
    device: Device,
}

impl Opened {
    fn new(checkpoint: &Checkpoint) -> Self {
        let device = Device::default();
        let head = HeadOptions {
            kind: HeadKind::CausalLm,
            seed: 0,
        };
        let (model, report) = Transformer::load(checkpoint, head, &device).unwrap();
        assert!(
            report.left_over.is_empty() && report.initialized.is_empty(),
            "{report:?}"
        );
        let tokenizer = checkpoint.tokenizer.as_ref().unwrap();
        Self {
            model,
            tokenizer: TextTokenizer::from_bytes(tokenizer, "tokenizer.json").unwrap(),
            device,
        }
    }

    /// The largest difference of a logit to the reference's.
    fn largest_difference(&self, prompt: &Prompt) -> f32 {
        let encoded = Encoded {
            input_ids: prompt.input_ids.clone(),
            token_type_ids: vec![0; prompt.input_ids.len()],
        };
        let batch = Batch::from_encoded(&[&encoded], Padding::with(0));
        let logits = self.model.forward(&batch, &Pass::Mean);
        let [rows, vocabulary] = logits.dims();
        assert_eq!(rows, prompt.positions.len());
        let logits = numbers(logits);
        let differences = prompt.positions.iter().enumerate().flat_map(|(row, position)| {
            let logit = |token: &usize| logits[row * vocabulary + token];
            let pairs = position.tokens.iter().map(logit).zip(&position.logits);
            pairs
                .map(|(found, expected)| (found - expected).abs())
                .collect::<Vec<_>>()
        });
        differences.fold(0.0, f32::max)
    }

    fn greedy(&self, prompt: &str, count: usize) -> (Vec<i32>, String) {
        let ids = self.tokenizer.encode_prompt(prompt, true).unwrap();
        let ids: Vec<i32> = ids.into_iter().map(|id| i32::try_from(id).unwrap()).collect();
        let limits = Limits {
            max_new_tokens: count,
            ..Limits::default()
        };
        let mut cache = KeyValueCache::default();
        let mut stream = self.tokenizer.stream();
        let mut text = String::new();
        let generated = generate(
            &ids,
            &limits,
            &mut Sampler::new(Sampling::greedy(), 0).unwrap(),
            &mut |tokens| {
                let tokens = Tokens::of_row(tokens, &self.device);
                numbers(self.model.next_logits(&tokens, &mut cache, &Pass::Mean).unwrap())
            },
            &mut |token| {
                text += &stream.push(u32::try_from(token).unwrap()).unwrap();
                ControlFlow::Continue(())
            },
        );
        (generated.tokens, text)
    }
}

#[test]
fn smollm2_computes_what_transformers_computes() {
    let Some(folder) = given("LORA_SMOLLM2") else {
        return;
    };
    let opened = Opened::new(&Checkpoint::open(&folder).unwrap());
    for prompt in golden().prompts {
        let ids = opened.tokenizer.encode_prompt(&prompt.text, true).unwrap();
        assert_eq!(ids, prompt.input_ids, "{}", prompt.text);
        let difference = opened.largest_difference(&prompt);
        println!("{:?}: largest difference of a logit {difference:e}", prompt.text);
        assert!(difference < 1e-3, "{}: {difference}", prompt.text);
        let (tokens, text) = opened.greedy(&prompt.text, prompt.greedy.len());
        assert_eq!(tokens, prompt.greedy, "{}", prompt.text);
        assert_eq!(text, prompt.greedy_text);
    }
    assert!(
        opened
            .greedy("The capital of France is", 8)
            .1
            .starts_with(" Paris.")
    );
}

#[test]
fn the_chat_template_of_smollm2_writes_what_transformers_writes() {
    let Some(folder) = given("LORA_SMOLLM2") else {
        return;
    };
    let Chat { messages, text } = golden().chat;
    let template = ChatTemplate::of_folder(&folder).unwrap();
    assert_eq!(template.render(&messages, true).unwrap(), text);
}

/// The checkpoint holds the GGUF's numbers rounded to bf16, so the logits differ a little; tokens and answer do not.
#[test]
fn the_gguf_of_smollm2_says_the_same() {
    let Some(path) = given("LORA_SMOLLM2_GGUF") else {
        return;
    };
    let gguf = Gguf::open(Path::new(&path)).unwrap();
    let template = gguf.chat_template().unwrap();
    let opened = Opened::new(&gguf.into_checkpoint().unwrap());
    let Golden { prompts, chat } = golden();
    for prompt in prompts
        .iter()
        .filter(|prompt| !prompt.text.contains(char::is_numeric))
    {
        let ids = opened.tokenizer.encode_prompt(&prompt.text, true).unwrap();
        assert_eq!(ids, prompt.input_ids, "{}", prompt.text);
    }
    for prompt in &prompts {
        let difference = opened.largest_difference(prompt);
        println!("{:?}: largest difference of a logit {difference:e}", prompt.text);
        assert!(difference < 0.25, "{}: {difference}", prompt.text);
    }
    assert!(
        opened
            .greedy("The capital of France is", 8)
            .1
            .starts_with(" Paris.")
    );
    assert_eq!(template.render(&chat.messages, true).unwrap(), chat.text);
}
