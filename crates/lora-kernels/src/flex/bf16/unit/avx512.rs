//! Products of bf16 values by the dot products of AVX512-BF16.
//!
//! `vdpbf16ps` adds for each lane the product of the later values of two pairs, then that of the earlier ones, each sum rounded to the
//! nearest f32. Subnormal numbers count as zero, whatever MXCSR says.

#![expect(unsafe_code, reason = "instructions that the compiler may not assume")]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32,
    _mm512_storeu_ps,
};
use std::mem::transmute;

use super::super::tiles::{COLS, LeftTile, PAIRS, RightTile, SumTile, TILE_ROWS, Terms};

/// That the processor has AVX512-BF16.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Avx512(());

/// Values of a vector.
const LANES: usize = 16;

impl Avx512 {
    pub fn try_new() -> Option<Self> {
        let has_it = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16");
        has_it.then_some(Self(()))
    }

    #[expect(
        clippy::unused_self,
        reason = "the value is the proof that the processor has the instructions"
    )]
    pub fn multiply(
        self,
        sums: &mut SumTile,
        rows: usize,
        left: &[LeftTile],
        right: &[RightTile],
        terms: Terms,
    ) {
        // SAFETY: only `try_new` makes a value of this type, so the processor has the instructions.
        unsafe {
            match terms {
                Terms::One => all_rows::<1>(sums, rows, left, right),
                Terms::Two => all_rows::<2>(sums, rows, left, right),
            }
        }
    }
}

/// All rows, as many at a time as their sums fit into registers.
#[target_feature(enable = "avx512f,avx512bf16")]
fn all_rows<const TERMS: usize>(sums: &mut SumTile, rows: usize, left: &[LeftTile], right: &[RightTile]) {
    for row in (0..rows).step_by(8) {
        match rows - row {
            1 => add::<1, TERMS>(sums, row, left, right),
            2..=4 => add::<4, TERMS>(sums, row, left, right),
            _ => add::<8, TERMS>(sums, row, left, right),
        }
    }
}

/// The rows `first..first + ROWS`, which are of one tile.
#[target_feature(enable = "avx512f,avx512bf16")]
fn add<const ROWS: usize, const TERMS: usize>(
    sums: &mut SumTile,
    first: usize,
    left: &[LeftTile],
    right: &[RightTile],
) {
    let (half, row) = (first / TILE_ROWS, first % TILE_ROWS);
    let rows: &mut [[f32; COLS]] = &mut sums.0[first..first + ROWS];
    let mut found = [load_sums(&[0.0; COLS]); ROWS];
    for (found, row) in found.iter_mut().zip(&*rows) {
        *found = load_sums(row);
    }
    let (left, _) = left.as_chunks::<2>();
    for (left, right) in left.chunks_exact(TERMS).zip(right.chunks_exact(TERMS)) {
        let high: &[[u32; PAIRS]] = &left[0][half].0[row..row + ROWS];
        let low: &[[u32; PAIRS]] = &left[TERMS - 1][half].0[row..row + ROWS];
        for pair in 0..PAIRS {
            let of_high = load_pairs(&right[0].0[pair]);
            let of_low = load_pairs(&right[TERMS - 1].0[pair]);
            for r in 0..ROWS {
                let x = splat(high[r][pair]);
                for v in 0..2 {
                    found[r][v] = _mm512_dpbf16_ps(found[r][v], x, of_high[v]);
                }
                if TERMS == 2 {
                    let y = splat(low[r][pair]);
                    for v in 0..2 {
                        found[r][v] = _mm512_dpbf16_ps(found[r][v], x, of_low[v]);
                        found[r][v] = _mm512_dpbf16_ps(found[r][v], y, of_high[v]);
                    }
                }
            }
        }
    }
    for (found, row) in found.iter().zip(rows) {
        store_sums(*found, row);
    }
}

#[target_feature(enable = "avx512f")]
fn load_sums(row: &[f32; COLS]) -> [__m512; 2] {
    let (vectors, _) = row.as_chunks::<LANES>();
    // SAFETY: each pointer is to the 16 values of an array.
    [0, 1].map(|index| unsafe { _mm512_loadu_ps(vectors[index].as_ptr()) })
}

#[target_feature(enable = "avx512f")]
fn store_sums(sums: [__m512; 2], row: &mut [f32; COLS]) {
    for (sums, row) in sums.into_iter().zip(row.as_chunks_mut::<LANES>().0) {
        // SAFETY: the pointer is to the 16 values of an array.
        unsafe { _mm512_storeu_ps(row.as_mut_ptr(), sums) }
    }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn load_pairs(row: &[u32; COLS]) -> [__m512bh; 2] {
    let (vectors, _) = row.as_chunks::<LANES>();
    // SAFETY: each pointer is to the 16 words of an array; vectors of one size hold any bits.
    [0, 1].map(|index| unsafe {
        transmute::<__m512i, __m512bh>(_mm512_loadu_si512(vectors[index].as_ptr().cast()))
    })
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn splat(pair: u32) -> __m512bh {
    // SAFETY: vectors of one size hold any bits.
    unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi32(pair.cast_signed())) }
}
