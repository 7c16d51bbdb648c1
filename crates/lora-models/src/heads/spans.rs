//! Extractive question answering: where in the text an answer starts and ends (Devlin et al. 2018, section 4.2).

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};

use super::HeadTransform;
use crate::blocks::linears_of;
use crate::error::LoadError;
use crate::families::ModelSpec;
use crate::weights::{Bias, Scope};

/// Two scores for every token; classes are the places of the sequence.
#[derive(Module, Debug)]
pub struct SpanHead {
    /// What stands before them, in families that have such.
    pub transform: Option<HeadTransform>,
    /// `[d_model, 2]`: start and end.
    pub outputs: LoraLinear,
}

linears_of!(SpanHead: transform, outputs);

impl SpanHead {
    /// The head at `qa_outputs`, or at `classifier` after a transform; one that is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn load(spec: &ModelSpec, at: &Scope<'_>) -> Result<Self, LoadError> {
        let transform = HeadTransform::of_classifier(spec, at)?;
        let outputs = at.at(if transform.is_some() {
            "classifier"
        } else {
            "qa_outputs"
        });
        Ok(Self {
            transform,
            outputs: outputs.linear_or_new(spec.d_model, 2, Bias::Present, spec.deviation)?,
        })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[2 · batch, seq]`: the starts of all rows, then their ends
    pub fn forward(&self, hidden: Tensor<3>, pass: &Pass) -> Tensor<2> {
        let [batch, seq, _] = hidden.dims();
        let hidden = match &self.transform {
            Some(transform) => transform.forward(hidden, pass),
            None => hidden,
        };
        let scores = self.outputs.forward(hidden, pass); // [batch, seq, 2]
        scores.permute([2, 0, 1]).reshape([2 * batch, seq])
    }
}
