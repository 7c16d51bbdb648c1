//! Where work runs.

use burn::tensor::Device;

#[cfg(feature = "flex")]
use crate::packs_rows;

/// Does some work on one of the threads that operations share out their rows to, if the device is a CPU's (Flex): each operation then
/// begins without waiting for another thread to wake, which takes longer than a small operation itself.
///
/// For work of many operations: a training step, a pass over a batch, the next token of a text.
pub fn on_worker_thread<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    if packs_rows(device) {
        return rayon::scope(|_| work());
    }
    #[cfg(not(feature = "flex"))]
    let _ = device;
    work()
}
