//! The sums over examples that a curvature matrix is made of.

use burn::tensor::Tensor;
use lora_core::tensors::HostTensor;
use lora_core::vector::{Slot, VectorLayout};

use super::matrix::{CurvatureBlock, Eigen, Placed};
use super::{LaplaceError, Structure};

/// The most parameters that get a full matrix: half a gigabyte with its eigenvectors.
const MOST_OF_FULL: usize = 4096;

/// The result of one backward pass for the map that a parameter belongs to. `input` is the weight's; a bias has ones.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// `[batch, tokens, d_input]`.
    pub input: Tensor<3>,
    /// `[batch, tokens, d_output]`: of one column of the loss's root in every row.
    pub gradient: Tensor<3>,
}

/// `Σ_n Σ_k g_nk g_nkᵀ` in parts, `g_nk` being the gradient of example n along column k of the root of its loss.
#[derive(Debug)]
pub(super) struct CurvatureSums<'a> {
    layout: &'a VectorLayout,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    Diagonal(Vec<f64>),
    Full(Vec<f64>),
    /// One a slot.
    Kronecker(Vec<Factors>),
}

/// The factors of one parameter.
#[derive(Debug)]
struct Factors {
    /// `[d_output, d_output]`: of the gradients of outputs; for a bias those of an example, summed over tokens.
    output: Vec<f64>,
    /// `[d_input, d_input]`: of the inputs; empty for a bias.
    input: Vec<f64>,
    /// Places that the inputs were summed over: where the output has some effect, so that padding does not count.
    places: f64,
    /// Of the batch at hand: inputs, and the size of all gradients of the output, `[batch, tokens, 1]`.
    pending: Option<(Tensor<3>, Tensor<3>)>,
}

impl<'a> CurvatureSums<'a> {
    pub fn new(layout: &'a VectorLayout, structure: Structure) -> Result<Self, LaplaceError> {
        let length = layout.len();
        let parts = match structure {
            Structure::Diagonal => Parts::Diagonal(vec![0.0; length]),
            Structure::Full if length > MOST_OF_FULL => {
                return Err(LaplaceError::TooLarge {
                    found: length,
                    most: MOST_OF_FULL,
                });
            }
            Structure::Full => Parts::Full(vec![0.0; length * length]),
            Structure::Kronecker => Parts::Kronecker(layout.slots().iter().map(Factors::of).collect()),
        };
        Ok(Self { layout, parts })
    }

    /// Adds one column of the batch at hand; one use for each slot.
    pub fn add_column(&mut self, uses: &[Use]) {
        let slots = self.layout.slots();
        assert_eq!(uses.len(), slots.len(), "one use for each parameter");
        match &mut self.parts {
            Parts::Diagonal(sum) => {
                for (slot, used) in slots.iter().zip(uses) {
                    let squares = of_examples(slot, used).square().sum_dim(0);
                    add(&mut sum[slot.range.clone()], squares);
                }
            }
            Parts::Full(sum) => {
                let of_slots = slots.iter().zip(uses).map(|(slot, used)| of_examples(slot, used));
                let gradients = Tensor::cat(of_slots.collect(), 1); // [batch, parameters]
                add(sum, gradients.clone().transpose().matmul(gradients));
            }
            Parts::Kronecker(factors) => {
                for ((slot, used), factors) in slots.iter().zip(uses).zip(factors) {
                    factors.add_column(slot, used);
                }
            }
        }
    }

    /// All columns of the batch are added.
    pub fn end_batch(&mut self) {
        if let Parts::Kronecker(factors) = &mut self.parts {
            for factors in factors {
                factors.end_batch();
            }
        }
    }

    /// The curvature matrix, in blocks.
    pub fn into_blocks(self) -> Result<Vec<Placed>, LaplaceError> {
        let slots = self.layout.slots();
        let not_finite = |slot: &Slot| LaplaceError::NotFinite {
            name: slot.name.clone(),
        };
        match self.parts {
            Parts::Diagonal(values) => {
                let finite = |slot: &&Slot| values[slot.range.clone()].iter().all(|value| value.is_finite());
                if let Some(slot) = slots.iter().find(|slot| !finite(slot)) {
                    return Err(not_finite(slot));
                }
                let of_slot = |slot: &Slot| Placed {
                    range: slot.range.clone(),
                    block: CurvatureBlock::Diagonal(values[slot.range.clone()].to_vec()),
                };
                Ok(slots.iter().map(of_slot).collect())
            }
            Parts::Full(values) => {
                let length = self.layout.len();
                let eigen = Eigen::of(values, length).ok_or_else(|| not_finite(&slots[0]))?;
                Ok(vec![Placed {
                    range: 0..length,
                    block: CurvatureBlock::Full(eigen),
                }])
            }
            Parts::Kronecker(factors) => slots
                .iter()
                .zip(factors)
                .map(|(slot, factors)| {
                    let block = factors.into_block().ok_or_else(|| not_finite(slot))?;
                    Ok(Placed {
                        range: slot.range.clone(),
                        block,
                    })
                })
                .collect(),
        }
    }
}

impl Factors {
    fn of(slot: &Slot) -> Self {
        let d_input = slot.shape.get(1).copied().unwrap_or(0);
        Self {
            output: vec![0.0; slot.shape[0].pow(2)],
            input: vec![0.0; d_input.pow(2)],
            places: 0.0,
            pending: None,
        }
    }

    fn add_column(&mut self, slot: &Slot, used: &Use) {
        if self.input.is_empty() {
            let gradients = of_examples(slot, used);
            add(&mut self.output, gradients.clone().transpose().matmul(gradients));
            return;
        }
        let [batch, tokens, d_output] = used.gradient.dims();
        let gradients = used.gradient.clone().reshape([batch * tokens, d_output]);
        add(&mut self.output, gradients.clone().transpose().matmul(gradients));
        let size = used.gradient.clone().abs().sum_dim(2);
        let size = match self.pending.take() {
            Some((_, before)) => before + size,
            None => size,
        };
        self.pending = Some((used.input.clone(), size));
    }

    fn end_batch(&mut self) {
        if let Some((input, size)) = self.pending.take() {
            let [batch, tokens, d_input] = input.dims();
            let counts = size.greater_elem(0.0).float(); // [batch, tokens, 1]
            let mut places = [self.places];
            add(&mut places, counts.clone().sum().unsqueeze::<2>());
            [self.places] = places;
            let rows = batch * tokens;
            let counted = (input.clone() * counts).reshape([rows, d_input]);
            let input = input.reshape([rows, d_input]);
            add(&mut self.input, input.transpose().matmul(counted));
        }
    }

    /// None if a number is not finite.
    fn into_block(self) -> Option<CurvatureBlock> {
        let d_output = self.output.len().isqrt();
        let output = Eigen::of(self.output, d_output)?;
        if self.input.is_empty() {
            return Some(CurvatureBlock::Full(output));
        }
        let d_input = self.input.len().isqrt();
        let places = self.places.max(1.0);
        let input = self.input.into_iter().map(|value| value / places).collect();
        Some(CurvatureBlock::Kronecker {
            output,
            input: Eigen::of(input, d_input)?,
        })
    }
}

/// `[batch, values of the slot]`: the gradient of every example, `Σ_t g_t x_tᵀ`, or `Σ_t g_t` for a bias.
fn of_examples(slot: &Slot, used: &Use) -> Tensor<2> {
    let [batch, ..] = used.gradient.dims();
    let length = slot.range.len();
    if slot.shape.len() == 1 {
        return used.gradient.clone().sum_dim(1).reshape([batch, length]);
    }
    let gradients = used.gradient.clone().swap_dims(1, 2); // [batch, d_output, tokens]
    gradients.matmul(used.input.clone()).reshape([batch, length])
}

fn add(sum: &mut [f64], tensor: Tensor<2>) {
    let values = HostTensor::of(tensor).values;
    assert_eq!(values.len(), sum.len(), "one number for each of the sum");
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += f64::from(value);
    }
}
