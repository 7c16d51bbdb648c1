//! What is computed in f32 whatever the model computes in.

use burn::tensor::{DType, FloatDType, Tensor};

/// A norm of `input` with its factors in f32, rounded to the input's type at the end: norms sum squares, which leave the range
/// of f16 (65,504) where the values themselves are still in the hundreds.
pub(crate) fn in_f32<const D: usize, const FACTORS: usize>(
    input: Tensor<D>,
    factors: [Tensor<1>; FACTORS],
    norm: impl FnOnce(Tensor<D>, [Tensor<1>; FACTORS]) -> Tensor<D>,
) -> Tensor<D> {
    let precision = match input.dtype() {
        DType::F16 => FloatDType::F16,
        DType::BF16 => FloatDType::BF16,
        _ => return norm(input, factors),
    };
    let factors = factors.map(|factor| factor.cast(FloatDType::F32));
    norm(input.cast(FloatDType::F32), factors).cast(precision)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

    use burn::tensor::{Device, FloatDType, Tensor};

    use crate::{layer_norm, rms_norm};

    /// Squares of these numbers are above 65,504. Values and factors have few digits, so only outputs are rounded.
    #[test]
    fn norms_of_large_numbers_in_sixteen_bits_are_those_of_f32_rounded() {
        let device = Device::flex();
        let input = Tensor::<2>::from_floats([[300.0, -600.0, 900.0]], &device);
        let gamma = Tensor::<1>::from_floats([1.0, 2.0, 0.5], &device);
        let beta = Tensor::<1>::from_floats([0.25, -0.5, 0.0], &device);
        // By hand: root mean square 300 · √(14/3); mean 200, deviation 300 · √(38/9).
        let root = (14.0_f32 / 3.0).sqrt();
        let deviation = (38.0_f32 / 9.0).sqrt();
        let by_root = [1.0, -4.0, 1.5].map(|value| value / root);
        let centred = [1.0 / 3.0, -16.0 / 3.0, 7.0 / 6.0].map(|value| value / deviation);
        let normed = [centred[0] + 0.25, centred[1] - 0.5, centred[2]];
        for (precision, rounding) in [(FloatDType::F16, 1.0 / 1024.0), (FloatDType::BF16, 1.0 / 128.0)] {
            let [gamma, beta] = [&gamma, &beta].map(|factor| factor.clone().cast(precision));
            let input = input.clone().cast(precision);
            let outputs = [
                (rms_norm(input.clone(), gamma.clone(), 1e-6), by_root),
                (layer_norm(input, gamma, beta, 1e-6), normed),
            ];
            for (output, expected) in outputs {
                assert_eq!(FloatDType::from(output.dtype()), precision);
                let found: Vec<f32> = output.into_data().convert::<f32>().try_into_vec().unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    let error = (found - expected).abs();
                    assert!(error <= rounding * expected.abs(), "{found}, not {expected}");
                }
            }
        }
    }
}
