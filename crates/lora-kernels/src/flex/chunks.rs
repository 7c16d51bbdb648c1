//! New values, of which each thread clears and computes a part.

#![expect(
    unsafe_code,
    reason = "memory is cleared by the thread that fills it, and not before by another"
)]

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// `len` values in chunks of `chunk`: each chunk is zero when `compute` gets it with its index, on all threads if there is more than one.
/// Clearing and page faults are thereby shared by the threads, and small chunks are still in the cache when they are computed.
///
/// # Panics
///
/// Panics if there are values, and none of them in a chunk.
pub(crate) fn computed_in_chunks(
    len: usize,
    chunk: usize,
    compute: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    if len == 0 {
        return values;
    }
    let task = |(index, chunk): (usize, &mut [MaybeUninit<f32>])| {
        for value in &mut *chunk {
            value.write(0.0);
        }
        // SAFETY: each of these values was just written.
        compute(index, unsafe { chunk.assume_init_mut() });
    };
    let uninit = &mut values.spare_capacity_mut()[..len];
    if chunk < len {
        uninit.par_chunks_mut(chunk).enumerate().for_each(task);
    } else {
        task((0, uninit));
    }
    // SAFETY: the chunks are the first `len` values, and each of them was written.
    unsafe { values.set_len(len) };
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chunk_is_clear_and_comes_once_with_its_place() {
        for (len, chunk) in [(0, 0), (1, 5), (12, 4), (13, 4), (1000, 7)] {
            let values = computed_in_chunks(len, chunk, |index, values| {
                for (place, value) in values.iter_mut().enumerate() {
                    *value += (index * chunk + place) as f32 + 1.0;
                }
            });
            let expected: Vec<f32> = (1..=len).map(|number| number as f32).collect();
            assert_eq!(values, expected, "{len} values in chunks of {chunk}");
        }
    }
}
