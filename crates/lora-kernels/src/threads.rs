//! Where tensors lie, and where work on them runs.

use burn::tensor::Device;

/// Whether tensors on this device lie in the memory of the machine and are computed by Flex, on its processor.
pub fn is_flex(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return device.clone().without_autodiff() == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// Does some work on one of the threads that operations share out their rows to, if the device is a CPU's (Flex): each operation then
/// begins without waiting for another thread to wake, which takes longer than a small operation itself.
///
/// For work of many operations: a training step, a pass over a batch, the next token of a text.
pub fn on_worker_thread<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    if is_flex(device) {
        return rayon::scope(|_| work());
    }
    #[cfg(not(feature = "flex"))]
    let _ = device;
    work()
}
