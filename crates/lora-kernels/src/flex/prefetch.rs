//! Memory that is read soon.

#![expect(
    unsafe_code,
    reason = "a hint to the processor, for which there is no safe function"
)]

/// Asks the processor to bring the cache lines of these values into the second-level cache. It changes none, and it need not be obeyed.
#[inline(always)]
pub(super) fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        const LINE: usize = 64;
        let start = values.as_ptr().cast::<i8>();
        for offset in (0..size_of_val(values)).step_by(LINE) {
            // SAFETY: every x86-64 processor has the instruction, and no address makes it fail; this one is within the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(start.add(offset)) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}
