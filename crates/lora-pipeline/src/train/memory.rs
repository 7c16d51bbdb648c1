//! How much memory a step of a training takes, as an estimate.

use std::fmt;

use lora_core::{Adapted, Fp32Precision, Linears, Tuning};
use lora_data::{EncodedDataset, Targets};
use lora_models::blocks::layer_of;
use lora_models::{Checkpoint, FamilyConfig, GiB, MachineMemory, Transformer, weight_bytes};
use serde::Serialize;
use thiserror::Error;

use crate::counted::counted;

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

/// What a step computes on: the rows that are longest together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepSize {
    rows: usize,
    tokens: u64,
    /// Places whose next token is judged, of a language model.
    judged: u64,
}

impl StepSize {
    /// Of the largest batch that these rows can give.
    pub(super) fn largest(encoded: &EncodedDataset, batch_size: usize) -> Self {
        let largest = |mut sizes: Vec<usize>| -> u64 {
            sizes.sort_unstable_by(|one, other| other.cmp(one));
            sizes.iter().take(batch_size).map(|size| *size as u64).sum()
        };
        let rows = encoded.len().min(batch_size);
        let judged = match &encoded.targets {
            Targets::Positions(rows) => rows.iter().map(|row| row.iter().flatten().count()).collect(),
            Targets::Choices(_) => vec![1; rows],
            _ => Vec::new(),
        };
        Self {
            rows,
            tokens: largest(encoded.lengths()),
            judged: largest(judged),
        }
    }
}

/// A training that the machine has no memory for.
#[derive(Debug, Error)]
#[error("{step} takes {estimate}; there are {}: {}", GiB(*total), advice.join(", or "))]
pub struct TooLarge {
    step: StepSize,
    estimate: MemoryEstimate,
    total: u64,
    advice: Vec<&'static str>,
}

impl fmt::Display for StepSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = counted(self.rows, "row");
        write!(f, "the largest step, {rows} with {} tokens,", self.tokens)
    }
}

impl MemoryEstimate {
    /// Of a step of a training, by the names and shapes in the files of its model: nothing is loaded. Biases, heads and bottlenecks that
    /// are trained are small, and left out.
    pub(super) fn before_loading(files: &Checkpoint, tuning: &Tuning, step: StepSize) -> Self {
        let weights = &files.weights;
        let is_transposed = matches!(FamilyConfig::read(files), Ok(FamilyConfig::Gpt2(_)));
        let of_weight = |name: &str| {
            let path = name.strip_suffix(".weight")?;
            let &[first, second] = weights.shape(name)? else {
                return None;
            };
            // A tensor without numbers may claim an axis of any size.
            if first == 0 || second == 0 {
                return None;
            }
            let [d_output, d_input] = if is_transposed {
                [second, first]
            } else {
                [first, second]
            };
            let linear = LinearSize {
                layer: layer_of(path),
                d_input: d_input as u64,
                d_output: d_output as u64,
                bytes_per_weight: if weights.fp32_precision() == Fp32Precision::Bf16 {
                    2
                } else {
                    F32
                },
                is_adapted: matches!(tuning, Tuning::Full(_)),
            };
            Some((path.to_owned(), linear))
        };
        let (paths, mut linears): (Vec<String>, Vec<LinearSize>) =
            weights.names().filter_map(of_weight).unzip();
        let mut trained = 0;
        let all = weight_bytes(weights, F32);
        match tuning {
            // Targets that cannot be resolved are told by who attaches them.
            Tuning::Lora(lora) => {
                let adapted = lora.targets.resolve(&paths, &[], &[]).unwrap_or_default();
                for (linear, path) in linears.iter_mut().zip(&paths) {
                    linear.is_adapted = linear.layer.is_some() && adapted.contains(path);
                    if linear.is_adapted {
                        let numbers = (linear.d_input + linear.d_output).saturating_mul(lora.rank as u64);
                        trained = numbers.saturating_add(trained);
                    }
                }
                // Adapters that are larger than their model are refused by `check_size`, which knows why.
                trained = trained.min(all / F32);
            }
            Tuning::Full(_) => trained = all / F32,
            Tuning::BitFit(_) | Tuning::Bottleneck(_) => {}
        }
        let parts = Self::of(&linears, 0, trained, step);
        Self {
            weights: all.saturating_add(trained.saturating_mul(F32)),
            ..parts
        }
    }

    /// The same of a model with its adapters.
    pub(super) fn of_step(adapted: &Adapted<Transformer>, step: StepSize) -> Self {
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
        Self::of(&linears, count.all as u64, count.trained as u64, step)
    }

    /// Refuses what is clearly larger than all memory; what other programs may have to make room for is told.
    pub(super) fn check(
        self,
        step: StepSize,
        precision: Fp32Precision,
        memory: MachineMemory,
    ) -> Result<Option<String>, TooLarge> {
        let needed = self.total();
        // It is an estimate, and the system gives back what files take.
        if needed / 11 * 10 > memory.total {
            let mut advice = Vec::new();
            if self.activations > memory.total / 4 {
                advice.push("a smaller per_device_train_batch_size (gradient_accumulation_steps makes up for it) or max_seq_length takes less");
            }
            if precision != Fp32Precision::Bf16 && self.weights > memory.total / 4 {
                advice.push("fp32_precision bf16 halves the weights");
            }
            if self.optimizer > memory.total / 4 {
                advice.push("tuning lora trains fewer numbers");
            }
            advice.push("take a smaller model");
            return Err(TooLarge {
                step,
                estimate: self,
                total: memory.total,
                advice,
            });
        }
        Ok((needed > memory.available).then(|| {
            format!(
                "{step} takes {self}, and {} are free: what other programs hold may have to make room",
                GiB(memory.available)
            )
        }))
    }

    fn of(linears: &[LinearSize], parameters: u64, trained: u64, step: StepSize) -> Self {
        let numbers = |linear: &LinearSize| linear.d_input.saturating_mul(linear.d_output);
        let in_linears: u64 = linears.iter().map(numbers).fold(0, u64::saturating_add);
        let of_linears = linears
            .iter()
            .map(|linear| numbers(linear).saturating_mul(linear.bytes_per_weight))
            .fold(0, u64::saturating_add);
        // A language model's head gives a value for each token that there is.
        let table = linears.iter().find(|linear| linear.layer.is_none());
        let outputs = step.judged * table.map_or(0, |table| table.d_input.max(table.d_output));
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
            weights: of_linears.saturating_add(parameters.saturating_sub(in_linears).saturating_mul(F32)),
            activations: (step
                .tokens
                .saturating_mul(kept.saturating_add(4 * widest))
                .saturating_add(outputs))
            .saturating_mul(F32),
            optimizer: trained.saturating_mul(3 * F32),
        }
    }

    /// All of it.
    pub fn total(self) -> u64 {
        [self.activations, self.optimizer]
            .iter()
            .fold(self.weights, |sum, part| sum.saturating_add(*part))
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
#[expect(clippy::unwrap_used, reason = "a test may fail by panic")]
mod tests {
    use lora_data::Encoded;

    use super::*;

    fn step(tokens: u64, judged: u64) -> StepSize {
        StepSize {
            rows: 1,
            tokens,
            judged,
        }
    }

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
        let estimate = MemoryEstimate::of(&linears, parameters, trained, step(512, 512));
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
        let estimate = MemoryEstimate::of(&linears, parameters, trained, step(10, 0));
        assert_eq!(
            estimate.activations,
            4 * 10 * (6 * 4096 + 2 * 11_008 + 4 * 11_008)
        );
    }

    #[test]
    fn what_is_clearly_larger_than_all_memory_is_refused_with_what_takes_less() {
        const UNIT: u64 = 1 << 30;
        let estimate = |weights: u64, activations: u64| MemoryEstimate {
            weights: weights * UNIT,
            activations: activations * UNIT,
            optimizer: UNIT,
        };
        let memory = MachineMemory {
            total: 16 * UNIT,
            available: 8 * UNIT,
        };
        let check = |estimate: MemoryEstimate, precision| estimate.check(step(512, 0), precision, memory);
        let error = check(estimate(6, 14), Fp32Precision::Ieee)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the largest step, 1 row with 512 tokens, takes about 21.00 GiB of memory: 6.00 GiB weights, 14.00 GiB activations, 1.00 GiB optimizer; \
             the program itself some hundred MiB; there are 16.00 GiB: a smaller per_device_train_batch_size \
             (gradient_accumulation_steps makes up for it) or max_seq_length takes less, or fp32_precision bf16 halves the weights, \
             or take a smaller model"
        );
        let error = check(estimate(30, 1), Fp32Precision::Bf16)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("there are 16.00 GiB: take a smaller model"),
            "{error}"
        );
        // A tenth above is within what an estimate may be wrong by.
        let told = check(estimate(6, 10), Fp32Precision::Ieee).unwrap().unwrap();
        assert!(told.contains("8.00 GiB are free"), "{told}");
        assert!(check(estimate(3, 2), Fp32Precision::Ieee).unwrap().is_none());
    }

    #[test]
    fn the_largest_step_has_the_longest_rows() {
        let row = |length| Encoded {
            input_ids: vec![1; length],
            token_type_ids: vec![0; length],
        };
        let encoded = EncodedDataset {
            encoded: [3, 9, 4, 7].map(row).to_vec(),
            targets: Targets::Classes(vec![0; 4]),
            task: None,
            truncated: 0,
        };
        let expected = StepSize {
            rows: 2,
            tokens: 16,
            judged: 0,
        };
        assert_eq!(StepSize::largest(&encoded, 2), expected);
        assert_eq!(StepSize::largest(&encoded, 9).tokens, 23);
    }
}
