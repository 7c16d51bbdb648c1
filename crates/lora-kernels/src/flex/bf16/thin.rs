//! Products of few rows with a bf16 weight, as decoding has them: the weight is read once, where it lies, for packing it would take
//! longer than all else.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use pulp::{Arch, Simd, WithSimd};

use super::super::outer::{fill_part, grouped_columns, in_blocks_of_columns, task_width};
use super::super::prefetch::prefetch;
use super::super::{Matrix, transposed_words, work};
use super::number::Bf16Operand;
use super::tiles::{PAIRS, TILE_DEPTH, TILE_ROWS};
use super::unit::{Order, Unit};

/// Products of fewer multiplications run on the calling thread: what takes its time is reading the weight.
const SHARED: usize = 1 << 18;
/// Columns that are added at a time, of weights with contiguous rows.
const COLUMNS: usize = 128;
/// Columns of a tile that is transposed in registers.
const LANES: usize = TILE_ROWS;

/// `left · right + bias + branch` with the bits of [`Bf16Product`](super::Bf16Product), of which every sum is added in the same order.
/// Only where a product or a sum is subnormal the bits may differ from AMX-BF16 and AVX512-BF16, which take it as zero, or where a
/// product is not finite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinBf16Product<'a> {
    /// `[rows, depth]`, with contiguous rows.
    pub left: Matrix<'a>,
    /// `[depth, cols]`.
    pub right: Matrix<'a, bf16>,
    /// `[cols]`.
    pub bias: Option<&'a [f32]>,
    /// The low-rank part in f32: `[rows, rank]`, and `[rank, cols]` for each group of as many rows.
    pub branch: Option<(Matrix<'a>, &'a [Matrix<'a>])>,
}

impl ThinBf16Product<'_> {
    /// Rows up to which this is the faster way.
    pub const ROWS: usize = 8;

    /// The product, `[rows, cols]`, on all threads if it is large.
    pub fn compute(&self) -> Vec<f32> {
        self.compute_in(Unit::of_this_machine().order())
    }

    /// The same in this order of adding.
    pub(super) fn compute_in(&self, order: Order) -> Vec<f32> {
        let ([rows, depth], [_, cols]) = (self.left.dims(), self.right.dims());
        work::count(rows * depth * cols);
        let left = rounded_columns(self.left);
        let branch = self.branch.map(|(left, right)| grouped_columns(left, right));
        let width = task_width(cols);
        in_blocks_of_columns(
            [rows, cols],
            width,
            rows * depth * cols >= SHARED,
            |first, out| {
                let len = out.len() / rows;
                if let Some(bias) = self.bias {
                    out.chunks_exact_mut(len)
                        .for_each(|out| out.copy_from_slice(&bias[first..][..len]));
                }
                if let Some(branch) = &branch {
                    branch.add(first, out);
                }
                Arch::new().dispatch(AddColumns {
                    order,
                    left: &left,
                    rows,
                    right: self.right,
                    first,
                    out,
                });
            },
        )
    }
}

/// The left side as the units take it: rounded to bf16, and filled up with zeros to whole tiles; column by column.
fn rounded_columns(left: Matrix<'_>) -> Vec<f32> {
    let [rows, depth] = left.dims();
    let mut columns = vec![0.0; depth.next_multiple_of(TILE_DEPTH) * rows];
    for row in 0..rows {
        for (p, x) in left.line(row, 0, depth).iter().enumerate() {
            columns[p * rows + row] = widened(u32::from(x.high()) << 16);
        }
    }
    columns
}

/// Adds `x` times some weights.
#[inline(always)]
fn add_multiple(x: f32, weights: &[bf16], sums: &mut [f32]) {
    for (sum, weight) in sums.iter_mut().zip(weights) {
        *sum += x * widened(u32::from(weight.to_bits()) << 16);
    }
}

/// Neighbours in pairs, the earlier one in the lower half: where that is how they lie, one load.
#[inline(always)]
fn pairs(halves: [u16; TILE_DEPTH]) -> [u32; PAIRS] {
    let mut pairs: [u32; PAIRS] = pulp::cast(halves);
    if cfg!(target_endian = "big") {
        for pair in &mut pairs {
            *pair = pair.rotate_left(16);
        }
    }
    pairs
}

/// A bf16 number in the upper half of a word. One that is subnormal counts as zero.
#[inline(always)]
fn widened(bits: u32) -> f32 {
    f32::from_bits(if bits & 0x7f80_0000 == 0 {
        bits & 0x8000_0000
    } else {
        bits
    })
}

/// Adds some columns of the product to the sums.
struct AddColumns<'a> {
    order: Order,
    /// Of [`rounded_columns`].
    left: &'a [f32],
    rows: usize,
    right: Matrix<'a, bf16>,
    /// The first of the columns.
    first: usize,
    /// For each row its columns.
    out: &'a mut [f32],
}

impl WithSimd for AddColumns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        match (self.right.is_transposed(), self.order) {
            (true, Order::PairByPair) => self.by_tiles::<false>(),
            (true, Order::TileByTile) => self.by_tiles::<true>(),
            (false, Order::PairByPair) => self.by_rows(),
            (false, Order::TileByTile) => self.by_rows_of_tiles(),
        }
    }
}

impl AddColumns<'_> {
    /// With a right side of contiguous rows, some of which are added before a sum goes back to memory.
    #[inline(always)]
    fn by_rows(&mut self) {
        const STEPS: usize = 8;
        let [depth, _] = self.right.dims();
        let whole = depth - depth % STEPS;
        for p in (0..whole).step_by(STEPS) {
            self.add_rows::<STEPS>(p);
        }
        for p in (whole..depth - depth % 2).step_by(2) {
            self.add_rows::<2>(p);
        }
        if depth % 2 == 1 {
            self.add_rows::<1>(depth - 1);
        }
        if !depth.is_multiple_of(TILE_DEPTH) {
            // What fills the units' tiles up: −0 becomes 0.
            self.out.iter_mut().for_each(|sum| *sum += 0.0);
        }
    }

    /// Adds the rows `p..p + STEPS` of the right side, the later one of each pair first.
    #[inline(always)]
    fn add_rows<const STEPS: usize>(&mut self, p: usize) {
        let len = self.out.len() / self.rows;
        let lines: [&[bf16]; STEPS] = std::array::from_fn(|step| self.right.line(p + step, self.first, len));
        for (row, out) in self.out.chunks_exact_mut(len).enumerate() {
            let x: [f32; STEPS] = std::array::from_fn(|step| self.left[(p + step) * self.rows + row]);
            for (col, sum) in out.iter_mut().enumerate() {
                let mut found = *sum;
                for pair in 0..STEPS.div_ceil(2) {
                    for step in [2 * pair + 1, 2 * pair] {
                        if step < STEPS {
                            found += x[step] * widened(u32::from(lines[step][col].to_bits()) << 16);
                        }
                    }
                }
                *sum = found;
            }
        }
    }

    /// With a right side of contiguous rows, tile by tile.
    #[inline(always)]
    fn by_rows_of_tiles(&mut self) {
        let [depth, _] = self.right.dims();
        let whole = depth - depth % TILE_DEPTH;
        for p in (0..whole).step_by(TILE_DEPTH) {
            self.add_tile_of_rows(p, TILE_DEPTH);
        }
        if whole < depth {
            self.add_tile_of_rows(whole, depth - whole);
        }
    }

    /// Adds the rows `p..p + steps` of the right side, a tile at most.
    #[inline(always)]
    fn add_tile_of_rows(&mut self, p: usize, steps: usize) {
        let [depth, _] = self.right.dims();
        let rows = self.rows;
        let len = self.out.len() / rows;
        for col in (0..len).step_by(COLUMNS) {
            let (first, filled) = (self.first + col, COLUMNS.min(len - col));
            for row in 0..rows {
                let mut sums = [[0.0; COLUMNS]; 2];
                for step in 0..steps {
                    let x = self.left[(p + step) * rows + row];
                    let line = self.right.line(p + step, first, filled);
                    if row == 0 && p + TILE_DEPTH + step < depth {
                        prefetch(self.right.line(p + TILE_DEPTH + step, first, filled));
                    }
                    let sums = &mut sums[step % 2];
                    match line.as_array::<COLUMNS>() {
                        Some(line) => add_multiple(x, line, sums),
                        None => add_multiple(x, line, sums),
                    }
                }
                let [earlier, later] = sums;
                let out = &mut self.out[row * len + col..][..filled];
                for (out, (earlier, later)) in out.iter_mut().zip(earlier.iter().zip(&later)) {
                    *out += earlier + later;
                }
            }
        }
    }

    /// With a right side of contiguous columns, which are transposed tile by tile. Sums of several tiles side by side, of as many as
    /// registers hold, do not wait for each other.
    #[inline(always)]
    fn by_tiles<const TILE_BY_TILE: bool>(&mut self) {
        let len = self.out.len() / self.rows;
        let mut col = 0;
        while col < len {
            let many = len - col >= 4 * LANES;
            match (self.rows, many) {
                (1, true) => self.add_tiles::<1, 4, TILE_BY_TILE>(col),
                (1, false) => self.add_tiles::<1, 1, TILE_BY_TILE>(col),
                (2..=4, _) => self.add_tiles::<4, 1, TILE_BY_TILE>(col),
                _ => self.add_tiles::<8, 1, TILE_BY_TILE>(col),
            }
            col += if self.rows == 1 && many { 4 * LANES } else { LANES };
        }
    }

    /// Adds `TILES` tiles' columns from `col` on; of the last one there may be fewer. There are `ROWS` rows at most.
    #[inline(always)]
    fn add_tiles<const ROWS: usize, const TILES: usize, const TILE_BY_TILE: bool>(&mut self, col: usize) {
        let rows = self.rows;
        let len = self.out.len() / rows;
        let filled = |tile: usize| LANES.min(len - col - tile * LANES);
        let mut sums = [[[0.0; LANES]; TILES]; ROWS];
        for (sums, out) in sums.iter_mut().zip(self.out.chunks_exact(len)) {
            for (tile, sums) in sums.iter_mut().enumerate() {
                sums[..filled(tile)].copy_from_slice(&out[col + tile * LANES..][..filled(tile)]);
            }
        }
        for (step, left) in self.left.chunks_exact(TILE_DEPTH * rows).enumerate() {
            let mut tiles = [[[0; LANES]; PAIRS]; TILES];
            for (index, tile) in tiles.iter_mut().enumerate() {
                let first = self.first + col + index * LANES;
                *tile = self.tile(first, filled(index), step * TILE_DEPTH);
            }
            let mut parts = [[[[0.0; LANES]; 2]; TILES]; ROWS];
            for pair in 0..PAIRS {
                let left = &left[2 * pair * rows..][..2 * rows];
                for (row, (sums, parts)) in sums.iter_mut().zip(&mut parts).enumerate() {
                    // Rows that are not there are multiplied by those of another, and not stored.
                    let [x, y] = [0, rows].map(|later| left[later + row.min(rows - 1)]);
                    for ((sums, [earlier, later]), tile) in sums.iter_mut().zip(parts).zip(&tiles) {
                        for (lane, word) in tile[pair].iter().enumerate() {
                            let [x, y] = [x * widened(word << 16), y * widened(word & 0xffff_0000)];
                            if TILE_BY_TILE {
                                earlier[lane] += x;
                                later[lane] += y;
                            } else {
                                sums[lane] = (sums[lane] + y) + x;
                            }
                        }
                    }
                }
            }
            if TILE_BY_TILE {
                let sums = sums.as_flattened_mut().iter_mut();
                for (sums, [earlier, later]) in sums.zip(parts.as_flattened()) {
                    for (sum, (earlier, later)) in sums.iter_mut().zip(earlier.iter().zip(later)) {
                        *sum += earlier + later;
                    }
                }
            }
        }
        for (sums, out) in sums.iter().zip(self.out.chunks_exact_mut(len)) {
            for (tile, sums) in sums.iter().enumerate() {
                out[col + tile * LANES..][..filled(tile)].copy_from_slice(&sums[..filled(tile)]);
            }
        }
    }

    /// From `place` on 32 values of `filled` columns: for each pair its columns.
    #[inline(always)]
    fn tile(&self, col: usize, filled: usize, place: usize) -> [[u32; LANES]; PAIRS] {
        let [depth, _] = self.right.dims();
        let len = TILE_DEPTH.min(depth - place);
        let mut columns = [[0; PAIRS]; LANES];
        for (index, column) in columns.iter_mut().enumerate().take(filled) {
            let line = self.right.line(col + index, place, len).reinterpret_cast();
            *column = if let Some(line) = line.as_array::<TILE_DEPTH>() {
                pairs(*line)
            } else {
                let mut halves = [0; TILE_DEPTH];
                fill_part(&mut halves, line);
                pairs(halves)
            };
        }
        transposed_words(columns)
    }
}
