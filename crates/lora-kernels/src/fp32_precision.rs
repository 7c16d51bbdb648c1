//! How products of f32 matrices with frozen weights are computed.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// How products with frozen weights are computed; PyTorch's word for it, `torch.backends.mkldnn.matmul.fp32_precision`.
///
/// It holds for the Flex backend; others compute as they do. Sums are f32 in any case, and so is everything else: adapters,
/// attention, norms, losses and optimizer. In every mode a row of the output has the same bits whatever else is in the batch, and for
/// any number of threads; but with `bf16` on AMX-BF16 and AVX512-BF16 not where a product or a sum is subnormal, which many rows take
/// as zero and few do not. The last bits differ between processors: a matrix unit (AMX) adds in another order.
///
/// | precision | relative error of a product | stored |
/// |---|---|---|
/// | `ieee` | 5e-7 | f32 |
/// | `bf16x3` | 5e-6 | f32, taken apart while it is packed |
/// | `bf16` | 2.5e-3 | bf16: half the memory, and a bf16 checkpoint exactly |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Fp32Precision {
    /// f32 products.
    #[default]
    Ieee,
    /// Each number as the sum of two bf16 values, high and low, and three products: high·high, high·low and low·high.
    Bf16x3,
    /// Each number rounded to bf16, and one product.
    Bf16,
}

impl Fp32Precision {
    /// The fastest precision on this machine that keeps the tolerances of [`Fp32Precision::Ieee`], by what was measured and never by
    /// timing, so that one machine always computes the same bits. Today it is `ieee` everywhere:
    ///
    /// | processor | unit | one product, `bf16x3` against `ieee` | gradients of the reference cases |
    /// |---|---|---|---|
    /// | AMD Zen 5 | AVX512-BF16 | 0.5 to 0.75 of the speed; 0.67 is the ceiling | up to 1.6e-2 off, where `ieee` keeps 1e-3 |
    /// | Intel with AMX | AMX-BF16 | 1.7 to 2.2 times the speed | the same |
    pub fn automatic() -> Self {
        Self::Ieee
    }

    /// What multiplies bf16 values on this machine: `AMX-BF16`, `AVX512-BF16` or `portable`, on Flex; `None` on other backends.
    pub fn bf16_unit() -> Option<&'static str> {
        #[cfg(feature = "flex")]
        return Some(crate::flex::bf16_unit());
        #[cfg(not(feature = "flex"))]
        None
    }
}

impl From<Fp32Precision> for &'static str {
    fn from(precision: Fp32Precision) -> Self {
        match precision {
            Fp32Precision::Ieee => "ieee",
            Fp32Precision::Bf16x3 => "bf16x3",
            Fp32Precision::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Fp32Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str((*self).into())
    }
}

/// A word that names no precision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no precision of f32 products: expected `ieee`, `bf16x3`, `bf16` or `auto`")]
pub struct UnknownFp32Precision {
    /// The word.
    pub found: String,
}

impl FromStr for Fp32Precision {
    type Err = UnknownFp32Precision;

    /// Its name, or `auto` for [`Fp32Precision::automatic`].
    fn from_str(word: &str) -> Result<Self, UnknownFp32Precision> {
        match word {
            "auto" => Ok(Self::automatic()),
            "ieee" => Ok(Self::Ieee),
            "bf16x3" => Ok(Self::Bf16x3),
            "bf16" => Ok(Self::Bf16),
            _ => Err(UnknownFp32Precision {
                found: word.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Fp32Precision {
    type Error = UnknownFp32Precision;

    fn try_from(word: String) -> Result<Self, UnknownFp32Precision> {
        word.parse()
    }
}

/// The weight of a linear, and how products with it are computed if it is frozen. A plain tensor is multiplied in f32.
#[derive(Clone, Debug)]
pub struct LinearWeight {
    /// `[d_input, d_output]`, of the input's type or bf16.
    pub values: Tensor<2>,
    /// How it is multiplied.
    pub precision: Fp32Precision,
}

impl From<Tensor<2>> for LinearWeight {
    fn from(values: Tensor<2>) -> Self {
        Self {
            values,
            precision: Fp32Precision::Ieee,
        }
    }
}

impl LinearWeight {
    /// `[d_input, d_output]`.
    pub fn dims(&self) -> [usize; 2] {
        self.values.dims()
    }

    /// The weight of the linear that goes the other way.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            values: self.values.transpose(),
            ..self
        }
    }

    /// Its values in f32 if they are held in bf16 to be multiplied so; as they are otherwise.
    pub fn widened(self) -> Tensor<2> {
        match self.precision {
            Fp32Precision::Bf16 => self.values.cast(FloatDType::F32),
            Fp32Precision::Ieee | Fp32Precision::Bf16x3 => self.values,
        }
    }
}
