//! `lora generate`: a prompt continued, token by token.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use clap::Args;
use lora_core::Fp32Precision;
use lora_data::Task;
use lora_models::Transformer;
use lora_models::generation::{Limits, Sampler, Sampling, StopReason};
use lora_pipeline::base::{BaseOptions, TextReader};
use lora_pipeline::files::unfinished::note_unfinished;
use lora_pipeline::predict::{Writing, write_text};
use lora_pipeline::saved::adapter::{AdapterOptions, open_language_adapter};
use serde_json::json;

use crate::shared_args::{DeviceArgs, PrecisionArgs, positive};
use crate::terminal::Terminal;

/// Arguments of `lora generate`.
#[derive(Args, Clone, Debug)]
pub struct GenerateArgs {
    /// Base model: a folder, a hub id, or a GGUF file [that of --adapter].
    #[arg(long, value_name = "MODEL", required_unless_present = "adapter")]
    model: Option<String>,
    /// Adapter folder, written by `lora train` or by PEFT.
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// Branch, tag or commit of a hub id.
    #[arg(long)]
    revision: Option<String>,
    /// Text to continue, or - for the standard input.
    #[arg(long, value_name = "TEXT", required_unless_present = "text")]
    prompt: Option<String>,
    /// The text to continue, by place instead of `--prompt`.
    #[arg(value_name = "TEXT", conflicts_with = "prompt")]
    text: Option<String>,
    /// Write the prompt with the model's chat template, as a user's message.
    #[arg(long)]
    chat_template: bool,
    /// The system's message before it.
    #[arg(long, value_name = "TEXT", requires = "chat_template")]
    system: Option<String>,
    /// New tokens at most.
    #[arg(long, default_value_t = 128, value_parser = positive, value_name = "TOKENS")]
    max_new_tokens: usize,
    /// Logits are divided by this before a token is drawn; 0 takes the most probable token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Draw from the so many most probable tokens only.
    #[arg(long, value_parser = positive)]
    top_k: Option<usize>,
    /// Draw from the smallest set of most probable tokens with this probability only.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Divides positive logits of tokens that stand in the text, and multiplies negative ones; 1 for none.
    #[arg(long, default_value_t = 1.0)]
    repetition_penalty: f64,
    /// Further token that ends the text, beside the model's own; may be given several times.
    #[arg(long, value_name = "TOKEN")]
    stop: Vec<String>,
    /// Seed of the draws.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
}

/// Continues a prompt.
///
/// # Errors
///
/// If an input is wrong or the output cannot be written.
pub fn run(args: &GenerateArgs, terminal: &Terminal) -> Result<()> {
    let mut sampler = Sampler::new(args.sampling()?, args.seed)?;
    let PrecisionArgs {
        dtype,
        fp32_precision,
    } = args.precision;
    let device = args.device.device.open_in(dtype, fp32_precision)?;
    let prompt = args.prompt_text()?;
    if let Some(adapter) = &args.adapter {
        note_unfinished(adapter, terminal);
    }
    let opened = open(args, &device)?;
    let text = if args.chat_template {
        opened.reader.chat_prompt(args.system.as_deref(), &prompt)?
    } else {
        prompt
    };
    let ids = opened
        .reader
        .tokenizer
        .encode_prompt(&text, !args.chat_template)?;
    let limits = args.limits(&opened)?;
    if !args.chat_template {
        terminal.piece(&text)?;
    }
    let mut clock = Clock::start();
    let mut shown = Ok(());
    let written = write_text(
        &opened.model,
        &opened.reader,
        &ids,
        &limits,
        &mut sampler,
        &mut |event| {
            match event {
                Writing::Logits => clock.lap(),
                Writing::Text(piece) => shown = terminal.piece(piece),
            }
            if shown.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    shown?;
    terminal.piece("\n")?;
    terminal.note(format!(
        "{} prompt tokens at {:.1} tokens/s · {} new tokens at {:.1} tokens/s · {}",
        ids.len(),
        clock.prompt_rate(ids.len()),
        written.tokens.len(),
        clock.rate(written.tokens.len()),
        in_words(written.reason)
    ));
    terminal.document(&json!({
        "prompt": text,
        "text": written.text,
        "tokens": written.tokens,
        "stop": in_words(written.reason),
        "prompt_tokens": ids.len(),
        "seed": args.seed,
        "seconds": {"prompt": clock.prompt_seconds, "new_tokens": clock.token_seconds},
        "tokens_per_second": clock.rate(written.tokens.len()),
    }))
}

impl GenerateArgs {
    fn sampling(&self) -> Result<Sampling> {
        if self.temperature == 0.0 && (self.top_k.is_some() || self.top_p < 1.0) {
            bail!(
                "--top-k and --top-p choose among tokens that are drawn; give --temperature above 0 too, such as 0.7"
            );
        }
        Ok(Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
        })
    }

    fn prompt_text(&self) -> Result<String> {
        let given = self.prompt.as_ref().or(self.text.as_ref());
        let given = given
            .context("no text to continue is given; add one, as in lora generate --model DIR \"Once\"")?;
        if given != "-" {
            return Ok(given.clone());
        }
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("cannot read the standard input as UTF-8")?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn limits(&self, opened: &Opened) -> Result<Limits> {
        let given = self.stop.iter().map(|token| {
            let id = opened.reader.tokenizer.token_id(token);
            id.with_context(|| {
                format!("--stop `{token}` is no token of this model; give one of its vocabulary")
            })
        });
        let mut given = given.collect::<Result<Vec<u32>>>()?;
        if self.chat_template {
            // Not every model that was trained on chats names the token as its end of text.
            given.extend(opened.reader.turn_end()?.map(|end| end.token));
        }
        Ok(Limits {
            max_new_tokens: self.max_new_tokens,
            stop_tokens: opened
                .reader
                .stop_tokens
                .iter()
                .chain(&given)
                .map(|id| id.cast_signed())
                .collect(),
            max_tokens: opened.reader.max_tokens,
        })
    }
}

/// The model, with the adapter on it if there is one, and how it reads texts.
struct Opened {
    model: Transformer,
    reader: TextReader,
}

fn open(args: &GenerateArgs, device: &Device) -> Result<Opened> {
    let Some(folder) = &args.adapter else {
        let base = BaseOptions {
            name: args.model.as_deref().unwrap_or_default(),
            revision: args.revision.as_deref(),
            max_seq_length: None,
            fp32_precision: args.precision.fp32_precision,
        };
        let opened = base.open(&Task::Completion, 0, device)?;
        opened.loaded.expect_all_in(|_| false)?;
        return Ok(Opened {
            model: opened.model.valid(),
            reader: opened.reader,
        });
    };
    let opened = open_language_adapter(&AdapterOptions {
        adapter: folder.clone(),
        base: args.model.clone(),
        revision: args.revision.clone(),
        labels: None,
        max_seq_length: None,
        device: args.device.device,
        dtype: args.precision.dtype,
        fp32_precision: args.precision.fp32_precision,
    })?;
    // The mean pass is all that is needed, so the update goes into the weights: one product a linear in place of three. Where
    // that cannot be, the model keeps its adapters. So it does in bf16: a weight with an update has f32's digits, twice the memory.
    let keeps_adapters = args.precision.fp32_precision == Fp32Precision::Bf16;
    let merged = (!keeps_adapters).then(|| opened.adapted.clone().merge().ok());
    let model = merged.flatten().unwrap_or(opened.adapted.model);
    Ok(Opened {
        model,
        reader: opened.reader,
    })
}

/// The time of the prompt, and of the tokens after it.
struct Clock {
    last: Instant,
    prompt_seconds: Option<f64>,
    token_seconds: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            last: Instant::now(),
            prompt_seconds: None,
            token_seconds: 0.0,
        }
    }

    /// Logits have come: the first of the prompt, all others of a token.
    fn lap(&mut self) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        if self.prompt_seconds.is_none() {
            self.prompt_seconds = Some(seconds);
        } else {
            self.token_seconds += seconds;
        }
    }

    fn prompt_rate(&self, tokens: usize) -> f64 {
        tokens as f64 / self.prompt_seconds.unwrap_or(f64::NAN)
    }

    /// The first new token comes with the prompt.
    fn rate(&self, tokens: usize) -> f64 {
        if self.token_seconds > 0.0 {
            tokens.saturating_sub(1) as f64 / self.token_seconds
        } else {
            0.0
        }
    }
}

fn in_words(reason: StopReason) -> &'static str {
    match reason {
        StopReason::StopToken => "the model ended it",
        StopReason::MaxNewTokens => "max_new_tokens",
        StopReason::MaxTokens => "the model has no more positions",
        StopReason::Caller => "interrupted",
    }
}
