//! A causal language model of the sizes of SmolLM2-135M, with made-up weights in bf16: to be trained, and to continue a text.

use std::path::Path;

use burn::tensor::Device;
use lora_core::{Adapted, Fp32Precision, LoraConfig, Pass, TargetModules};
use lora_data::{Batch, Targets};
use lora_models::blocks::{KeyValueCache, Tokens};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::{TrainConfig, Trainer};
use safetensors::Dtype;

use crate::{ALPHA, RANK, Step, made_up};

/// The name of the shape.
pub const NAME: &str = "smollm2-4x128";
/// `peft_reference.py` has the same sizes.
pub const SIZES: DecoderShape = DecoderShape {
    d_model: 576,
    d_ff: 1536,
    n_heads: 9,
    n_key_value_heads: 3,
    n_layers: 30,
    vocab_size: 49_152,
    batch: 4,
    seq: 128,
};
/// Tokens of the prompt that is continued.
pub const PROMPT: usize = 32;
/// Tokens that continue it.
pub const NEW_TOKENS: usize = 64;

/// The sizes of a decoder and of a batch.
#[derive(Clone, Copy, Debug)]
pub struct DecoderShape {
    /// `d_model`.
    pub d_model: usize,
    /// `d_ff`.
    pub d_ff: usize,
    /// `n_heads`.
    pub n_heads: usize,
    /// Heads of keys and values.
    pub n_key_value_heads: usize,
    /// Layers.
    pub n_layers: usize,
    /// Words.
    pub vocab_size: usize,
    /// Rows of a batch.
    pub batch: usize,
    /// Tokens of a row.
    pub seq: usize,
}

impl DecoderShape {
    /// The model without adapters.
    ///
    /// # Panics
    ///
    /// Panics if the family cannot load what this function wrote.
    pub fn model(&self, precision: Fp32Precision, device: &Device) -> Transformer {
        let mut checkpoint = self.checkpoint();
        checkpoint.weights.set_fp32_precision(precision);
        let head = HeadOptions {
            kind: HeadKind::CausalLm,
            seed: 0,
        };
        let (model, _) =
            Transformer::load(&checkpoint, head, device).expect("the checkpoint was written to fit");
        model
    }

    /// A trainer of this step, with LoRA on query and value.
    ///
    /// # Panics
    ///
    /// As [`DecoderShape::model`].
    pub fn trainer(&self, step: &Step, device: &Device) -> Trainer<Transformer> {
        let config = LoraConfig::new(RANK, ALPHA, TargetModules::names(["q_proj", "v_proj"]));
        let config = step.lora_config(config);
        let adapted = Adapted::attach(self.model(step.precision, device), config, 0)
            .expect("query and value exist")
            .0;
        let config = step.train_config(TrainConfig::new(1e-4, 1.0, self.batch));
        Trainer::new(adapted, config, 1_000_000).expect("the settings are valid")
    }

    /// Rows without padding, of which every token but the first is to be told from those before it.
    pub fn batch(&self) -> Batch {
        let count = self.batch * self.seq;
        let input_ids: Vec<i32> = (0..count)
            .map(|token| (token * 7919 % self.vocab_size) as i32)
            .collect();
        let next = |row: &[i32]| {
            let next = row[1..].iter().map(|id| Some(id.cast_unsigned()));
            next.chain([None]).collect()
        };
        Batch {
            batch: self.batch,
            seq: self.seq,
            token_type_ids: vec![0; count],
            attention_mask: vec![1.0; count],
            targets: Targets::Positions(input_ids.chunks(self.seq).map(next).collect()),
            rows: (0..self.batch).collect(),
            input_ids,
        }
    }

    /// Reads a prompt and continues it by the most probable tokens. Returns the last one.
    ///
    /// # Panics
    ///
    /// Panics if the model is no causal language model.
    pub fn continue_prompt(&self, model: &Transformer, device: &Device) -> i32 {
        let mut cache = KeyValueCache::default();
        let mut tokens: Vec<i32> = self.batch().input_ids[..PROMPT].to_vec();
        for _ in 0..NEW_TOKENS {
            let logits = model
                .next_logits(&Tokens::of_row(&tokens, device), &mut cache, &Pass::Mean)
                .expect("a causal language model");
            let logits: Vec<f32> = logits.into_data().try_into_vec().expect("f32 logits");
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            tokens = vec![best.map_or(0, |best| best as i32)];
        }
        tokens[0]
    }

    fn checkpoint(&self) -> Checkpoint {
        let config = serde_json::json!({
            "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": self.d_model, "intermediate_size": self.d_ff,
            "num_hidden_layers": self.n_layers, "num_attention_heads": self.n_heads, "num_key_value_heads": self.n_key_value_heads,
            "vocab_size": self.vocab_size, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
            "hidden_act": "silu", "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2,
        });
        let key_value = self.d_model / self.n_heads * self.n_key_value_heads;
        let mut shapes = vec![
            (
                "model.embed_tokens.weight".to_owned(),
                vec![self.vocab_size, self.d_model],
            ),
            ("model.norm.weight".to_owned(), vec![self.d_model]),
        ];
        for layer in 0..self.n_layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            for (part, d_output, d_input) in [
                ("self_attn.q_proj", self.d_model, self.d_model),
                ("self_attn.k_proj", key_value, self.d_model),
                ("self_attn.v_proj", key_value, self.d_model),
                ("self_attn.o_proj", self.d_model, self.d_model),
                ("mlp.gate_proj", self.d_ff, self.d_model),
                ("mlp.up_proj", self.d_ff, self.d_model),
                ("mlp.down_proj", self.d_model, self.d_ff),
            ] {
                shapes.push((name(part), vec![d_output, d_input]));
            }
            for part in ["input_layernorm", "post_attention_layernorm"] {
                shapes.push((name(part), vec![self.d_model]));
            }
        }
        Checkpoint {
            origin: Path::new(NAME).to_owned(),
            config,
            weights: made_up(NAME, &shapes, Dtype::BF16),
            tokenizer: None,
            gguf_template: None,
        }
    }
}
