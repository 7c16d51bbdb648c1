//! Gradients of the trained parameters: their common norm, and their values by name.

use std::collections::BTreeMap;

use burn::module::Param;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use lora_core::tensors::HostTensor;
use lora_core::trained::ParamRef;
use lora_core::{Adapted, Model};

/// The 2-norm of all gradients together, as if they were one vector (`torch.nn.utils.clip_grad_norm_`).
///
/// Burn's own clipping takes the norm of every tensor by itself, which is another method: it changes the direction
/// of the whole gradient.
///
/// # Shapes
///
/// - output: `[1]`
///
/// # Panics
///
/// Panics if no trained parameter has a gradient.
pub fn global_norm<M: Model>(adapted: &Adapted<M>, gradients: &GradientsParams) -> Tensor<1> {
    let mut squares = Vec::new();
    adapted.visit_trained(&mut |parameter| {
        squares.extend(match parameter.param {
            ParamRef::Matrix(param) | ParamRef::Table(param) => square_sum(param, gradients),
            ParamRef::Vector(param) => square_sum(param, gradients),
            ParamRef::Kernel(param) => square_sum(param, gradients),
        });
    });
    Tensor::cat(squares, 0).sum().sqrt()
}

fn square_sum<const D: usize>(param: &Param<Tensor<D>>, gradients: &GradientsParams) -> Option<Tensor<1>> {
    let gradient = gradients.get::<D>(param.id)?;
    Some(gradient.square().sum())
}

/// The factor that brings a gradient of norm `norm` to `max_norm`, at most 1: that of
/// `torch.nn.utils.clip_grad_norm_`. A `max_norm` of 0 clips nothing.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    // PyTorch's guard against a division by zero; it makes clipped gradients a millionth shorter than max_norm.
    const GUARD: f64 = 1e-6;
    if max_norm == 0.0 {
        1.0
    } else {
        (max_norm / (norm + GUARD)).min(1.0)
    }
}

/// Multiplies every gradient of a trained parameter by a factor.
pub fn scale<M: Model>(adapted: &Adapted<M>, gradients: &mut GradientsParams, factor: f64) {
    fn scale_one<const D: usize>(param: &Param<Tensor<D>>, gradients: &mut GradientsParams, factor: f64) {
        if let Some(gradient) = gradients.remove::<D>(param.id) {
            gradients.register(param.id, gradient.mul_scalar(factor));
        }
    }
    adapted.visit_trained(&mut |parameter| match parameter.param {
        ParamRef::Matrix(param) | ParamRef::Table(param) => scale_one(param, gradients, factor),
        ParamRef::Vector(param) => scale_one(param, gradients, factor),
        ParamRef::Kernel(param) => scale_one(param, gradients, factor),
    });
}

/// Gradients on the host, named and oriented as the parameters are by [`trained_tensors`]: PEFT's names without
/// `base_model.model.`, matrices `[d_output, d_input]`.
///
/// [`trained_tensors`]: lora_core::peft::trained_tensors
///
/// A parameter that took no part in the loss is left out.
pub fn named_gradients<M: Model>(
    adapted: &Adapted<M>,
    gradients: &GradientsParams,
) -> BTreeMap<String, HostTensor> {
    let mut named = BTreeMap::new();
    adapted.visit_trained(&mut |parameter| {
        let tensor = match parameter.param {
            ParamRef::Matrix(param) => {
                let gradient = gradients.get::<2>(param.id);
                gradient.map(|gradient| HostTensor::of(gradient).transposed())
            }
            ParamRef::Table(param) => gradients.get::<2>(param.id).map(HostTensor::of),
            ParamRef::Vector(param) => gradients.get::<1>(param.id).map(HostTensor::of),
            ParamRef::Kernel(param) => gradients.get::<3>(param.id).map(HostTensor::of),
        };
        if let Some(tensor) = tensor {
            named.insert(parameter.name, tensor);
        }
    });
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clip_factor_is_that_of_pytorch() {
        // max_norm / (norm + 1e-6), at most 1.
        assert!((clip_factor(5.0, 1.0) - 1.0 / 5.000_001).abs() < 1e-15);
        assert!((clip_factor(0.25, 1.0) - 1.0).abs() < f64::EPSILON);
        assert!((clip_factor(0.0, 1.0) - 1.0).abs() < f64::EPSILON);
        assert!((clip_factor(1e9, 0.0) - 1.0).abs() < f64::EPSILON);
    }
}
