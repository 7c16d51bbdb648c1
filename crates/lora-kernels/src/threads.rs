//! Where work runs.

/// Does some work on one of the threads that operations share out their rows to, if the device is a CPU's (Flex): each operation then
/// begins without waiting for another thread to wake, which takes longer than a small operation itself.
///
/// For work of many small operations, such as the next token of a text.
pub fn on_worker_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    #[cfg(feature = "flex")]
    return rayon::scope(|_| work());
    #[cfg(not(feature = "flex"))]
    work()
}
