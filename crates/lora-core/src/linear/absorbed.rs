//! What an initialization takes from the base weight into the adapter (PiSSA, OLoRA, CorDA): kept, so that it can be put back.

use super::LoraLinear;
use crate::adapter::{InitialFactors, LowRank};
use crate::tensors::HostTensor;

/// The part `s · A₀ B₀` of the base weight that is in the adapter, as its first factors on the host: as small as the adapter
/// itself.
#[derive(Clone, Debug)]
pub(crate) struct Absorbed {
    /// `[d_input, rank]`, multiplied by the scale of the mean pass.
    pub a: HostTensor,
    /// `[rank, d_output]`.
    pub b: HostTensor,
}

impl LoraLinear {
    /// The part of the base weight that is in the adapter.
    pub(crate) fn absorbed(&self) -> Option<&Absorbed> {
        self.absorbed.as_ref()
    }

    /// Takes the update of a new adapter from the base weight; `first` are its factors.
    pub(super) fn absorb(&mut self, first: InitialFactors, adapter: &LowRank, mean_scale: f64) {
        self.base.weight = self.as_held(self.wide_weight() - adapter.delta());
        let InitialFactors { mut a, b } = first;
        for value in &mut a.values {
            *value *= mean_scale as f32;
        }
        self.absorbed = Some(Absorbed { a, b });
    }

    /// Adds what was absorbed to the base weight again.
    pub(super) fn put_back_absorbed(&mut self) {
        if let Some(Absorbed { a, b }) = self.absorbed.take() {
            let device = self.base.weight.device();
            let [a, b] = [a, b].map(|tensor| tensor.on::<2>(&device));
            self.base.weight = self.as_held(self.wide_weight() + a.matmul(b));
        }
    }
}
