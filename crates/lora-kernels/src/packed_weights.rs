//! Frozen weights that stay packed between the steps of one piece of work.

#[cfg(feature = "flex")]
use crate::flex::KeptWeights;

/// A place for packed weights, for as long as a piece of work lasts that goes backward through the same ones many times, as a
/// training does.
///
/// The Flex backend reads a weight in another order than it lies in, and so makes a copy in every call. Within
/// [`PackedWeights::during`] the copy of a weight that is read by columns is kept from the second call on, for that one takes
/// longest. Outputs have the same bits. Other backends keep nothing.
#[derive(Clone, Debug)]
pub struct PackedWeights {
    #[cfg(feature = "flex")]
    kept: KeptWeights,
}

impl PackedWeights {
    /// A place for so many bytes; weights that find no room are packed in every call.
    pub fn new(bytes: usize) -> Self {
        #[cfg(not(feature = "flex"))]
        let _ = bytes;
        Self {
            #[cfg(feature = "flex")]
            kept: KeptWeights::new(bytes),
        }
    }

    /// Does some work on this thread, which keeps its weights here.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        #[cfg(feature = "flex")]
        return self.kept.during(work);
        #[cfg(not(feature = "flex"))]
        work()
    }
}
