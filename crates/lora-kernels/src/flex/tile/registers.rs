//! Columns of a matrix as rows of a panel, 16 by 16 in registers where the machine has AVX-512.

use pulp::NullaryFnOnce;
use pulp::x86::V4;
use std::arch::x86_64::{__m512, __m512d};

use super::TILE;
use crate::flex::matrix::Matrix;

/// Columns of a panel at 512 bits.
const WIDTH: usize = 2 * TILE;

/// Fills a panel of 32 columns, from column `first` of a matrix whose columns are contiguous, as far as whole tiles go. Returns the
/// number of rows that are filled: none without AVX-512.
pub(in crate::flex) fn fill_tiles(matrix: Matrix<'_>, first: usize, panel: &mut [f32]) -> usize {
    let Some(v4) = V4::try_new() else {
        return 0;
    };
    let [rows, cols] = matrix.dims();
    if first + WIDTH > cols {
        return 0;
    }
    v4.vectorize(Tiles {
        v4,
        matrix,
        first,
        panel,
    });
    rows - rows % TILE
}

struct Tiles<'a> {
    v4: V4,
    matrix: Matrix<'a>,
    first: usize,
    panel: &'a mut [f32],
}

impl NullaryFnOnce for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (rows, _) = self.panel.as_chunks_mut::<WIDTH>();
        let (tiles, _) = rows.as_chunks_mut::<TILE>();
        for (index, tile) in tiles.iter_mut().enumerate() {
            for half in [0, TILE] {
                let columns = std::array::from_fn(|col| {
                    let line = self.matrix.line(self.first + half + col, index * TILE, TILE);
                    let mut column = [0.0; TILE];
                    column.copy_from_slice(line);
                    pulp::cast(column)
                });
                for (row, out) in transposed(self.v4, columns).into_iter().zip(&mut *tile) {
                    let row: [f32; TILE] = pulp::cast(row);
                    out[half..half + TILE].copy_from_slice(&row);
                }
            }
        }
    }
}

/// A tile of words, likewise.
#[inline(always)]
pub(super) fn transposed_words(v4: V4, columns: [[u32; TILE]; TILE]) -> [[u32; TILE]; TILE] {
    // Loops, for the compiler does not inline `map` of arrays this long.
    let mut vectors: [__m512; TILE] = [pulp::cast([0_u32; TILE]); TILE];
    for (vector, column) in vectors.iter_mut().zip(columns) {
        *vector = pulp::cast(column);
    }
    let mut rows = [[0; TILE]; TILE];
    for (row, vector) in rows.iter_mut().zip(transposed(v4, vectors)) {
        *row = pulp::cast(vector);
    }
    rows
}

/// Transposes a tile in two steps: the values within each quarter of a vector, then the quarters.
#[inline(always)]
fn transposed(v4: V4, columns: [__m512; TILE]) -> [__m512; TILE] {
    /// Quarters 0 and 2 of each of two vectors, and 1 and 3.
    const EVEN: i32 = 0b10_00_10_00;
    const ODD: i32 = 0b11_01_11_01;
    let simd = v4.avx512f;
    let low = |a: __m512, b: __m512| {
        pulp::cast::<__m512d, __m512>(simd._mm512_unpacklo_pd(pulp::cast(a), pulp::cast(b)))
    };
    let high = |a: __m512, b: __m512| {
        pulp::cast::<__m512d, __m512>(simd._mm512_unpackhi_pd(pulp::cast(a), pulp::cast(b)))
    };
    let mut quarters = columns;
    for four in quarters.as_chunks_mut::<4>().0 {
        let [a, b, c, d] = *four;
        let (ab, cd) = (simd._mm512_unpacklo_ps(a, b), simd._mm512_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (simd._mm512_unpackhi_ps(a, b), simd._mm512_unpackhi_ps(c, d));
        *four = [
            low(ab, cd),
            high(ab, cd),
            low(ab_high, cd_high),
            high(ab_high, cd_high),
        ];
    }
    // Quarter q of vector 4c + r now holds row 4q + r of the columns 4c to 4c + 3.
    let mut rows = columns;
    for r in 0..4 {
        let [a, b, c, d] = [0, 4, 8, 12].map(|column| quarters[column + r]);
        let even = |a, b| simd._mm512_shuffle_f32x4::<EVEN>(a, b);
        let odd = |a, b| simd._mm512_shuffle_f32x4::<ODD>(a, b);
        rows[r] = even(even(a, b), even(c, d));
        rows[4 + r] = even(odd(a, b), odd(c, d));
        rows[8 + r] = odd(even(a, b), even(c, d));
        rows[12 + r] = odd(odd(a, b), odd(c, d));
    }
    rows
}
