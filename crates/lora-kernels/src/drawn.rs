//! Values for tests that are the same in every run. Burn's own generator is one for all threads, so tests that run beside each
//! other draw others each time.

use std::cell::Cell;

use burn::tensor::{Device, Tensor, TensorData};

thread_local! {
    /// Every test has a thread of its own, and begins here.
    static STATE: Cell<u64> = const { Cell::new(0x9e37_79b9_7f4a_7c15) };
}

/// Whether tests run on Flex, the default, which promises more than others (`BURN_DEVICE` names another backend).
pub fn is_on_flex() -> bool {
    Device::default() == Device::flex()
}

/// Nearly normal numbers: sums of twelve uniform ones, of which the variance is 1.
pub fn normal<const D: usize>(shape: [usize; D], mean: f32, deviation: f32, device: &Device) -> Tensor<D> {
    let number = || (0..12).map(|_| uniform()).sum::<f32>() - 6.0;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| mean + deviation * number())
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The next number in `[0, 1)` of a multiplicative generator (Knuth's MMIX): its upper 24 bits.
fn uniform() -> f32 {
    STATE.with(|state| {
        let next = state
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.set(next);
        (next >> 40) as f32 / (1_u32 << 24) as f32
    })
}
