//! New numbers, of which each part is written by one thread.

#![expect(
    unsafe_code,
    reason = "memory is cleared by the thread that writes it, and not before by another"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// `len` numbers in chunks of `chunk`: each chunk is zero when `write` gets it with its index, on all threads if there is more than one.
/// Who writes a chunk has cleared it, so that memory goes through its caches once.
pub(crate) fn written(len: usize, chunk: usize, write: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut numbers = Vec::with_capacity(len);
    if len == 0 {
        return numbers;
    }
    let task = |(index, places): (usize, &mut [MaybeUninit<f32>])| {
        for place in &mut *places {
            place.write(0.0);
        }
        // SAFETY: each of these places was just written.
        write(index, unsafe { places.assume_init_mut() });
    };
    let places = &mut numbers.spare_capacity_mut()[..len];
    if chunk < len {
        places.par_chunks_mut(chunk).enumerate().for_each(task);
    } else {
        task((0, places));
    }
    // SAFETY: the chunks are the first `len` places, and each of them was written.
    unsafe { numbers.set_len(len) };
    numbers
}
