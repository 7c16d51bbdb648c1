//! Whether the weights of a checkpoint find room in the memory of this machine.

use burn::tensor::{Device, Tensor};
use lora_kernels::Fp32Precision;

use crate::error::LoadError;
use crate::machine_memory::MachineMemory;
use crate::weight_files::WeightFiles;

/// Bytes that the weights take once they are loaded: values of `width` bytes, matrices of two if their products are in bf16.
pub fn weight_bytes(weights: &WeightFiles, width: u64) -> u64 {
    let matrix_width = match weights.fp32_precision() {
        Fp32Precision::Bf16 => width.min(2),
        Fp32Precision::Ieee | Fp32Precision::Bf16x3 => width,
    };
    let bytes = weights.names().map(|name| {
        let shape = weights.shape(name).unwrap_or_default();
        // A tensor without numbers may claim axes of any size.
        let numbers: u64 = if shape.contains(&0) {
            0
        } else {
            shape.iter().map(|size| *size as u64).product()
        };
        numbers * if shape.len() == 2 { matrix_width } else { width }
    });
    bytes.sum()
}

/// Refuses weights that are larger than the memory that is free, before one is read. Nothing is said of a graphics device's memory,
/// nor where the system does not tell.
pub(crate) fn check(weights: &WeightFiles, device: &Device) -> Result<(), LoadError> {
    let Some(memory) = MachineMemory::of(device) else {
        return Ok(());
    };
    let width = Tensor::<1>::zeros([1], device).dtype().size() as u64;
    fits(weights, width, memory.available)
}

fn fits(weights: &WeightFiles, width: u64, available: u64) -> Result<(), LoadError> {
    let needed = weight_bytes(weights, width);
    if needed <= available {
        return Ok(());
    }
    Err(LoadError::Memory {
        path: weights.origin().to_owned(),
        needed: GiB(needed),
        available: GiB(available),
        advice: if weights.fp32_precision() == Fp32Precision::Bf16 || width < 4 {
            "take a smaller model"
        } else {
            "fp32_precision bf16 takes half of it"
        },
    })
}

/// A number of bytes, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GiB(pub u64);

impl std::fmt::Display for GiB {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} GiB", self.0 as f64 / f64::from(1 << 30))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail by panic")]
mod tests {
    use std::path::Path;

    use lora_core::tensors::TensorFile;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    /// A matrix of 600 values and a vector of 30, in f16 as they lie in the file.
    fn weights(precision: Fp32Precision) -> WeightFiles {
        let bytes = [0; 1200];
        let views = [
            (
                "a.weight",
                TensorView::new(Dtype::F16, vec![20, 30], &bytes).unwrap(),
            ),
            (
                "a.bias",
                TensorView::new(Dtype::F16, vec![30], &bytes[..60]).unwrap(),
            ),
        ];
        let bytes = safetensors::serialize(views, None).unwrap();
        let file = TensorFile::from_bytes(bytes, Path::new("model.safetensors")).unwrap();
        let mut weights = WeightFiles::of_safetensors(file);
        weights.set_fp32_precision(precision);
        weights
    }

    #[test]
    fn weights_take_four_bytes_a_number_and_matrices_in_bf16_two() {
        for (precision, width, expected) in [
            (Fp32Precision::Ieee, 4, 2520),
            (Fp32Precision::Bf16x3, 4, 2520),
            (Fp32Precision::Bf16, 4, 1320),
            (Fp32Precision::Ieee, 2, 1260),
        ] {
            assert_eq!(weight_bytes(&weights(precision), width), expected);
        }
    }

    #[test]
    fn what_is_larger_than_the_memory_is_refused_with_both_numbers() {
        assert!(fits(&weights(Fp32Precision::Ieee), 4, 2520).is_ok());
        let error = fits(&weights(Fp32Precision::Ieee), 4, 2519)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "the weights of `model.safetensors` take 0.00 GiB, but only 0.00 GiB of memory is free; fp32_precision bf16 takes half of it"
        );
        let error = fits(&weights(Fp32Precision::Bf16), 4, 1319)
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("take a smaller model"), "{error}");
    }
}
