//! The two sides of a product as the innermost loops read them: bf16 values in pairs of neighbours along the depth.
//!
//! Every instruction set has one layout. A pair is a 32-bit word, the earlier number in its lower half. Sides are filled up with
//! zeros to whole tiles, which changes no sum.

use std::ops::Range;

use half::bf16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::{Matrix, transposed_words};
use super::buffer::Buffer;
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

/// Some rows of a left side in blocks of 32, each with its tiles along the depth: of one step of the depth the high tiles of the first
/// and the last 16 rows, then their low tiles if there are two terms.
#[derive(Debug)]
pub(super) struct LeftTiles {
    tiles: Buffer<LeftTile>,
    /// The first row.
    first: usize,
    steps: usize,
    /// Tiles of a step of the depth.
    step: usize,
}

impl LeftTiles {
    /// The tiles of some rows of a matrix with contiguous rows, filled on all threads if asked for. Rows and columns that fill tiles up
    /// are zero.
    pub fn new(matrix: Matrix<'_>, rows: &Range<usize>, terms: Terms, parallel: bool) -> Self {
        let [_, depth] = matrix.dims();
        let steps = depth.div_ceil(TILE_DEPTH);
        let step = 2 * terms.count();
        let block_len = (steps * step).max(1);
        let len = rows.len().div_ceil(ROWS) * block_len;
        let mut tiles = Buffer::left(len);
        let arch = Arch::new();
        let fill = |(block, tiles): (usize, &mut [LeftTile])| {
            let first = rows.start + block * ROWS;
            arch.dispatch(FillLeft {
                matrix,
                rows: first..rows.end.min(first + ROWS),
                terms,
                tiles,
            });
        };
        if parallel {
            tiles[..len].par_chunks_mut(block_len).enumerate().for_each(fill);
        } else {
            tiles[..len].chunks_mut(block_len).enumerate().for_each(fill);
        }
        Self {
            tiles,
            first: rows.start,
            steps,
            step,
        }
    }

    /// Steps of the depth.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Of the block that begins at row `row` the tiles of the steps `from..from + len`.
    #[inline(always)]
    pub fn block(&self, row: usize, from: usize, len: usize) -> &[LeftTile] {
        let block = (row - self.first) / ROWS;
        &self.tiles[(block * self.steps + from) * self.step..][..len * self.step]
    }
}

/// A block of rows.
struct FillLeft<'a> {
    matrix: Matrix<'a>,
    rows: Range<usize>,
    terms: Terms,
    tiles: &'a mut [LeftTile],
}

impl WithSimd for FillLeft<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Steps of the depth that are filled for all rows before the next ones: their tiles stay in the first-level cache.
        const STEPS: usize = 8;
        let [_, depth] = self.matrix.dims();
        let step = 2 * self.terms.count();
        if self.rows.len() < ROWS {
            self.tiles.fill(LeftTile::ZERO);
        } else if !depth.is_multiple_of(TILE_DEPTH) {
            let last = self.tiles.len() - step;
            self.tiles[last..].fill(LeftTile::ZERO);
        }
        if depth == 0 {
            return;
        }
        for (index, tiles) in self.tiles.chunks_mut(STEPS * step).enumerate() {
            let from = index * STEPS * TILE_DEPTH;
            let len = (STEPS * TILE_DEPTH).min(depth - from);
            for (row, index) in self.rows.clone().enumerate() {
                fill_row(row, self.matrix.line(index, from, len), self.terms, tiles);
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

/// A right side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RightSide<'a> {
    F32(Matrix<'a>),
    Bf16(Matrix<'a, bf16>),
}

impl RightSide<'_> {
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::F32(matrix) => matrix.dims(),
            Self::Bf16(matrix) => matrix.dims(),
        }
    }
}

/// Some panels of a right side, of 32 columns each, with its tiles along the depth: of a step the high one, then the low one if there are
/// two terms.
#[derive(Debug)]
pub(super) struct RightTiles {
    tiles: Buffer<RightTile>,
    /// Which panels.
    panels: Range<usize>,
    steps: usize,
    terms: Terms,
}

impl RightTiles {
    /// Bytes of the tiles of a whole matrix.
    pub fn bytes(matrix: RightSide<'_>, terms: Terms) -> usize {
        let [depth, cols] = matrix.dims();
        cols.div_ceil(COLS) * depth.div_ceil(TILE_DEPTH) * terms.count() * size_of::<RightTile>()
    }

    /// The tiles of some panels of a matrix, filled on all threads if asked for.
    pub fn new(matrix: RightSide<'_>, panels: Range<usize>, terms: Terms, parallel: bool) -> Self {
        let [depth, _] = matrix.dims();
        let steps = depth.div_ceil(TILE_DEPTH);
        let panel_len = steps * terms.count();
        let len = panels.len() * panel_len;
        let mut tiles = Buffer::right(len);
        let tasks = if parallel { rayon::current_num_threads() } else { 1 };
        let task_panels = panels.len().div_ceil(tasks);
        let arch = Arch::new();
        let fill = |(task, tiles): (usize, &mut [RightTile])| {
            let first = (panels.start + task * task_panels) * COLS;
            match matrix {
                RightSide::F32(matrix) => arch.dispatch(FillRight {
                    matrix,
                    first,
                    terms,
                    panel_len,
                    tiles,
                }),
                RightSide::Bf16(matrix) => arch.dispatch(FillRight {
                    matrix,
                    first,
                    terms,
                    panel_len,
                    tiles,
                }),
            }
        };
        let parts = (task_panels * panel_len).max(1);
        if parallel {
            tiles[..len].par_chunks_mut(parts).enumerate().for_each(fill);
        } else {
            tiles[..len].chunks_mut(parts).enumerate().for_each(fill);
        }
        Self {
            tiles,
            panels,
            steps,
            terms,
        }
    }

    /// Which panels of the right side these are.
    pub fn panels(&self) -> Range<usize> {
        self.panels.clone()
    }

    /// Of a panel the tiles of the steps `from..from + len`.
    #[inline(always)]
    pub fn panel(&self, index: usize, from: usize, len: usize) -> &[RightTile] {
        let terms = self.terms.count();
        let panel = index - self.panels.start;
        &self.tiles[(panel * self.steps + from) * terms..][..len * terms]
    }
}

/// Neighbouring panels, the first of which begins at column `first`.
struct FillRight<'a, T> {
    matrix: Matrix<'a, T>,
    first: usize,
    terms: Terms,
    panel_len: usize,
    tiles: &'a mut [RightTile],
}

impl<T: Bf16Operand> WithSimd for FillRight<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let terms = self.terms.count();
        let panels = self.tiles.len() / self.panel_len.max(1);
        // All panels of a step before the next one: memory is read ahead along rows.
        for step in 0..self.panel_len / terms {
            for panel in 0..panels {
                let tiles = &mut self.tiles[panel * self.panel_len + step * terms..][..terms];
                let place = [step * TILE_DEPTH, self.first + panel * COLS];
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
