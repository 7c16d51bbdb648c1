//! The two sides of a product as the innermost loops read them: bf16 values in pairs of neighbours along the depth.
//!
//! Every instruction set has one layout. A pair is a 32-bit word, the earlier number in its lower half. Sides are filled up with
//! zeros to whole tiles, which changes no sum.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::{Matrix, transposed_words};
use super::number::Bf16Operand;

/// Pairs in a tile: 32 values of the depth.
pub(super) const PAIRS: usize = 16;
/// Values of the depth in a tile.
pub(super) const TILE_DEPTH: usize = 2 * PAIRS;
/// Rows of a block of output, which are those of two left tiles.
pub(super) const ROWS: usize = 32;
/// Rows of a left tile.
pub(super) const TILE_ROWS: usize = 16;
/// Columns of a block of output, and of a right tile.
pub(super) const COLS: usize = 32;

/// 16 rows and 32 values of the depth: for each row its pairs. 1 KiB, from the start of a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct LeftTile(pub [[u32; PAIRS]; TILE_ROWS]);

/// 32 values of the depth and 32 columns: for each pair its columns. 2 KiB, from the start of a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct RightTile(pub [[u32; COLS]; PAIRS]);

/// A block of output.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct SumTile(pub [[f32; COLS]; ROWS]);

impl LeftTile {
    pub const ZERO: Self = Self([[0; PAIRS]; TILE_ROWS]);
}

impl RightTile {
    pub const ZERO: Self = Self([[0; COLS]; PAIRS]);
}

/// How many bf16 values stand for one of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terms {
    /// The nearest one: one product.
    One,
    /// Two, high and low: the products high·high, high·low and low·high.
    Two,
}

impl Terms {
    pub fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// A left side in blocks of 32 rows, each with its tiles along the depth: of one step of the depth the high tiles of the first and
/// the last 16 rows, then their low tiles if there are two terms.
#[derive(Debug)]
pub(super) struct LeftTiles {
    tiles: Vec<LeftTile>,
    /// Tiles of a block of rows.
    block: usize,
    /// Tiles of a step of the depth.
    step: usize,
}

impl LeftTiles {
    /// The tiles of a matrix with contiguous rows, filled on all threads if asked for.
    pub fn new(matrix: Matrix<'_>, terms: Terms, parallel: bool) -> Self {
        let [rows, depth] = matrix.dims();
        let step = 2 * terms.count();
        let block = depth.div_ceil(TILE_DEPTH) * step;
        let arch = Arch::new();
        let fill = |(index, tiles): (usize, &mut [LeftTile])| {
            arch.dispatch(FillLeft {
                matrix,
                first: index * ROWS,
                terms,
                tiles,
            });
        };
        let mut tiles = vec![LeftTile::ZERO; rows.div_ceil(ROWS) * block];
        if parallel && block > 0 {
            tiles.par_chunks_mut(block).enumerate().for_each(fill);
        } else {
            tiles.chunks_mut(block.max(1)).enumerate().for_each(fill);
        }
        Self { tiles, block, step }
    }

    /// Of a block of rows the tiles of the steps `from..from + len`.
    pub fn block(&self, index: usize, from: usize, len: usize) -> &[LeftTile] {
        &self.tiles[index * self.block + from * self.step..][..len * self.step]
    }
}

struct FillLeft<'a> {
    matrix: Matrix<'a>,
    first: usize,
    terms: Terms,
    tiles: &'a mut [LeftTile],
}

impl WithSimd for FillLeft<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Steps of the depth that are filled for all rows before the next ones: their tiles stay in the first-level cache.
        const STEPS: usize = 8;
        let [rows, depth] = self.matrix.dims();
        let terms = self.terms.count();
        for (index, tiles) in self.tiles.chunks_mut(STEPS * 2 * terms).enumerate() {
            let from = index * STEPS * TILE_DEPTH;
            let len = (STEPS * TILE_DEPTH).min(depth - from);
            for row in 0..ROWS.min(rows - self.first) {
                let line = self.matrix.line(self.first + row, from, len);
                fill_row(row, line, self.terms, tiles);
            }
        }
    }
}

/// One row of some steps.
#[inline(always)]
fn fill_row(row: usize, line: &[f32], terms: Terms, tiles: &mut [LeftTile]) {
    let (half, row) = (row / TILE_ROWS, row % TILE_ROWS);
    let (whole, rest) = line.as_chunks::<TILE_DEPTH>();
    let mut steps = tiles.chunks_exact_mut(2 * terms.count());
    for (numbers, step) in whole.iter().zip(&mut steps) {
        step[half].0[row] = pairs(numbers, f32::high);
        if terms == Terms::Two {
            step[2 + half].0[row] = pairs(numbers, f32::low);
        }
    }
    if let Some(step) = steps.next() {
        for (index, number) in rest.iter().enumerate() {
            let shift = 16 * (index % 2);
            step[half].0[row][index / 2] |= u32::from(number.high()) << shift;
            if terms == Terms::Two {
                step[2 + half].0[row][index / 2] |= u32::from(number.low()) << shift;
            }
        }
    }
}

#[inline(always)]
fn pairs<T: Bf16Operand>(numbers: &[T; TILE_DEPTH], bits: impl Fn(T) -> u16) -> [u32; PAIRS] {
    let mut halves = [0; TILE_DEPTH];
    for (half, number) in halves.iter_mut().zip(numbers) {
        *half = bits(*number);
    }
    let mut pairs = [0; PAIRS];
    for (pair, [first, second]) in pairs.iter_mut().zip(halves.as_chunks().0) {
        *pair = u32::from(*first) | u32::from(*second) << 16;
    }
    pairs
}

/// Fills neighbouring panels of 32 columns of a right side, the first of which begins at column `first`: the steps of the depth from
/// `from` on, as many as there is room for. The tiles of a panel stand one after the other: of a step the high one, then the low one if
/// there are two terms.
pub(super) fn fill_panels<T: Bf16Operand>(
    matrix: Matrix<'_, T>,
    first: usize,
    from: usize,
    terms: Terms,
    panels: &mut [&mut [RightTile]],
) {
    Arch::new().dispatch(FillRight {
        matrix,
        first,
        from,
        terms,
        panels,
    });
}

struct FillRight<'a, 'b, T> {
    matrix: Matrix<'a, T>,
    first: usize,
    from: usize,
    terms: Terms,
    panels: &'a mut [&'b mut [RightTile]],
}

impl<T: Bf16Operand> WithSimd for FillRight<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let terms = self.terms.count();
        let steps = self.panels.first().map_or(0, |panel| panel.len() / terms);
        for step in 0..steps {
            for (index, panel) in self.panels.iter_mut().enumerate() {
                let tiles = &mut panel[step * terms..][..terms];
                let place = [(self.from + step) * TILE_DEPTH, self.first + index * COLS];
                if self.matrix.is_transposed() {
                    fill_from_columns(self.matrix, place, tiles);
                } else {
                    fill_from_rows(self.matrix, place, tiles);
                }
            }
        }
    }
}

/// A tile, or two, of a matrix with contiguous rows.
#[inline(always)]
fn fill_from_rows<T: Bf16Operand>(matrix: Matrix<'_, T>, [row, col]: [usize; 2], tiles: &mut [RightTile]) {
    let [rows, cols] = matrix.dims();
    let filled = COLS.min(cols - col);
    if filled < COLS || row + TILE_DEPTH > rows {
        tiles.fill(RightTile::ZERO);
        for index in 0..TILE_DEPTH.min(rows - row) {
            let shift = 16 * (index % 2);
            for (col, number) in matrix.line(row + index, col, filled).iter().enumerate() {
                tiles[0].0[index / 2][col] |= u32::from(number.high()) << shift;
                if let Some(tile) = tiles.get_mut(1) {
                    tile.0[index / 2][col] |= u32::from(number.low()) << shift;
                }
            }
        }
        return;
    }
    for pair in 0..PAIRS {
        let lines = [0, 1].map(|index| matrix.line(row + 2 * pair + index, col, COLS));
        let [Some(first), Some(second)] = lines.map(<[T]>::as_array::<COLS>) else {
            unreachable!("lines have the columns of a tile");
        };
        for col in 0..COLS {
            tiles[0].0[pair][col] = u32::from(first[col].high()) | u32::from(second[col].high()) << 16;
        }
        if let Some(tile) = tiles.get_mut(1) {
            for col in 0..COLS {
                tile.0[pair][col] = u32::from(first[col].low()) | u32::from(second[col].low()) << 16;
            }
        }
    }
}

/// A tile, or two, of a matrix with contiguous columns, whose pairs are neighbours already.
#[inline(always)]
fn fill_from_columns<T: Bf16Operand>(matrix: Matrix<'_, T>, [row, col]: [usize; 2], tiles: &mut [RightTile]) {
    let [rows, cols] = matrix.dims();
    let filled = COLS.min(cols - col);
    let len = TILE_DEPTH.min(rows - row);
    let bits: [fn(T) -> u16; 2] = [T::high, T::low];
    for half in [0, TILE_ROWS] {
        for (term, tile) in tiles.iter_mut().enumerate() {
            let mut columns = [[0; PAIRS]; TILE_ROWS];
            for (index, column) in columns.iter_mut().enumerate().take(filled.saturating_sub(half)) {
                let line = matrix.line(col + half + index, row, len);
                *column = match (line.as_array(), term) {
                    (Some(line), 0) => pairs(line, T::high),
                    (Some(line), _) => pairs(line, T::low),
                    (None, _) => {
                        let mut column = [0; PAIRS];
                        for (index, number) in line.iter().enumerate() {
                            column[index / 2] |= u32::from(bits[term](*number)) << (16 * (index % 2));
                        }
                        column
                    }
                };
            }
            for (pair, out) in transposed_words(columns).into_iter().zip(&mut tile.0) {
                out[half..half + TILE_ROWS].copy_from_slice(&pair);
            }
        }
    }
}
