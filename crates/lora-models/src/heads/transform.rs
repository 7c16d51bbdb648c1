//! What some heads have between the backbone and their output layer.

use burn::module::Module;
use burn::tensor::Tensor;
use lora_core::{LoraLinear, Pass};

use crate::blocks::{Activation, LayerNorm, linears_of};
use crate::error::LoadError;
use crate::families::{ModelSpec, TransformForm};
use crate::weights::Scope;

/// `norm(activation(dense(hidden)))`.
#[derive(Module, Debug)]
pub struct HeadTransform {
    /// From `d_model` to the features that the output layer reads.
    pub dense: LoraLinear,
    norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
}

linears_of!(HeadTransform: dense);

impl HeadTransform {
    /// The transform of a family; what is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn load(
        form: &TransformForm,
        d_output: usize,
        spec: &ModelSpec,
        at: &Scope<'_>,
    ) -> Result<Self, LoadError> {
        let (dense, norm) = (at.at(form.dense), at.at(form.norm));
        Ok(Self {
            dense: dense.linear_or_new(spec.d_model, d_output, form.dense_bias, spec.deviation)?,
            norm: norm.layer_norm_or_new(d_output, spec.epsilon, form.norm_bias)?,
            activation: form.activation,
        })
    }

    /// That of a classifier of this spec, if it has one.
    ///
    /// # Errors
    ///
    /// As [`HeadTransform::load`].
    pub fn of_classifier(spec: &ModelSpec, at: &Scope<'_>) -> Result<Option<Self>, LoadError> {
        let load = |form| Self::load(form, spec.d_model, spec, at);
        spec.transform.as_ref().map(load).transpose()
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, ..., d_model]`
    /// - output: `[batch, ..., d_output]`
    pub fn forward<const D: usize>(&self, hidden: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let hidden = self.dense.forward(hidden, pass);
        self.norm.forward(self.activation.forward(hidden))
    }
}
