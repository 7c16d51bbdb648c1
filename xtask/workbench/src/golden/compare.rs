//! Differences between our numbers and the reference's.

use anyhow::{Result, ensure};
use lora_core::tensors::HostTensor;
use lora_kernels::Fp32Precision;
use serde::Serialize;

/// How far numbers may be from the reference's.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Tolerances {
    /// Outputs: largest absolute difference allowed, or, in a tensor whose largest number is above 1, largest part of that.
    ///
    /// f32 rounds in proportion, and every later layer scales what an earlier one rounded: where hidden states reach 36, as in random
    /// GPT-2 models with a large adapter, PyTorch's own f32 is up to 2.7e-4 from its f64 (`make_rounding_goldens.py`).
    absolute: f64,
    /// Gradients and weights: largest relative difference allowed.
    relative: f64,
    /// The same as a part of the largest number of the tensor.
    of_largest: f64,
}

impl Tolerances {
    /// Those of a precision. Numbers of bf16 have 8 bits where those of f32 have 24: gradients near zero, which are differences of
    /// larger terms, then have no digit in common with f32, so there only the size of differences counts.
    pub fn of(precision: Fp32Precision) -> Self {
        let (absolute, relative, of_largest) = match precision {
            Fp32Precision::Ieee => (1e-4, 1e-3, 1e-3),
            Fp32Precision::Bf16x3 => (1e-4, 3e-2, 1e-3),
            Fp32Precision::Bf16 => (1e-1, 1e1, 2.5e-1),
        };
        Self {
            absolute,
            relative,
            of_largest,
        }
    }

    /// For people.
    pub fn legend(&self) -> String {
        let Self {
            absolute,
            relative,
            of_largest,
        } = self;
        format!(
            "abs: outputs, at most {absolute:e}, or this part of a tensor's largest number above 1; rel: gradients and weights, at most {relative:e} of the \
             reference number or of {FLOOR:e} of its tensor's largest, and {of_largest:e} of the largest"
        )
    }
}

/// A relative difference is taken against the reference number, but at least this part of its tensor's largest number:
/// f32 leaves noise in numbers that should be zero.
const FLOOR: f64 = 1e-2;

/// The largest differences of a case.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Differences {
    /// Over outputs (hidden states, logits, losses).
    pub absolute: f64,
    /// Where that was.
    pub absolute_at: String,
    /// Over outputs, each difference as a part of its tensor's largest number where that is above 1.
    pub scaled: f64,
    /// Over gradients, gradient norms and weights.
    pub relative: f64,
    /// Where that was.
    pub relative_at: String,
    /// Over the same, each difference as a part of its tensor's largest number.
    pub of_largest: f64,
    /// How many numbers were compared.
    pub compared: usize,
}

impl Differences {
    /// Compares outputs number by number; `counts` says which positions count.
    pub fn outputs(
        &mut self,
        name: &str,
        ours: &[f32],
        reference: &HostTensor,
        counts: impl Fn(usize) -> bool,
    ) -> Result<()> {
        same_length(name, ours, reference)?;
        let scale = largest(reference).max(1.0);
        for (index, (found, expected)) in ours.iter().zip(&reference.values).enumerate() {
            if counts(index) {
                let difference = (f64::from(*found) - f64::from(*expected)).abs();
                // A NaN must not pass as small.
                let difference = if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference
                };
                if difference > self.absolute {
                    self.absolute = difference;
                    self.absolute_at = format!("{name}[{index}]");
                }
                let scaled = if difference.is_finite() {
                    difference / scale
                } else {
                    difference
                };
                self.scaled = self.scaled.max(scaled);
                self.compared += 1;
            }
        }
        Ok(())
    }

    /// Compares gradients or weights number by number.
    pub fn relative(&mut self, name: &str, ours: &[f32], reference: &HostTensor) -> Result<()> {
        same_length(name, ours, reference)?;
        let largest = largest(reference);
        for (index, (found, expected)) in ours.iter().zip(&reference.values).enumerate() {
            let expected = f64::from(*expected);
            let scale = expected
                .abs()
                .max(FLOOR * largest)
                .max(f64::from(f32::MIN_POSITIVE));
            let absolute = (f64::from(*found) - expected).abs();
            self.of_largest = self
                .of_largest
                .max(absolute / largest.max(f64::from(f32::MIN_POSITIVE)));
            let difference = absolute / scale;
            if difference.is_nan() || difference > self.relative {
                self.relative = if difference.is_nan() {
                    f64::INFINITY
                } else {
                    difference
                };
                self.relative_at = format!("{name}[{index}]");
            }
            self.compared += 1;
        }
        Ok(())
    }

    /// Takes in the differences of another part of the case.
    pub fn merge(&mut self, other: Self) {
        if other.absolute > self.absolute {
            (self.absolute, self.absolute_at) = (other.absolute, other.absolute_at);
        }
        if other.relative > self.relative {
            (self.relative, self.relative_at) = (other.relative, other.relative_at);
        }
        self.scaled = self.scaled.max(other.scaled);
        self.of_largest = self.of_largest.max(other.of_largest);
        self.compared += other.compared;
    }

    /// Whether every difference is allowed.
    pub fn are_within(&self, tolerances: &Tolerances) -> bool {
        self.scaled <= tolerances.absolute
            && self.relative <= tolerances.relative
            && self.of_largest <= tolerances.of_largest
            && self.compared > 0
    }

    /// Where the largest differences are.
    pub fn worst(&self) -> String {
        format!(
            "largest differences at {} and {}",
            self.absolute_at, self.relative_at
        )
    }
}

fn largest(tensor: &HostTensor) -> f64 {
    let sizes = tensor.values.iter().map(|value| f64::from(value.abs()));
    sizes.fold(0.0, f64::max)
}

fn same_length(name: &str, ours: &[f32], reference: &HostTensor) -> Result<()> {
    ensure!(
        ours.len() == reference.values.len(),
        "{name}: we have {} numbers, the reference {:?}",
        ours.len(),
        reference.shape
    );
    Ok(())
}
