//! How much memory a step of a training takes, as an estimate.

use std::fmt;

use lora_core::{Adapted, Linears};
use lora_data::{Batch, Targets};
use lora_models::blocks::layer_of;
use lora_models::{GiB, Transformer};
use serde::Serialize;

/// Bytes of the parts that matter; the program itself takes some hundred MiB more.
///
/// Of every layer from the lowest adapted one on, the backward pass needs the output of each linear and the input of each adapted one;
/// all else is computed again, or in their place. With few tokens and a large model the weights are nearly all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryEstimate {
    /// All parameters of the model.
    pub weights: u64,
    /// What is kept of the forward pass, of these tokens.
    pub activations: u64,
    /// Gradients and both moments of what is trained.
    pub optimizer: u64,
}

/// Bytes of a number of activations and of the optimizer.
const F32: u64 = 4;

/// A linear of the model, in the order of its layers.
struct LinearSize {
    layer: Option<usize>,
    d_input: u64,
    d_output: u64,
    bytes_per_weight: u64,
    is_adapted: bool,
}

impl MemoryEstimate {
    /// Of a step on this batch.
    pub fn of_step(adapted: &Adapted<Transformer>, batch: &Batch) -> Self {
        let count = adapted.count();
        let mut linears = Vec::new();
        adapted.model.visit_linears(&mut |linear| {
            let [d_input, d_output] = linear.dims().map(|size| size as u64);
            linears.push(LinearSize {
                layer: layer_of(linear.path()),
                d_input,
                d_output,
                bytes_per_weight: linear.base.weight.val().dtype().size() as u64,
                is_adapted: linear.adapter.is_some(),
            });
        });
        // Padding is left out where it can be.
        let tokens = batch.attention_mask.iter().filter(|mask| **mask > 0.5).count() as u64;
        let outputs = match &batch.targets {
            Targets::Positions(_) | Targets::Choices(_) => {
                let width = linears.iter().find(|linear| linear.layer.is_none());
                batch.targets.judged() as u64 * width.map_or(0, |table| table.d_input.max(table.d_output))
            }
            _ => 0,
        };
        Self::of(&linears, count.all as u64, count.trained as u64, tokens, outputs)
    }

    /// `outputs`: values that the head computes.
    fn of(linears: &[LinearSize], parameters: u64, trained: u64, tokens: u64, outputs: u64) -> Self {
        let numbers = |linear: &LinearSize| linear.d_input * linear.d_output;
        let in_linears: u64 = linears.iter().map(numbers).sum();
        let of_linears: u64 = linears
            .iter()
            .map(|linear| numbers(linear) * linear.bytes_per_weight)
            .sum();
        let adapted = linears.iter().filter(|linear| linear.is_adapted);
        let lowest = adapted.filter_map(|linear| linear.layer).min();
        let layers = || {
            linears
                .iter()
                .filter(|linear| linear.layer.is_some() && linear.layer >= lowest)
        };
        let mut kept: u64 = layers().map(|linear| linear.d_output).sum();
        // Linears that stand side by side, such as query and value, read the same input.
        let mut last = None;
        for linear in layers().filter(|linear| linear.is_adapted) {
            let input = (linear.layer, linear.d_input);
            if last != Some(input) {
                kept += linear.d_input;
            }
            last = Some(input);
        }
        // A gradient on its way, and what it is computed from.
        let widest = layers().map(|linear| linear.d_output).max().unwrap_or(0);
        Self {
            weights: of_linears + parameters.saturating_sub(in_linears) * F32,
            activations: (tokens * (kept + 4 * widest) + outputs) * F32,
            optimizer: 3 * trained * F32,
        }
    }

    /// All of it.
    pub fn total(self) -> u64 {
        self.weights + self.activations + self.optimizer
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "about {} of memory: {} weights, {} activations, {} optimizer; the program itself some hundred MiB",
            GiB(self.total()),
            GiB(self.weights),
            GiB(self.activations),
            GiB(self.optimizer)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// LLaMA-7B (Touvron et al. 2023, table 2): 32 layers of width 4096, 11008 within, 32000 words; rank 8 on query and value.
    fn llama_7b() -> (Vec<LinearSize>, u64, u64) {
        let mut linears = Vec::new();
        let mut linear = |layer, d_input, d_output, is_adapted| {
            linears.push(LinearSize {
                layer,
                d_input,
                d_output,
                bytes_per_weight: 2,
                is_adapted,
            });
        };
        linear(None, 32_000, 4096, false);
        for layer in 0..32 {
            for is_adapted in [true, false, true, false] {
                linear(Some(layer), 4096, 4096, is_adapted);
            }
            linear(Some(layer), 4096, 11_008, false);
            linear(Some(layer), 4096, 11_008, false);
            linear(Some(layer), 11_008, 4096, false);
        }
        linear(None, 4096, 32_000, false);
        let adapters = 32 * 2 * 8 * (4096 + 4096);
        // 6,738,415,616 as Hugging Face counts it.
        (linears, 6_738_415_616 + adapters, adapters)
    }

    #[test]
    fn a_model_of_seven_billion_trains_in_24_gib() {
        let (linears, parameters, trained) = llama_7b();
        assert_eq!(trained, 4_194_304);
        // One row of 512 tokens, each of which is judged.
        let estimate = MemoryEstimate::of(&linears, parameters, trained, 512, 512 * 32_000);
        // By hand: two bytes for each number of a matrix, four for 65 norms of 4096 and for the adapters.
        assert_eq!(estimate.weights, 2 * 6_738_149_376 + 4 * (65 * 4096 + 4_194_304));
        // Per token and layer: outputs 5 · 4096 + 2 · 11008, and the one input that query and value share.
        let kept = 32 * (6 * 4096 + 2 * 11_008) + 4 * 11_008;
        assert_eq!(estimate.activations, 4 * (512 * kept + 512 * 32_000));
        assert_eq!(estimate.optimizer, 12 * 4_194_304);
        assert!(estimate.total() < 24 << 30);
        assert!(
            estimate
                .to_string()
                .starts_with("about 15.60 GiB of memory: 12.57 GiB weights, 2.99 GiB"),
            "{estimate}"
        );
    }

    #[test]
    fn layers_below_the_adapters_keep_nothing() {
        let (mut linears, parameters, trained) = llama_7b();
        for linear in &mut linears {
            linear.is_adapted &= linear.layer == Some(31);
        }
        let estimate = MemoryEstimate::of(&linears, parameters, trained, 10, 0);
        assert_eq!(
            estimate.activations,
            4 * 10 * (6 * 4096 + 2 * 11_008 + 4 * 11_008)
        );
    }
}
