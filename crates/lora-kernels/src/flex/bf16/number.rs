//! Values as sums of bf16 values.

use half::bf16;

/// A number of a matrix that is multiplied in bf16.
pub(crate) trait Bf16Operand: Copy + Send + Sync {
    /// The bits of the nearest bf16 number, ties to even. One below the smallest normal number is zero, as it is to the
    /// processor's products.
    fn high(self) -> u16;

    /// The bits of what [`Bf16Operand::high`] leaves, likewise rounded: both together have an error of at most 2⁻¹⁷ of the number
    /// where it is above 2⁻¹⁰⁹. Zero where the nearest bf16 number is not finite.
    fn low(self) -> u16;
}

const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0x7f80_0000;

#[inline(always)]
fn nearest(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Rounding could make infinity of a NaN.
    let bits = if bits & !SIGN > INFINITY {
        bits | 1 << 22
    } else {
        rounded
    };
    let bits = if bits & INFINITY == 0 { bits & SIGN } else { bits };
    bits & 0xffff_0000
}

impl Bf16Operand for f32 {
    #[inline(always)]
    fn high(self) -> u16 {
        (nearest(self) >> 16) as u16
    }

    #[inline(always)]
    fn low(self) -> u16 {
        let high = nearest(self);
        let low = nearest(self - f32::from_bits(high)) >> 16;
        if high & INFINITY == INFINITY {
            0
        } else {
            low as u16
        }
    }
}

impl Bf16Operand for bf16 {
    #[inline(always)]
    fn high(self) -> u16 {
        let bits = self.to_bits();
        if bits & 0x7f80 == 0 { bits & 0x8000 } else { bits }
    }

    #[inline(always)]
    fn low(self) -> u16 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> impl Iterator<Item = f32> {
        // Every exponent, and bits that step through all endings.
        (0_u32..1 << 20).map(|number| f32::from_bits(number.wrapping_mul(0x9e37_79b1)))
    }

    /// `half` rounds as IEEE 754 says; only subnormal numbers differ.
    #[test]
    fn the_nearest_number_is_that_of_half_and_never_subnormal() {
        let special = [
            0.0,
            -0.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::MAX,
            f32::MIN_POSITIVE,
            1e-40,
        ];
        for x in numbers().chain(special) {
            let (found, expected) = (bf16::from_bits(x.high()), bf16::from_f32(x));
            if x.is_nan() {
                assert!(found.is_nan());
            } else if expected.to_f32().is_subnormal() {
                assert_eq!(found.to_f32(), 0.0);
            } else {
                assert_eq!(found.to_bits(), expected.to_bits(), "{x:e}");
            }
        }
    }

    #[test]
    fn two_numbers_are_nearly_the_number() {
        for x in numbers().filter(|x| x.is_finite() && x.abs() > 2.0_f32.powi(-109)) {
            let [high, low] = [x.high(), x.low()].map(|bits| bf16::from_bits(bits).to_f64());
            if high.is_finite() {
                let error = (f64::from(x) - high - low).abs();
                assert!(error <= 2.0_f64.powi(-17) * f64::from(x).abs(), "{x:e}");
            }
        }
    }
}
