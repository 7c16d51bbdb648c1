//! Values as the blocks of a written file; [`TensorType`](super::TensorType) is the way back.

use half::f16;

/// Values of a block of `Q8_0`.
const BLOCK: usize = 32;

/// How a written file has its matrices. Vectors (norms and biases) are f32 in every file, as llama.cpp has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GgufDtype {
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE.
    F16,
    /// Blocks of 32 values: `d q`, with d in 16 bits and q from −127 to 127.
    Q8_0,
}

impl GgufDtype {
    /// What a tensor of this shape is written as: rows that are no whole blocks are f16.
    pub(super) fn of_shape(self, shape: &[usize]) -> Self {
        match (self, shape) {
            (_, [] | [_]) => Self::F32,
            (Self::Q8_0, [.., row]) if !row.is_multiple_of(BLOCK) => Self::F16,
            _ => self,
        }
    }

    /// Of a tensor in a file (`ggml_type`).
    pub(super) fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
        }
    }

    /// Of a file most of whose tensors are so (`llama_ftype`).
    pub(super) fn file_code(self) -> usize {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
        }
    }

    /// Bytes of so many values.
    pub(super) fn bytes(self, values: usize) -> usize {
        match self {
            Self::F32 => 4 * values,
            Self::F16 => 2 * values,
            Self::Q8_0 => values / BLOCK * (2 + BLOCK),
        }
    }

    /// Appends values, of `Q8_0` whole blocks of them. The error is a value that has no such number.
    pub(super) fn encode(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
        match self {
            Self::F32 => {
                if let Some(odd) = values.iter().find(|value| !value.is_finite()) {
                    return Err(*odd);
                }
                bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Self::F16 => {
                for value in values {
                    bytes.extend(narrow(*value)?.to_le_bytes());
                }
            }
            Self::Q8_0 => {
                for block in values.chunks(BLOCK) {
                    encode_block(block, bytes)?;
                }
            }
        }
        Ok(())
    }
}

/// As `quantize_row_q8_0_ref` of ggml: q is rounded by the f32 scale, which then is stored in 16 bits.
fn encode_block(block: &[f32], bytes: &mut Vec<u8>) -> Result<(), f32> {
    let largest = block
        .iter()
        .fold(0.0_f32, |largest, value| largest.max(value.abs()));
    if let Some(odd) = block.iter().find(|value| !value.is_finite()) {
        return Err(*odd);
    }
    let d = largest / 127.0;
    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
    bytes.extend(narrow(d).map_err(|_| largest)?.to_le_bytes());
    bytes.extend(
        block
            .iter()
            .map(|value| ((value * inverse).round() as i8).cast_unsigned()),
    );
    Ok(())
}

fn narrow(value: f32) -> Result<f16, f32> {
    let narrow = f16::from_f32(value);
    if narrow.is_finite() {
        Ok(narrow)
    } else {
        Err(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::TensorType;

    fn there_and_back(dtype: GgufDtype, values: &[f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        assert_eq!(dtype.encode(values, &mut bytes), Ok(()));
        assert_eq!(bytes.len(), dtype.bytes(values.len()));
        let mut found = Vec::new();
        let kind = TensorType::of_code(dtype.code());
        kind.expect("a type that is read").dequantize(&bytes, &mut found);
        found
    }

    #[test]
    fn values_come_back_within_half_a_step_of_their_block() {
        // The second block is a hundred times as large, the last is zero.
        let value = |place: usize| ((place * 37 % 64) as f32 - 31.5) * if place < BLOCK { 0.01 } else { 1.0 };
        let values: Vec<f32> = (0..2 * BLOCK).map(value).chain([0.0; BLOCK]).collect();
        assert_eq!(there_and_back(GgufDtype::F32, &values), values);
        for (value, found) in values.iter().zip(there_and_back(GgufDtype::F16, &values)) {
            assert!(
                (value - found).abs() <= value.abs() / 2048.0,
                "{found}, not {value}"
            );
        }
        let found = there_and_back(GgufDtype::Q8_0, &values);
        for (block, found) in values.chunks(BLOCK).zip(found.chunks(BLOCK)) {
            let largest = block
                .iter()
                .fold(0.0_f32, |largest, value| largest.max(value.abs()));
            for (value, found) in block.iter().zip(found) {
                // Half a step of q, and the rounding of d to eleven bits.
                let tolerance = largest * (0.5 / 127.0 + 1.0 / 2048.0);
                assert!((value - found).abs() <= tolerance, "{found}, not {value}");
            }
        }
    }

    #[test]
    fn a_value_without_a_number_of_16_bits_is_refused() {
        let mut bytes = Vec::new();
        assert_eq!(GgufDtype::F16.encode(&[1.0, 7e4], &mut bytes), Err(7e4));
        let mut block = [1.0; BLOCK];
        // A scale of 65,504 is the largest.
        block[3] = -1e7;
        assert_eq!(GgufDtype::Q8_0.encode(&block, &mut bytes), Err(1e7));
        block[3] = f32::INFINITY;
        for dtype in [GgufDtype::Q8_0, GgufDtype::F32] {
            assert_eq!(dtype.encode(&block, &mut bytes), Err(f32::INFINITY));
        }
    }

    #[test]
    fn vectors_stay_whole_and_rows_that_are_no_blocks_become_f16() {
        for dtype in [GgufDtype::F32, GgufDtype::F16, GgufDtype::Q8_0] {
            assert_eq!(dtype.of_shape(&[64]), GgufDtype::F32);
            assert_eq!(dtype.of_shape(&[3, 64]), dtype);
        }
        assert_eq!(GgufDtype::Q8_0.of_shape(&[64, 48]), GgufDtype::F16);
    }
}
