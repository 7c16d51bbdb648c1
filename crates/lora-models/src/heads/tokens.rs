//! One row of logits a token: named entities, parts of speech.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};

use super::{HeadTransform, rows_of_tokens};
use crate::blocks::linears_of;
use crate::error::LoadError;
use crate::families::ModelSpec;
use crate::weights::{Bias, Scope};

/// A linear on every token, after a transform where the family has one.
#[derive(Module, Debug)]
pub struct TokenHead {
    /// What stands before it.
    pub transform: Option<HeadTransform>,
    /// `[d_model, outputs]`.
    pub classifier: LoraLinear,
}

linears_of!(TokenHead: transform, classifier);

impl TokenHead {
    /// The head at the family's [`ModelSpec::tokens`]; one that is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn load(outputs: usize, spec: &ModelSpec, at: &Scope<'_>) -> Result<Self, LoadError> {
        let classifier = at.at(spec.tokens);
        Ok(Self {
            transform: HeadTransform::of_classifier(spec, at)?,
            classifier: classifier.output_layer(spec.d_model, outputs, Bias::Present, spec.deviation)?,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch · seq, outputs]`, row-major
    pub fn forward(&self, hidden: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let hidden = match &self.transform {
            Some(transform) => transform.forward(hidden, pass),
            None => hidden,
        };
        rows_of_tokens(self.classifier.forward(hidden, pass))
    }
}
