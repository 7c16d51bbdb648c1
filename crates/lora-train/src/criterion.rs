//! What a training makes small beside plain cross-entropy: weights of classes, smoothed labels, focal loss.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Int, Tensor, TensorData};
use lora_data::{EncodedDataset, Targets};
use lora_kernels::cross_entropy;

use crate::config::{ClassWeights, TrainConfig};
use crate::error::TrainError;

/// The smallest `1 − p` that the focal factor is computed of; below it f32 has no digits left.
const LEAST_DOUBT: f64 = 1e-7;

/// The loss of a training. Evaluations are always plain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Criterion {
    /// `[classes]`; none: all count alike.
    class_weights: Option<Vec<f32>>,
    label_smoothing: f64,
    focal_gamma: f64,
}

impl ClassWeights {
    /// `[classes]`, for a data set of texts with classes or labels.
    ///
    /// # Errors
    ///
    /// [`TrainError::ClassWeightsTask`] for another kind of data, [`TrainError::UnknownClassWeight`] for a name that no label has.
    pub fn of(&self, data: &EncodedDataset) -> Result<Vec<f32>, TrainError> {
        let names = data.task.as_ref().and_then(lora_data::Task::labels);
        let names = names.ok_or(TrainError::ClassWeightsTask)?;
        match self {
            Self::Balanced => balanced(&data.targets, names.len()),
            Self::ByLabel(weights) => {
                if let Some(unknown) = weights.keys().find(|name| names.index_of(name).is_none()) {
                    return Err(TrainError::UnknownClassWeight {
                        label: unknown.clone(),
                        known: names.names().to_vec(),
                    });
                }
                let weight = |name: &String| weights.get(name).map_or(1.0, |weight| *weight as f32);
                Ok(names.names().iter().map(weight).collect())
            }
        }
    }
}

/// A class without a row, which nothing is ever divided by, has weight 1 and is no class among those counted.
fn balanced(targets: &Targets, classes: usize) -> Result<Vec<f32>, TrainError> {
    let mut rows = vec![0_usize; classes];
    match targets {
        Targets::Classes(labels) => labels.iter().for_each(|label| rows[*label] += 1),
        Targets::Labels(sets) => {
            sets.iter().flatten().for_each(|label| rows[*label] += 1);
            let weight = |with: &usize| match sets.len() - with {
                0 => 1.0,
                _ if *with == 0 => 1.0,
                without => (without as f64 / *with as f64) as f32,
            };
            return Ok(rows.iter().map(weight).collect());
        }
        _ => return Err(TrainError::ClassWeightsTask),
    }
    let all: usize = rows.iter().sum();
    let present = rows.iter().filter(|rows| **rows > 0).count();
    let weight = |rows: &usize| match rows {
        0 => 1.0,
        rows => (all as f64 / (present * rows) as f64) as f32,
    };
    Ok(rows.iter().map(weight).collect())
}

impl Criterion {
    /// What the settings say, without weights of classes.
    pub fn new(config: &TrainConfig) -> Self {
        Self {
            class_weights: None,
            label_smoothing: config.label_smoothing_factor,
            focal_gamma: config.focal_loss_gamma,
        }
    }

    /// With weights `[classes]`.
    #[must_use]
    pub fn with_class_weights(self, class_weights: Vec<f32>) -> Self {
        Self {
            class_weights: Some(class_weights),
            ..self
        }
    }

    /// The loss of outputs whose classes are known.
    ///
    /// ```text
    /// ℓ_i  = w_y (1 − p_y)^γ (−ln p_y)          p = softmax(outputs_i), y the class of the row
    /// loss = (1 − ε) Σ_i ℓ_i / Σ_i w_y + ε/C Σ_i Σ_c w_c (−ln p_c) / Σ_i w_y
    /// ```
    ///
    /// With γ = 0 this is PyTorch's `cross_entropy` with `weight` w and `label_smoothing` ε; γ > 0 is the focal loss of Lin et al. 2017
    /// (arXiv 1708.02002), whose α is w. Settings allow only one of ε and γ.
    ///
    /// # Shapes
    ///
    /// - outputs: `[batch, classes]`
    /// - output: `[1]`
    pub(crate) fn of_classes(&self, outputs: Tensor<2>, labels: &[usize]) -> Tensor<1> {
        let device = outputs.device();
        let [batch, classes] = outputs.dims();
        let indices: Vec<i32> = labels.iter().map(|label| class(*label, classes)).collect();
        let targets = Tensor::<1, Int>::from_data(indices.as_slice(), &device);
        if *self == Self::default() {
            return cross_entropy(outputs, targets);
        }
        let log_p = log_softmax(outputs, 1); // [batch, classes]
        let of_label = log_p.clone().gather(1, targets.reshape([batch, 1])); // [batch, 1]
        let mut each = of_label.clone().neg();
        if self.focal_gamma > 0.0 {
            let doubt = of_label.exp().neg().add_scalar(1.0).clamp_min(LEAST_DOUBT);
            each = each * doubt.powf_scalar(self.focal_gamma);
        }
        let mut counted = batch as f64;
        let mut smooth = log_p.neg();
        if let Some(weights) = &self.class_weights {
            let of_rows: Vec<f32> = labels.iter().map(|label| weights[*label]).collect();
            counted = of_rows.iter().copied().map(f64::from).sum();
            each = each * Tensor::<2>::from_data(TensorData::new(of_rows, [batch, 1]), &device);
            smooth = smooth * Tensor::<2>::from_data(TensorData::new(weights.clone(), [1, classes]), &device);
        }
        let mut sum = each.sum();
        if self.label_smoothing > 0.0 {
            let smooth = smooth.sum().mul_scalar(self.label_smoothing / classes as f64);
            sum = sum.mul_scalar(1.0 - self.label_smoothing) + smooth;
        }
        sum.div_scalar(counted)
    }

    /// The loss of outputs where any number of labels may hold.
    ///
    /// ```text
    /// ℓ_ic = −v_c y' q_ic^γ ln p_ic − (1 − y') p_ic^γ ln q_ic       p = sigmoid(outputs), q = 1 − p, y' = (1 − ε) y_ic + ε/2
    /// loss = mean of ℓ over rows and labels
    /// ```
    ///
    /// With γ = 0 this is PyTorch's `binary_cross_entropy_with_logits` with `pos_weight` v, as Transformers trains
    /// `multi_label_classification`; γ > 0 is torchvision's `sigmoid_focal_loss`.
    ///
    /// # Shapes
    ///
    /// - outputs, truth (1 where a label holds, else 0): `[batch, labels]`
    /// - output: `[1]`
    pub(crate) fn of_labels(&self, outputs: Tensor<2>, truth: Tensor<2>) -> Tensor<1> {
        let device = outputs.device();
        let [_, labels] = outputs.dims();
        let truth = truth
            .mul_scalar(1.0 - self.label_smoothing)
            .add_scalar(self.label_smoothing / 2.0);
        let (log_p, log_q) = (log_sigmoid(outputs.clone()), log_sigmoid(outputs.neg()));
        let mut held = truth.clone() * log_p.clone();
        let mut not_held = truth.neg().add_scalar(1.0) * log_q.clone();
        if self.focal_gamma > 0.0 {
            held = held * log_q.mul_scalar(self.focal_gamma).exp();
            not_held = not_held * log_p.mul_scalar(self.focal_gamma).exp();
        }
        if let Some(weights) = &self.class_weights {
            held = held * Tensor::<2>::from_data(TensorData::new(weights.clone(), [1, labels]), &device);
        }
        (held + not_held).mean().neg()
    }

    /// What the mean of a batch's loss is divided by: a step of several batches weighs them by it.
    pub(crate) fn counted(&self, targets: &Targets) -> f64 {
        match (&self.class_weights, targets) {
            (Some(weights), Targets::Classes(labels)) => {
                labels.iter().map(|label| f64::from(weights[*label])).sum()
            }
            _ => targets.judged() as f64,
        }
    }
}

fn class(label: usize, classes: usize) -> i32 {
    assert!(
        label < classes,
        "class {label} for a model with {classes} classes"
    );
    i32::try_from(label).expect("a class is below the number of classes")
}
