//! Layers that a checkpoint may lack, as a head on a pretrained model is: they start from the seed.

use burn::module::Param;
use burn::tensor::{Int, Tensor};
use lora_core::LoraLinear;
use lora_core::random::seeded_normal;

use super::{Bias, Scope};
use crate::blocks::LayerNorm;
use crate::error::LoadError;
use crate::heads::SavedHead;

impl Scope<'_> {
    /// A linear that may be absent, as a head on a pretrained model is: weight drawn from N(0, `deviation`²), bias
    /// zero. One of another shape counts as absent: it belongs to other classes.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn linear_or_new(
        &self,
        d_input: usize,
        d_output: usize,
        bias: Bias,
        deviation: f64,
    ) -> Result<LoraLinear, LoadError> {
        let has_bias = bias == Bias::Present;
        let fits = |last: &str, shape: &[usize]| self.weights.shape(&self.name(last)) == Some(shape);
        if fits("weight", &[d_output, d_input]) && (!has_bias || fits("bias", &[d_output])) {
            return self.linear_with(d_input, d_output, bias);
        }
        Ok(self.new_linear(d_input, d_output, bias, deviation))
    }

    fn new_linear(&self, d_input: usize, d_output: usize, bias: Bias, deviation: f64) -> LoraLinear {
        let has_bias = bias == Bias::Present;
        // What belongs to other classes is no left-over: the report names it as new.
        self.pass_over("weight");
        if has_bias {
            self.pass_over("bias");
        }
        let name = self.name("weight");
        let values = seeded_normal(self.weights.seed, &name, d_input * d_output, deviation);
        self.weights.initialized(name);
        let weight = self.to_device(values, [d_input, d_output]);
        let bias = has_bias.then(|| {
            self.weights.initialized(self.name("bias"));
            Tensor::zeros([d_output], self.weights.device)
        });
        LoraLinear::new(self.path.clone(), weight, bias)
    }

    /// The output layer of a classifier, as [`Scope::linear_or_new`], with its outputs in the order of the labels that are
    /// asked for; new where the checkpoint's is for other classes ([`super::Weights::for_labels`]).
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn output_layer(
        &self,
        d_input: usize,
        d_output: usize,
        bias: Bias,
        deviation: f64,
    ) -> Result<LoraLinear, LoadError> {
        let relation = self.weights.saved_head.clone().filter(|_| self.has("weight"));
        self.weights.record.borrow_mut().saved_head.clone_from(&relation);
        match relation {
            Some(SavedHead::OtherClasses { .. }) => Ok(self.new_linear(d_input, d_output, bias, deviation)),
            Some(SavedHead::Reordered { outputs }) => {
                let mut layer = self.linear_or_new(d_input, d_output, bias, deviation)?;
                let outputs: Vec<i32> = outputs.into_iter().map(|output| output as i32).collect();
                let outputs = Tensor::<1, Int>::from_data(outputs.as_slice(), self.weights.device);
                layer.base.weight = layer.base.weight.map(|weight| weight.select(1, outputs.clone()));
                layer.base.bias = layer
                    .base
                    .bias
                    .map(|bias| bias.map(|bias| bias.select(0, outputs)));
                Ok(layer)
            }
            Some(SavedHead::SameOrder | SavedHead::Unnamed { .. }) | None => {
                self.linear_or_new(d_input, d_output, bias, deviation)
            }
        }
    }

    /// A linear without bias that a checkpoint may have in this shape; of another shape it is skipped.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn linear_that_fits(&self, d_input: usize, d_output: usize) -> Result<Option<LoraLinear>, LoadError> {
        if self.weights.shape(&self.name("weight")) == Some(&[d_output, d_input]) {
            return self.linear_without_bias(d_input, d_output).map(Some);
        }
        self.pass_over("weight");
        Ok(None)
    }

    /// A vector, frozen; zeros if it is absent or of another length.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn vector_or_zeros(&self, last: &str, length: usize) -> Result<Param<Tensor<1>>, LoadError> {
        let name = self.name(last);
        if self.weights.shape(&name) == Some(&[length]) {
            return self.parameter(last, [length]);
        }
        self.pass_over(last);
        self.weights.initialized(name);
        Ok(self.named(last, Tensor::zeros([length], self.weights.device)))
    }

    /// As [`Scope::layer_norm_with`]; one that is absent starts as the identity's: factor 1, offset 0.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn layer_norm_or_new(
        &self,
        d_model: usize,
        epsilon: f64,
        bias: Bias,
    ) -> Result<LayerNorm, LoadError> {
        if self.has("weight") || self.has("gamma") {
            return self.layer_norm_with(d_model, epsilon, bias);
        }
        let device = self.weights.device;
        self.weights.initialized(self.name("weight"));
        let gamma = self.named("weight", Tensor::ones([d_model], device));
        if bias == Bias::Absent {
            return Ok(LayerNorm::without_bias(gamma, epsilon));
        }
        self.weights.initialized(self.name("bias"));
        let beta = self.named("bias", Tensor::zeros([d_model], device));
        Ok(LayerNorm::new(gamma, beta, epsilon))
    }
}
