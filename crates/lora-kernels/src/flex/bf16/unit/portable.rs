//! Products of bf16 values in plain f32, for every processor, and the reference of the other units.
//!
//! A product of two bf16 values is exact in f32 where it is a normal number. Of each pair the later one is added first, as AVX512-BF16
//! does, so both have the same bits as long as no product and no sum is subnormal: there those are zero, here they are not.

use pulp::{Arch, Simd, WithSimd};

use super::super::tiles::{COLS, LeftTile, PAIRS, RightTile, SumTile, TILE_ROWS, Terms};

pub(super) fn multiply(
    sums: &mut SumTile,
    rows: usize,
    left: &[LeftTile],
    right: &[RightTile],
    terms: Terms,
) {
    Arch::new().dispatch(Multiply {
        sums,
        rows,
        left,
        right,
        terms,
    });
}

struct Multiply<'a> {
    sums: &'a mut SumTile,
    rows: usize,
    left: &'a [LeftTile],
    right: &'a [RightTile],
    terms: Terms,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let count = self.terms.count();
        for (row, sums) in self.sums.0.iter_mut().enumerate().take(self.rows) {
            let (half, row) = (row / TILE_ROWS, row % TILE_ROWS);
            let steps = self
                .left
                .chunks_exact(2 * count)
                .zip(self.right.chunks_exact(count));
            let mut found = *sums;
            for (left, right) in steps {
                for pair in 0..PAIRS {
                    let high = left[half].0[row][pair];
                    add(&mut found, high, &right[0].0[pair]);
                    if self.terms == Terms::Two {
                        add(&mut found, high, &right[1].0[pair]);
                        add(&mut found, left[2 + half].0[row][pair], &right[0].0[pair]);
                    }
                }
            }
            *sums = found;
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f32; COLS], left: u32, right: &[u32; COLS]) {
    let [x, y] = numbers(left);
    for (sum, right) in sums.iter_mut().zip(right) {
        let [v, w] = numbers(*right);
        *sum = (*sum + y * w) + x * v;
    }
}

/// The earlier and the later number of a pair.
#[inline(always)]
fn numbers(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}
