//! One row of logits a sequence: classification, or regression with one output.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};
use lora_data::Batch;

use super::HeadTransform;
use crate::blocks::{Activation, attention_mask, linears_of};
use crate::error::LoadError;
use crate::families::{ModelSpec, Pooling, SequenceForm};
use crate::weights::{Bias, Scope};

/// `output(activation(dense(first token)))`: the encoders' form. Names and activation are the family's.
#[derive(Module, Debug)]
pub struct FirstTokenHead {
    /// `[d_model, d_model]`.
    pub dense: LoraLinear,
    /// `[d_model, outputs]`.
    pub output: LoraLinear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    trained: &'static [&'static str],
}

linears_of!(FirstTokenHead: dense, output);

/// `score(last token that is not padding)`: the decoders' form, for only the last token has seen all others.
#[derive(Module, Debug)]
pub struct LastTokenHead {
    /// `[d_model, outputs]`, without bias.
    pub score: LoraLinear,
    #[module(skip)]
    padding: Option<i32>,
}

linears_of!(LastTokenHead: score);

/// `classifier(transform(pooled tokens))`: ModernBERT's form.
#[derive(Module, Debug)]
pub struct PooledHead {
    /// What stands before the output layer.
    pub transform: HeadTransform,
    /// `[d_model, outputs]`.
    pub classifier: LoraLinear,
    #[module(skip)]
    pooling: Pooling,
}

linears_of!(PooledHead: transform, classifier);

impl FirstTokenHead {
    /// The head of a family; what is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Head`] for a family of the other form, [`LoadError::Tensors`].
    pub fn load(outputs: usize, spec: &ModelSpec, at: &Scope<'_>) -> Result<Self, LoadError> {
        let SequenceForm::FirstToken {
            dense,
            activation,
            output,
            trained,
        } = spec.sequence
        else {
            return Err(at.no_head("a head on the first token"));
        };
        let (d_model, deviation) = (spec.d_model, spec.deviation);
        Ok(Self {
            dense: at
                .at(dense)
                .linear_or_new(d_model, d_model, Bias::Present, deviation)?,
            output: at
                .at(output)
                .output_layer(d_model, outputs, Bias::Present, deviation)?,
            activation,
            trained,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, hidden: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let first = hidden.narrow(1, 0, 1).squeeze_dim::<2>(1); // [batch, d_model]
        let pooled = self.activation.forward(self.dense.forward(first, pass));
        self.output.forward(pooled, pass)
    }

    /// Modules that no pretrained checkpoint has.
    pub fn trained(&self) -> &'static [&'static str] {
        self.trained
    }
}

impl LastTokenHead {
    /// The head at `score`; one that is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn load(
        outputs: usize,
        padding: Option<i32>,
        spec: &ModelSpec,
        at: &Scope<'_>,
    ) -> Result<Self, LoadError> {
        let score = at
            .at("score")
            .output_layer(spec.d_model, outputs, Bias::Absent, spec.deviation)?;
        Ok(Self { score, padding })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, hidden: Tensor<3>, input: &Batch, pass: &Pass) -> Tensor<2> {
        let [batch, seq, d_model] = hidden.dims();
        // Transformers looks for the padding token alone, so a text that ends in it is read before its end.
        let is_read =
            |place: usize| input.attention_mask[place] > 0.0 && Some(input.input_ids[place]) != self.padding;
        let last: Vec<i32> = (0..batch)
            .map(|row| {
                let places = row * seq..(row + 1) * seq;
                let last = places.clone().rev().find(|place| is_read(*place));
                last.unwrap_or(places.start) as i32
            })
            .collect();
        let last = Tensor::from_data(last.as_slice(), &hidden.device());
        let last = hidden.reshape([batch * seq, d_model]).select(0, last); // [batch, d_model]
        self.score.forward(last, pass)
    }
}

impl PooledHead {
    /// The head at `classifier`, with the family's transform; what is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Head`] for a family without a transform, [`LoadError::Tensors`].
    pub fn load(
        outputs: usize,
        pooling: Pooling,
        spec: &ModelSpec,
        at: &Scope<'_>,
    ) -> Result<Self, LoadError> {
        let Some(transform) = HeadTransform::of_classifier(spec, at)? else {
            return Err(at.no_head("a head on pooled tokens"));
        };
        let classifier = at.at("classifier");
        Ok(Self {
            transform,
            classifier: classifier.output_layer(spec.d_model, outputs, Bias::Present, spec.deviation)?,
            pooling,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch, outputs]`
    pub fn forward(&self, hidden: Tensor<3>, input: &Batch, pass: &Pass) -> Tensor<2> {
        let pooled = match self.pooling {
            Pooling::FirstToken => hidden.narrow(1, 0, 1).squeeze_dim::<2>(1), // [batch, d_model]
            Pooling::Mean => {
                let real = attention_mask(input, &hidden.device()); // [batch, seq]
                let count = real.clone().sum_dim(1); // [batch, 1]
                (hidden * real.unsqueeze_dim(2)).sum_dim(1).squeeze_dim::<2>(1) / count
            }
        };
        self.classifier
            .forward(self.transform.forward(pooled, pass), pass)
    }
}
