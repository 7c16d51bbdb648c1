//! Models small enough to know the answer.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod exact;
mod members;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::random::seeded_normal;
use lora_core::trained::ParamRef;
use lora_core::vector::{Part, Posterior, VectorLayout};
use lora_core::{
    Adapted, Form, HeadConfig, Linears, LoraConfig, LoraLinear, Model, Pass, TargetModules, Tuning,
};
use nalgebra::{DMatrix, DVector};

use super::*;
use crate::softmax::softmax;

const D_INPUT: usize = 4;
const TOKENS: usize = 3;
const EXAMPLES: usize = 11;

/// A head on the mean of what an adapted linear makes of tokens; or a head alone, on the first token.
#[derive(Module, Debug)]
struct Net {
    inner: Option<LoraLinear>,
    head: LoraLinear,
}

impl Linears for Net {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        self.inner.iter().for_each(&mut *visit);
        visit(&self.head);
    }
    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        self.inner.iter_mut().for_each(&mut *visit);
        visit(&mut self.head);
    }
    fn heads(&self) -> Vec<String> {
        vec!["head".to_owned()]
    }
}

impl Model for Net {
    /// Rows of the data set.
    type Input = Vec<usize>;
    fn forward(&self, input: &Vec<usize>, pass: &Pass) -> Tensor<2> {
        let values: Vec<f32> = input.iter().flat_map(|row| example(*row)).collect();
        let device = self.head.base.weight.device();
        let x = Tensor::<3>::from_data(TensorData::new(values, [input.len(), TOKENS, D_INPUT]), &device);
        let features = match &self.inner {
            None => x.narrow(1, 0, 1).squeeze_dim::<2>(1),
            Some(inner) => inner.forward(x, pass).tanh().mean_dim(1).squeeze_dim::<2>(1),
        };
        self.head.forward(features, pass)
    }
}

fn example(row: usize) -> Vec<f32> {
    seeded_normal(8, &format!("example {row}"), TOKENS * D_INPUT, 1.0)
}

fn normal(name: &str, shape: [usize; 2], deviation: f64) -> Tensor<2> {
    let values = seeded_normal(8, name, shape[0] * shape[1], deviation);
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn linear(path: &str, shape: [usize; 2], has_bias: bool) -> LoraLinear {
    let bias = has_bias.then(|| normal(&format!("{path}.bias"), [1, shape[1]], 0.5).squeeze_dim(0));
    LoraLinear::new(path, normal(path, shape, 0.7), bias)
}

/// The head alone, all of it trained.
fn head_alone(outputs: usize, has_bias: bool) -> Adapted<Net> {
    let model = Net {
        inner: None,
        head: linear("head", [D_INPUT, outputs], has_bias),
    };
    let tuning = Tuning::Full(HeadConfig::new(vec!["head".to_owned()]));
    Adapted::attach(model, tuning, 1).unwrap().0
}

/// An adapter of rank 2 with alpha 5 below a head that is trained in full.
fn with_adapter(form: Form) -> Adapted<Net> {
    let model = Net {
        inner: Some(linear("inner", [D_INPUT, 5], true)),
        head: linear("head", [5, 3], true),
    };
    let config = LoraConfig::new(2, 5.0, TargetModules::names(["inner"]))
        .with_modules_to_save(["head"])
        .with_form(form);
    let (mut adapted, _) = Adapted::attach(model, config, 1).unwrap();
    adapted.model.visit_linears_mut(&mut |linear| {
        if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
            factors.b = Param::from_tensor(normal("b", [2, 5], 0.6));
        }
    });
    adapted
}

/// All examples, in batches of four.
fn batches() -> Vec<Vec<usize>> {
    (0..EXAMPLES)
        .collect::<Vec<_>>()
        .chunks(4)
        .map(<[usize]>::to_vec)
        .collect()
}

fn labels() -> Vec<usize> {
    (0..EXAMPLES).map(|row| row * 2 % 3).collect()
}

fn fit(
    adapted: &Adapted<Net>,
    batches: &[Vec<usize>],
    observed: &Observed<'_>,
    part: Part,
    structure: Structure,
) -> Result<Laplace, LaplaceError> {
    let settings = LaplaceSettings {
        part,
        structure,
        prior_precision: 0.8,
        seed: 5,
        ..LaplaceSettings::default()
    };
    let batches = batches.iter().map(|rows| (rows, rows.as_slice()));
    Laplace::fit(adapted, batches, observed, &settings, &mut |_| ())
}

fn features(adapted: &Adapted<Net>) -> LastLayerFeatures {
    let batches = batches();
    let batches = batches.iter().map(|rows| (rows, rows.as_slice()));
    LastLayerFeatures::of(adapted, batches, EXAMPLES, &mut |_| ()).unwrap()
}

fn logits(adapted: &Adapted<Net>, row: usize) -> Vec<f64> {
    let outputs = adapted.model.forward(&vec![row], &Pass::Mean).inner();
    let values = lora_core::tensors::HostTensor::of(outputs).values;
    values.into_iter().map(f64::from).collect()
}

/// `x` and, with bias, a one.
fn extended(row: usize, has_bias: bool) -> DVector<f64> {
    let features = example(row).into_iter().take(D_INPUT).map(f64::from);
    let one = has_bias.then_some(1.0);
    DVector::from_vec(features.chain(one).collect())
}

/// `diag(p) − p pᵀ`.
fn softmax_curvature(logits: &[f64]) -> DMatrix<f64> {
    let p = DVector::from_vec(softmax(logits));
    DMatrix::from_diagonal(&p) - &p * p.transpose()
}

/// The Hessian of the negative log-likelihood of a softmax regression, derived by hand: `Σ_n Λ_n ⊗ x̃_n x̃_nᵀ`, in the order of the
/// layout (all weights, then the biases).
fn hessian_of_softmax_regression(adapted: &Adapted<Net>, has_bias: bool, rows: &[usize]) -> DMatrix<f64> {
    let classes = 3;
    let size = classes * (D_INPUT + usize::from(has_bias));
    let place = |class: usize, feature: usize| {
        if feature == D_INPUT {
            classes * D_INPUT + class
        } else {
            class * D_INPUT + feature
        }
    };
    let mut hessian = DMatrix::zeros(size, size);
    for row in rows {
        let (x, curvature) = (
            extended(*row, has_bias),
            softmax_curvature(&logits(adapted, *row)),
        );
        for (c, i) in (0..classes).flat_map(|c| (0..x.len()).map(move |i| (c, i))) {
            for (d, j) in (0..classes).flat_map(|d| (0..x.len()).map(move |j| (d, j))) {
                hessian[(place(c, i), place(d, j))] += curvature[(c, d)] * x[i] * x[j];
            }
        }
    }
    hessian
}

/// Holds the covariance of a posterior against the inverse of a curvature matrix with the prior, along many directions.
fn assert_covariance(laplace: &Laplace, curvature: &DMatrix<f64>) {
    let size = curvature.nrows();
    assert_eq!(laplace.layout().len(), size);
    let precision = curvature + DMatrix::identity(size, size) * laplace.prior_precision();
    let covariance = precision.try_inverse().unwrap();
    for number in 0..40 {
        let direction = seeded_normal(1, &format!("direction {number}"), size, 1.0);
        let direction = DVector::from_iterator(size, direction.into_iter().map(f64::from));
        let expected = direction.dot(&(&covariance * &direction));
        let found = laplace.variance(direction.as_slice());
        // Gradients are in f32: 1e-6 each, summed over a few dozen terms.
        assert!(
            (found - expected).abs() < 1e-4 * expected,
            "{found}, expected {expected}"
        );
    }
}
