//! BERT (Devlin et al. 2018), as Hugging Face's `BertForSequenceClassification` computes it, without the base model's own
//! dropout: regularization is the adapters' business here.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_core::{Linears, LoraLinear, Model, Pass, TensorFile};
use lora_data::Batch;
use lora_kernels::padding_bias;
use serde::Deserialize;

use crate::blocks::{FeedForward, LayerNorm, SelfAttention};
use crate::error::LoadError;
use crate::weights::{LoadReport, Scope, Weights};

/// The keys of `config.json` that BERT's numbers depend on; others are passed over.
#[derive(Clone, Debug, Deserialize)]
pub struct BertConfig {
    /// `d_model`.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// `n_heads`.
    pub num_attention_heads: usize,
    /// `d_ff`.
    pub intermediate_size: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Number of segments.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Epsilon of the layer norms.
    #[serde(default = "tiny")]
    pub layer_norm_eps: f64,
    /// Standard deviation of new weights.
    #[serde(default = "deviation")]
    pub initializer_range: f64,
    /// Activation of the feed-forward block; only `gelu` (by erf) is known.
    #[serde(default = "gelu")]
    pub hidden_act: String,
    /// Kind of positions; only `absolute` is known.
    #[serde(default = "absolute")]
    pub position_embedding_type: String,
}

fn two() -> usize {
    2
}
fn tiny() -> f64 {
    1e-12
}
fn deviation() -> f64 {
    0.02
}
fn gelu() -> String {
    "gelu".into()
}
fn absolute() -> String {
    "absolute".into()
}

/// The encoder: embeddings, layers, pooler.
#[derive(Module, Debug)]
pub struct Bert {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    embeddings_norm: LayerNorm,
    layers: Vec<BertLayer>,
    pooler: LoraLinear,
}

/// Attention and feed-forward, each followed by residual and norm.
#[derive(Module, Debug)]
struct BertLayer {
    attention: SelfAttention,
    attention_norm: LayerNorm,
    feed_forward: FeedForward,
    output_norm: LayerNorm,
}

/// BERT with a linear head on the pooled first token.
#[derive(Module, Debug)]
pub struct BertForSequenceClassification {
    bert: Bert,
    classifier: LoraLinear,
}

impl BertConfig {
    /// The settings whose value this implementation does not know, as `(key, found, supported)`.
    pub(crate) fn unsupported(&self) -> Option<(&'static str, &str, &'static str)> {
        if self.hidden_act != "gelu" {
            return Some(("hidden_act", &self.hidden_act, "gelu"));
        }
        (self.position_embedding_type != "absolute").then_some((
            "position_embedding_type",
            &self.position_embedding_type,
            "absolute",
        ))
    }
}

impl Bert {
    fn load(config: &BertConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let d_model = config.hidden_size;
        let embeddings = at.at("embeddings");
        let layers = (0..config.num_hidden_layers)
            .map(|layer| BertLayer::load(config, &at.at(format!("encoder.layer.{layer}"))))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            word_embeddings: embeddings
                .at("word_embeddings")
                .embedding(config.vocab_size, d_model)?,
            position_embeddings: embeddings
                .at("position_embeddings")
                .embedding(config.max_position_embeddings, d_model)?,
            token_type_embeddings: embeddings
                .at("token_type_embeddings")
                .embedding(config.type_vocab_size, d_model)?,
            embeddings_norm: embeddings
                .at("LayerNorm")
                .layer_norm(d_model, config.layer_norm_eps)?,
            layers,
            pooler: at
                .at("pooler.dense")
                .linear_or_new(d_model, d_model, config.initializer_range)?,
        })
    }

    /// The hidden states of the last layer; `observe` sees those of every layer, the embeddings' first.
    ///
    /// # Shapes
    ///
    /// - output, and what is observed: `[batch, seq, d_model]`
    pub fn encode(&self, input: &Batch, pass: &Pass, observe: &mut dyn FnMut(&Tensor<3>)) -> Tensor<3> {
        let device = &self.word_embeddings.weight.device();
        let shape = [input.batch, input.seq];
        let ids =
            |values: &[i32]| Tensor::<2, Int>::from_data(TensorData::new(values.to_vec(), shape), device);
        let positions = Tensor::<1, Int>::arange(0..input.seq as i64, device).unsqueeze::<2>(); // [1, seq]
        let mask = Tensor::from_data(TensorData::new(input.attention_mask.clone(), shape), device);
        let bias = padding_bias(mask); // [batch, 1, 1, seq]

        let embedded = self.word_embeddings.forward(ids(&input.input_ids))
            + self.token_type_embeddings.forward(ids(&input.token_type_ids))
            + self.position_embeddings.forward(positions);
        let mut hidden = self.embeddings_norm.forward(embedded); // [batch, seq, d_model]
        observe(&hidden);
        for layer in &self.layers {
            hidden = layer.forward(hidden, bias.clone(), pass);
            observe(&hidden);
        }
        hidden
    }

    /// `tanh` of a linear on the first token.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, d_model]`
    fn pool(&self, hidden: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let first = hidden.narrow(1, 0, 1).squeeze_dim::<2>(1); // [batch, d_model]
        self.pooler.forward(first, pass).tanh()
    }
}

impl BertLayer {
    fn load(config: &BertConfig, at: &Scope<'_>) -> Result<Self, LoadError> {
        let (d_model, d_ff) = (config.hidden_size, config.intermediate_size);
        let projection = |name: &str| at.at(name).linear(d_model, d_model);
        let projections = [
            projection("attention.self.query")?,
            projection("attention.self.key")?,
            projection("attention.self.value")?,
            projection("attention.output.dense")?,
        ];
        let norm = |name: &str| at.at(name).layer_norm(d_model, config.layer_norm_eps);
        Ok(Self {
            attention: SelfAttention::new(projections, config.num_attention_heads),
            attention_norm: norm("attention.output.LayerNorm")?,
            feed_forward: FeedForward {
                up: at.at("intermediate.dense").linear(d_model, d_ff)?,
                down: at.at("output.dense").linear(d_ff, d_model)?,
            },
            output_norm: norm("output.LayerNorm")?,
        })
    }

    fn forward(&self, hidden: Tensor<3>, bias: Tensor<4>, pass: &Pass) -> Tensor<3> {
        let attended = self.attention.forward(hidden.clone(), bias, pass);
        let hidden = self.attention_norm.forward(hidden + attended);
        let fed = self.feed_forward.forward(hidden.clone(), pass);
        self.output_norm.forward(hidden + fed)
    }
}

impl BertForSequenceClassification {
    /// Builds the model from a file. `outputs` is the number of classes, or 1 for regression; a head for another
    /// number, or none, starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if tensors are missing or have other shapes than the configuration says.
    pub fn load(
        config: &BertConfig,
        file: &TensorFile,
        outputs: usize,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, LoadReport), LoadError> {
        let weights = Weights::new(file, "bert.", seed, device);
        let root = weights.root();
        let model = Self {
            bert: Bert::load(config, &root.at("bert"))?,
            classifier: root.at("classifier").linear_or_new(
                config.hidden_size,
                outputs,
                config.initializer_range,
            )?,
        };
        drop(root);
        Ok((model, weights.finish()?))
    }

    /// Logits `[batch, outputs]`; `observe` sees the hidden states of every layer as [`Bert::encode`] says.
    pub fn observed_forward(
        &self,
        input: &Batch,
        pass: &Pass,
        observe: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<2> {
        let hidden = self.bert.encode(input, pass, observe);
        self.classifier.forward(self.bert.pool(hidden, pass), pass)
    }
}

impl Linears for BertForSequenceClassification {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        for layer in &self.bert.layers {
            layer.attention.visit_linears(visit);
            layer.feed_forward.visit_linears(visit);
        }
        visit(&self.bert.pooler);
        visit(&self.classifier);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        for layer in &mut self.bert.layers {
            layer.attention.visit_linears_mut(visit);
            layer.feed_forward.visit_linears_mut(visit);
        }
        visit(&mut self.bert.pooler);
        visit(&mut self.classifier);
    }

    fn heads(&self) -> Vec<String> {
        vec![self.classifier.path().to_owned()]
    }
}

impl Model for BertForSequenceClassification {
    type Input = Batch;

    fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
        self.observed_forward(input, pass, &mut |_| {})
    }
}
