//! What somebody writes with Burn alone: its embeddings, its encoder, its `apply_lora`. Nothing of this project's kernels is
//! in it.

use anyhow::{Result, anyhow};
use bench_model::{ALPHA, RANK, Shape, VOCABULARY};
use burn::module::{Lora, Module, ParamGroup};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor};
use lora_data::Targets;

const POSITIONS: usize = 512;
const CLASSES: usize = 2;

/// A BERT classifier: post-norm layers, the head on the first token.
#[derive(Module, Debug)]
struct Classifier {
    words: Embedding,
    positions: Embedding,
    norm: LayerNorm,
    encoder: TransformerEncoder,
    head: Linear,
}

impl Classifier {
    fn new(shape: &Shape, device: &Device) -> Self {
        let Shape {
            d_model,
            d_ff,
            n_heads,
            n_layers,
            ..
        } = *shape;
        Self {
            words: EmbeddingConfig::new(VOCABULARY, d_model).init(device),
            positions: EmbeddingConfig::new(POSITIONS, d_model).init(device),
            norm: LayerNormConfig::new(d_model).init(device),
            encoder: TransformerEncoderConfig::new(d_model, d_ff, n_heads, n_layers)
                .with_dropout(0.0)
                .init(device),
            head: LinearConfig::new(d_model, CLASSES).init(device),
        }
    }

    /// Logits, `[batch, classes]`, for tokens `[batch, seq]`.
    fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [_, seq] = tokens.dims();
        let places = Tensor::<1, Int>::arange(0..seq as i64, &tokens.device()).unsqueeze::<2>();
        let embedded = self.words.forward(tokens) + self.positions.forward(places);
        let hidden = self
            .encoder
            .forward(TransformerEncoderInput::new(self.norm.forward(embedded)));
        let first = hidden.narrow(1, 0, 1).squeeze_dim::<2>(1);
        self.head.forward(first)
    }
}

/// A training step of this shape each time that it is called: forward, backward, AdamW.
///
/// # Errors
///
/// If the pattern of the adapted weights is none.
pub fn training(shape: &Shape, device: &Device) -> Result<impl FnMut() -> Result<()> + use<>> {
    let weights = ParamGroup::from_regex(r"(query|value)\.weight$")
        .map_err(|error| anyhow!("the pattern of the targets: {error:?}"))?;
    let mut model = Classifier::new(shape, device)
        .train()
        .apply_lora(Lora::new(RANK, ALPHA).set_param_group(weights));
    let mut optimizer = AdamWConfig::new().init();
    let loss_of = CrossEntropyLossConfig::new().init(device);
    let batch = shape.batch();
    let Targets::Classes(classes) = &batch.targets else {
        unreachable!("the bench's batch has classes")
    };
    let classes: Vec<i32> = classes.iter().map(|class| *class as i32).collect();
    let targets = Tensor::<1, Int>::from_data(classes.as_slice(), device);
    let tokens =
        Tensor::<1, Int>::from_data(batch.input_ids.as_slice(), device).reshape([shape.batch, shape.seq]);
    Ok(move || {
        let loss = loss_of.forward(model.forward(tokens.clone()), targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(1e-4, model.clone(), gradients);
        loss.into_data();
        Ok(())
    })
}
