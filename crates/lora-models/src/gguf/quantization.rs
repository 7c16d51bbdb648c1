//! Values from quantized blocks. Each block holds 32 or 256 values as small integers `q` with a scale `d`, and in some
//! types a minimum `m`; layouts are those of ggml's `block_*` structures.

use half::{bf16, f16};

/// How the values of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE.
    F16,
    /// The upper half of 32-bit floats.
    Bf16,
    /// `d (q − 8)`, 4 bits.
    Q4_0,
    /// `d q + m`, 4 bits.
    Q4_1,
    /// `d (q − 16)`, 5 bits.
    Q5_0,
    /// `d q + m`, 5 bits.
    Q5_1,
    /// `d q`, 8 bits with sign.
    Q8_0,
    /// `d s q − m t`, 4 bits; each 32 of 256 values have 6-bit factors s and t.
    Q4K,
    /// As `Q4K` with 5 bits.
    Q5K,
    /// `d s (q − 32)`, 6 bits; each 16 of 256 values have an 8-bit factor s.
    Q6K,
}

impl TensorType {
    /// The types that are supported, for messages.
    pub const NAMES: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K";

    /// The type of a number in the file; `None` for one that is not supported.
    pub fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Values to a block.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes to a block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Appends the values of whole blocks.
    ///
    /// # Panics
    ///
    /// Panics if the bytes are not whole blocks.
    pub fn dequantize(self, bytes: &[u8], values: &mut Vec<f32>) {
        assert!(
            bytes.len().is_multiple_of(self.block_bytes()),
            "bytes are whole blocks"
        );
        for block in bytes.chunks_exact(self.block_bytes()) {
            self.dequantize_block(block, values);
        }
    }

    fn dequantize_block(self, block: &[u8], values: &mut Vec<f32>) {
        match self {
            Self::F32 => values.push(f32::from_le_bytes([block[0], block[1], block[2], block[3]])),
            Self::F16 => values.push(float(block, 0)),
            Self::Bf16 => values.push(bf16::from_le_bytes([block[0], block[1]]).to_f32()),
            Self::Q4_0 => {
                let d = float(block, 0);
                values.extend(nibbles(&block[2..]).map(|q| d * (f32::from(q) - 8.0)));
            }
            Self::Q4_1 => {
                let (d, m) = (float(block, 0), float(block, 2));
                values.extend(nibbles(&block[4..]).map(|q| d * f32::from(q) + m));
            }
            Self::Q5_0 => {
                let d = float(block, 0);
                values.extend(five_bits(&block[2..6], &block[6..]).map(|q| d * (f32::from(q) - 16.0)));
            }
            Self::Q5_1 => {
                let (d, m) = (float(block, 0), float(block, 2));
                values.extend(five_bits(&block[4..8], &block[8..]).map(|q| d * f32::from(q) + m));
            }
            Self::Q8_0 => {
                let d = float(block, 0);
                values.extend(block[2..].iter().map(|q| d * f32::from(q.cast_signed())));
            }
            Self::Q4K => {
                let quants = &block[16..];
                let q = |chunk: usize, at: usize| half_byte(quants[32 * (chunk / 2) + at], chunk % 2);
                with_scales_and_minima(block, q, values);
            }
            Self::Q5K => {
                let (high, quants) = block[16..].split_at(32);
                let q = |chunk: usize, at: usize| {
                    half_byte(quants[32 * (chunk / 2) + at], chunk % 2) | ((high[at] >> chunk & 1) << 4)
                };
                with_scales_and_minima(block, q, values);
            }
            Self::Q6K => six_bits(block, values),
        }
    }
}

/// A 16-bit float at a byte.
fn float(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The lower (0) or upper (1) four bits.
fn half_byte(byte: u8, half: usize) -> u8 {
    byte >> (4 * half) & 0x0F
}

/// All lower halves, then all upper halves.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    [0, 1]
        .into_iter()
        .flat_map(|half| bytes.iter().map(move |byte| half_byte(*byte, half)))
}

/// Nibbles with a fifth bit each.
fn five_bits(high: &[u8], low: &[u8]) -> impl Iterator<Item = u8> {
    nibbles(low)
        .enumerate()
        .map(|(index, q)| q | ((high[index / 8] >> (index % 8) & 1) << 4))
}

/// The eight chunks of 32 values of `Q4K` and `Q5K`: d and m, then 12 bytes with eight scales and minima of 6 bits.
fn with_scales_and_minima(block: &[u8], q: impl Fn(usize, usize) -> u8, values: &mut Vec<f32>) {
    let (d, m) = (float(block, 0), float(block, 2));
    let packed = &block[4..16];
    for chunk in 0..8 {
        let (scale, minimum) = if chunk < 4 {
            (packed[chunk] & 63, packed[chunk + 4] & 63)
        } else {
            let low = packed[chunk + 4];
            (
                (low & 0x0F) | (packed[chunk - 4] >> 6 << 4),
                (low >> 4) | (packed[chunk] >> 6 << 4),
            )
        };
        let (scale, minimum) = (d * f32::from(scale), m * f32::from(minimum));
        values.extend((0..32).map(|at| scale * f32::from(q(chunk, at)) - minimum));
    }
}

/// `Q6K`: 128 bytes of low halves, 64 of two high bits, 16 scales, d.
fn six_bits(block: &[u8], values: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let (scales, d) = rest.split_at(16);
    let d = float(d, 0);
    for index in 0..256 {
        let (part, within) = (index / 128, index % 128);
        let (quarter, at) = (within / 32, within % 32);
        let low = half_byte(low[64 * part + within % 64], quarter / 2);
        let high = high[32 * part + at] >> (2 * quarter) & 3;
        let q = f32::from(low | (high << 4)) - 32.0;
        let scale = f32::from(scales[index / 16].cast_signed());
        values.push(d * scale * q);
    }
}
