//! The posterior of the last layer: of one linear whose outputs are the model's, so everything follows from its inputs.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use lora_core::linear::{BaseTraining, LinearKind};
use lora_core::taps::{TappedMap, Taps};
use lora_core::tensors::HostTensor;
use lora_core::vector::{Posterior, VectorLayout};
use lora_core::{Adapted, Model, Pass};

use super::curvature::{CurvatureSums, Use};
use super::gathering::{RootColumns, check_rows};
use super::matrix::CurvatureBlock;
use super::observed::{Judged, Observed};
use super::{Laplace, LaplaceError, Structure};
use crate::checks::none_of;
use crate::ensemble::ModelOutputs;
use crate::gathered::Gathered;
use crate::{EvalError, Predictions};

/// How far outputs that are computed again may be from the model's, relative to the largest.
const TOLERANCE: f32 = 1e-3;
/// Examples whose gradients are held at once.
const CHUNK: usize = 64;

/// What goes into the last layer of a model and what comes out, for every example of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct LastLayerFeatures {
    path: String,
    examples: usize,
    d_input: usize,
    outputs: usize,
    /// `[examples, d_input]`.
    features: Vec<f32>,
    /// `[examples, outputs]`.
    values: Vec<f32>,
}

impl LastLayerFeatures {
    /// One mean pass over a data set; `batches` and `progress` as in [`predict`](crate::predict).
    ///
    /// # Errors
    /// [`LaplaceError::LastLayer`] if the outputs are not those of one linear that is trained in full, [`LaplaceError::Rows`] if
    /// the model gives no single row an example.
    ///
    /// # Panics
    /// If a row is missing, out of range or given twice.
    pub fn of<'a, M: Model>(
        adapted: &Adapted<M>,
        batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
        examples: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, LaplaceError>
    where
        M::Input: 'a,
    {
        let mut layer: Option<(String, usize)> = None;
        let (mut features, mut values) = (Gathered::new(examples, 1), Gathered::new(examples, 1));
        let (mut outputs, mut done) = (0, 0);
        for (input, rows) in batches {
            let taps = Taps::new();
            let of_batch = adapted.model.forward(input, &Pass::Tapped(&taps)); // [batch, outputs]
            let [count, width] = of_batch.dims();
            check_rows(count, rows.len())?;
            let found = match layer.take() {
                Some(found) => found,
                None => last_layer(adapted, &taps, &of_batch)?,
            };
            let (path, d_input) = layer.insert(found);
            let tap = taps.of(path, TappedMap::Base).pop();
            let tapped = tap.map_or_else(Vec::new, |tap| HostTensor::of(tap.input).values);
            features.add_batch(0, rows, *d_input, &tapped);
            values.add_batch(0, rows, width, &HostTensor::of(of_batch.inner()).values);
            outputs = width;
            done += rows.len();
            progress(done);
        }
        let (features, values) = (features.finish(|_| {}), values.finish(|_| {}));
        let (path, d_input) = layer.ok_or(none_of("examples"))?;
        Ok(Self {
            path,
            examples,
            d_input,
            outputs,
            features,
            values,
        })
    }

    /// Input and outputs of the last layer for an example.
    pub(super) fn row(&self, row: usize) -> (Vec<f64>, Vec<f64>) {
        let part = |values: &[f32], width: usize| -> Vec<f64> {
            let values = &values[row * width..][..width];
            values.iter().map(|value| f64::from(*value)).collect()
        };
        (
            part(&self.features, self.d_input),
            part(&self.values, self.outputs),
        )
    }
}

impl Laplace {
    /// The posterior of the last layer, given the features of the data that the model was trained on. The curvature is exact but for
    /// its [`Structure`], and needs no gradients: that of an output is the layer's input.
    ///
    /// λ is 1 at first, the seed 0: see [`Laplace::with_evidence_prior`] and [`Laplace::with_seed`].
    ///
    /// # Errors
    /// [`LaplaceError`] if there is not one target for each example, a label or σ is out of range, or the model diverged.
    pub fn of_last_layer<M: Model>(
        adapted: &Adapted<M>,
        features: &LastLayerFeatures,
        observed: &Observed<'_>,
        structure: Structure,
    ) -> Result<Self, LaplaceError> {
        observed.check(features.outputs)?;
        if observed.len() != features.examples {
            return Err(LaplaceError::Eval(EvalError::ValueCount {
                what: "the targets",
                axes: vec![features.examples],
                expected: features.examples,
                found: observed.len(),
            }));
        }
        let names = ["weight", "bias"].map(|part| format!("{}.{part}", features.path));
        let layout = VectorLayout::of_chosen(adapted, |parameter| names.contains(&parameter.name));
        if layout.is_empty() {
            return Err(LaplaceError::NothingTrained);
        }
        let device = adapted.device();
        let mut sums = CurvatureSums::new(&layout, structure)?;
        let mut log_likelihood = 0.0;
        let rows: Vec<usize> = (0..features.examples).collect();
        for rows in rows.chunks(CHUNK) {
            let (inputs, judged): (Vec<Vec<f64>>, Vec<Judged>) = rows
                .iter()
                .map(|row| {
                    let (input, outputs) = features.row(*row);
                    (input, observed.judge(*row, &outputs))
                })
                .unzip();
            log_likelihood += judged.iter().map(|judged| judged.log_likelihood).sum::<f64>();
            let input = stacked(
                inputs.concat().into_iter().map(|value| value as f32),
                rows.len(),
                &device,
            );
            for column in 0..observed.root_columns(features.outputs) {
                let root = |(judged, row): (&Judged, &usize)| {
                    RootColumns::Exact.column(observed, judged, column, 0, *row)
                };
                let root = judged.iter().zip(rows).flat_map(root);
                let used = Use {
                    input: input.clone(),
                    gradient: stacked(root, rows.len(), &device),
                };
                sums.add_column(&vec![used; layout.slots().len()]);
            }
            sums.end_batch();
        }
        let blocks = sums.into_blocks()?;
        let mean = layout.read(adapted);
        Ok(Self::at(layout, mean, blocks, log_likelihood, 0))
    }

    /// Logits of one member, `z_c / √(1 + π/8 · v_c)` with the variance `v_c` of logit c under the posterior: the softmax's mean, nearly
    /// (`MacKay` 1992; for classes, Daxberger et al. 2021). Only for [`Laplace::of_last_layer`].
    ///
    /// # Errors
    /// As [`Predictions::new`].
    ///
    /// # Panics
    /// If the posterior is not of the last layer of these features.
    pub fn probit(&self, features: &LastLayerFeatures) -> Result<Predictions, EvalError> {
        let mut logits = Vec::with_capacity(features.values.len());
        for row in 0..features.examples {
            let (input, outputs) = features.row(row);
            let scaled = outputs
                .iter()
                .zip(self.output_variances(&input))
                .map(|(logit, variance)| {
                    (logit / (1.0 + std::f64::consts::FRAC_PI_8 * variance).sqrt()) as f32
                });
            logits.extend(scaled);
        }
        Predictions::new(1, features.examples, features.outputs, logits)
    }

    /// Outputs of members of the last layer's posterior, without a pass through the model: as
    /// [`predict_posterior`](crate::predict_posterior), but for the rounding.
    ///
    /// # Errors
    /// [`EvalError::AxisTooShort`] without members.
    ///
    /// # Panics
    /// If the posterior is not of the last layer of these features.
    pub fn last_layer_members(
        &self,
        features: &LastLayerFeatures,
        members: Range<u64>,
    ) -> Result<ModelOutputs, EvalError> {
        let LastLayerFeatures {
            examples,
            d_input,
            outputs,
            ..
        } = *features;
        ModelOutputs::joined(members.map(|member| {
            let parameters = self.member(member);
            let (weight, bias) = parameters.split_at(outputs * d_input);
            let mut values = Vec::with_capacity(examples * outputs);
            for row in 0..examples {
                let (input, _) = features.row(row);
                for output in 0..outputs {
                    let products = weight[output * d_input..][..d_input].iter().zip(&input);
                    let sum: f64 = products.map(|(weight, value)| weight * value).sum();
                    values.push((sum + bias.get(output).unwrap_or(&0.0)) as f32);
                }
            }
            ModelOutputs {
                members: 1,
                examples,
                outputs,
                values,
            }
        }))
    }

    /// The variance of every output for an input of the last layer, `[outputs]`.
    fn output_variances(&self, input: &[f64]) -> Vec<f64> {
        let slots = self.layout.slots();
        let outputs = slots[0].shape[0];
        if matches!(self.blocks[0].block, CurvatureBlock::Full(_)) {
            let direction = |output: usize| {
                let mut direction = vec![0.0; self.mean.len()];
                direction[output * input.len()..][..input.len()].copy_from_slice(input);
                if let Some(bias) = direction.get_mut(outputs * input.len() + output) {
                    *bias = 1.0;
                }
                direction
            };
            return (0..outputs)
                .map(|output| self.variance(&direction(output)))
                .collect();
        }
        let mut variances = vec![0.0; outputs];
        for (slot, placed) in slots.iter().zip(self.blocks.iter()) {
            let is_bias = slot.shape.len() == 1;
            let input = if is_bias { &[1.0] } else { input };
            let of_block = placed.block.output_variances(input, self.prior_precision);
            variances
                .iter_mut()
                .zip(of_block)
                .for_each(|(sum, part)| *sum += part);
        }
        variances
    }
}

/// The linear whose outputs are the model's: its path, and the length of its input.
fn last_layer<M: Model>(
    adapted: &Adapted<M>,
    taps: &Taps,
    outputs: &Tensor<2>,
) -> Result<(String, usize), LaplaceError> {
    let [_, width] = outputs.dims();
    let expected = HostTensor::of(outputs.clone().inner()).values;
    let largest = expected
        .iter()
        .fold(1.0_f32, |largest, value| largest.max(value.abs()));
    let (mut heads, mut matching) = (Vec::new(), Vec::new());
    adapted.model.visit_linears(&mut |linear| {
        let [d_input, d_output] = linear.dims();
        let is_full = matches!(
            linear.base_training(),
            BaseTraining::Full | BaseTraining::Pretrained
        );
        if !is_full || linear.kind() != LinearKind::Linear || linear.adapter.is_some() || d_output != width {
            return;
        }
        heads.push(linear.path().to_owned());
        let [tap] = &taps.of(linear.path(), TappedMap::Base)[..] else {
            return;
        };
        let again = linear.forward(tap.input.clone(), &Pass::Mean);
        let again = HostTensor::of(again.inner()).values;
        let is_same = again.len() == expected.len()
            && again
                .iter()
                .zip(&expected)
                .all(|(again, expected)| (again - expected).abs() <= TOLERANCE * largest);
        if is_same {
            matching.push((linear.path().to_owned(), d_input));
        }
    });
    match matching.len() {
        1 => Ok(matching.remove(0)),
        _ => Err(LaplaceError::LastLayer { heads }),
    }
}

/// `[rows, 1, width]`: one token an example.
fn stacked(values: impl Iterator<Item = f32>, rows: usize, device: &Device) -> Tensor<3> {
    let values: Vec<f32> = values.collect();
    let width = values.len() / rows;
    Tensor::from_data(TensorData::new(values, [rows, 1, width]), device)
}
