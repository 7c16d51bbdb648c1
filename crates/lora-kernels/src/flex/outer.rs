//! Matrix products with a side of few rows or columns, as sums of outer products: nothing is packed.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::LARGE;
use super::tile::{TILE, transposed_words};
use super::{Matrix, work};

/// A product whose right side is read in place: for a left side of few rows, to which packing would cost more than it
/// brings. It adds the same values in the same order as [`Product`](super::Product), so which of them is taken changes no bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinProduct<'a> {
    /// `[rows, depth]`.
    pub left: Matrix<'a>,
    /// `[depth, cols]`.
    pub right: Matrix<'a>,
    /// `[cols]`.
    pub bias: Option<&'a [f32]>,
    /// The low-rank part: `[rows, rank]`, and `[rank, cols]` for each group of as many rows.
    pub branch: Option<(Matrix<'a>, &'a [Matrix<'a>])>,
}

impl ThinProduct<'_> {
    /// Rows up to which this is the faster way.
    pub const ROWS: usize = 8;

    /// The product, `[rows, cols]`.
    pub fn compute(&self) -> Vec<f32> {
        let ([rows, depth], [_, cols]) = (self.left.dims(), self.right.dims());
        let rank = self.branch.map_or(0, |(left, _)| left.dims()[1]);
        work::count(rows * (depth + rank) * cols);
        let width = task_width(cols);
        let left = self.left.flipped();
        let left = Matrix::new(&left, [depth, rows], rows);
        let branch = self.branch.map(|(left, right)| grouped_columns(left, right));
        in_blocks_of_columns([rows, cols], width, rows * depth * cols >= LARGE, |first, out| {
            let len = out.len() / rows;
            if let Some(bias) = self.bias {
                out.chunks_exact_mut(len)
                    .for_each(|out| out.copy_from_slice(&bias[first..][..len]));
            }
            add_outer_products(left, self.right, first, out);
            if let Some(branch) = &branch {
                branch.add(first, out);
            }
        })
    }
}

/// The left side of a branch column by column, and its right side, for each group of as many rows.
pub(super) struct GroupedColumns<'a> {
    group_rows: usize,
    parts: Vec<(Vec<f32>, Matrix<'a>)>,
}

/// The sides of a branch: `[rows, rank]`, and `[rank, cols]` for each group.
pub(super) fn grouped_columns<'a>(left: Matrix<'_>, right: &[Matrix<'a>]) -> GroupedColumns<'a> {
    let [rows, _] = left.dims();
    let group_rows = rows / right.len();
    let part = |(group, right): (usize, &Matrix<'a>)| {
        let left = left.rows(group * group_rows, group_rows).flipped();
        (left, *right)
    };
    GroupedColumns {
        group_rows,
        parts: right.iter().enumerate().map(part).collect(),
    }
}

impl GroupedColumns<'_> {
    /// Adds the columns from `first` on of the branch, as many as fill the rows of `out`.
    pub fn add(&self, first: usize, out: &mut [f32]) {
        let groups = self.parts.len();
        let part_len = out.len() / groups;
        for (out, (left, right)) in out.chunks_exact_mut(part_len).zip(&self.parts) {
            let [rank, _] = right.dims();
            add_outer_products(
                Matrix::new(left, [rank, self.group_rows], self.group_rows),
                *right,
                first,
                out,
            );
        }
    }
}

/// `leftᵀ · right` of two matrices with contiguous rows, `[left columns, right columns]`: a sum of outer products,
/// for a left side of few columns, such as a gradient of a low-rank factor.
pub(crate) fn transposed_product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    /// Columns of the right side that one task takes.
    const TASK_COLS: usize = 128;
    let [depth, rows] = left.dims();
    let [_, cols] = right.dims();
    work::count(rows * depth * cols);
    in_blocks_of_columns(
        [rows, cols],
        TASK_COLS,
        rows * depth * cols >= LARGE,
        |first, out| {
            add_outer_products(left, right, first, out);
        },
    )
}

/// Columns of a task: wide enough that memory is read in long runs, and shared out evenly to all threads.
pub(super) fn task_width(cols: usize) -> usize {
    /// Sums of eight rows stay in the first-level cache.
    const WIDEST: usize = 1024;
    let share = cols.div_ceil(rayon::current_num_threads());
    share
        .div_ceil(share.div_ceil(WIDEST).max(1))
        .next_multiple_of(TILE)
        .max(4 * TILE)
}

/// A `[rows, cols]` matrix of which `task` adds `width` columns at a time, on all threads if there is much to do. It gets
/// the first column and zeros for all rows of the block.
pub(super) fn in_blocks_of_columns(
    [rows, cols]: [usize; 2],
    width: usize,
    parallel: bool,
    task: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    if rows == 1 && parallel {
        out.par_chunks_mut(width)
            .enumerate()
            .for_each(|(block, out)| task(block * width, out));
        return out;
    }
    let block = |first: usize| {
        let mut block = vec![0.0; rows * width.min(cols - first)];
        task(first, &mut block);
        (first, block)
    };
    let starts: Vec<usize> = if rows == 0 {
        Vec::new()
    } else {
        (0..cols).step_by(width).collect()
    };
    let blocks: Vec<(usize, Vec<f32>)> = if parallel {
        starts.into_par_iter().map(block).collect()
    } else {
        starts.into_iter().map(block).collect()
    };
    for (first, block) in blocks {
        let len = width.min(cols - first);
        for (row, block) in block.chunks_exact(len).enumerate() {
            out[row * cols + first..][..len].copy_from_slice(block);
        }
    }
    out
}

/// Adds the columns of `leftᵀ · right` from `first` on, as many as fill the rows of `out`, in the order of the depth.
pub(super) fn add_outer_products(left: Matrix<'_>, right: Matrix<'_>, first: usize, out: &mut [f32]) {
    Arch::new().dispatch(OuterProducts {
        left,
        right,
        first,
        out,
    });
}

/// Fills the beginning of a line. Not inlined: the compiler would take whole lines for parts of unknown length.
#[inline(never)]
pub(super) fn fill_part<T: Copy>(line: &mut [T], part: &[T]) {
    line[..part.len()].copy_from_slice(part);
}

/// See [`add_outer_products`].
struct OuterProducts<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for OuterProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        /// Outer products that are added before a sum goes back to memory.
        const STEPS: usize = 8;
        if self.right.is_transposed() {
            return self.add_by_tiles(simd);
        }
        let [depth, _] = self.left.dims();
        let whole = depth - depth % STEPS;
        for p in (0..whole).step_by(STEPS) {
            self.add::<S, STEPS>(simd, p);
        }
        for p in whole..depth {
            self.add::<S, 1>(simd, p);
        }
    }
}

impl OuterProducts<'_> {
    /// Adds the outer products `p..p + STEPS`, in this order.
    #[inline(always)]
    fn add<S: Simd, const STEPS: usize>(&mut self, simd: S, p: usize) {
        let [_, rows] = self.left.dims();
        let len = self.out.len() / rows;
        let lines: [&[f32]; STEPS] = std::array::from_fn(|step| self.right.line(p + step, self.first, len));
        let vectors = lines.map(|line| S::as_simd_f32s(line).0);
        let rests = lines.map(|line| S::as_simd_f32s(line).1);
        let lefts: [&[f32]; STEPS] = std::array::from_fn(|step| self.left.line(p + step, 0, rows));
        for (row, out) in self.out.chunks_exact_mut(len).enumerate() {
            let factors = lefts.map(|left| simd.splat_f32s(left[row]));
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            let vectors = vectors.map(|vectors| &vectors[..out.len()]);
            for (index, out) in out.iter_mut().enumerate() {
                for step in 0..STEPS {
                    *out = simd.mul_add_f32s(factors[step], vectors[step][index], *out);
                }
            }
            if !out_rest.is_empty() {
                let mut sum = simd.partial_load_f32s(out_rest);
                for step in 0..STEPS {
                    sum = simd.mul_add_f32s(factors[step], simd.partial_load_f32s(rests[step]), sum);
                }
                simd.partial_store_f32s(out_rest, sum);
            }
        }
    }

    /// With a right side of contiguous columns, which are transposed tile by tile.
    #[inline(always)]
    fn add_by_tiles<S: Simd>(&mut self, simd: S) {
        let [depth, rows] = self.left.dims();
        let len = self.out.len() / rows;
        for col in (0..len).step_by(TILE) {
            let filled = TILE.min(len - col);
            for from in (0..depth).step_by(TILE) {
                let steps = TILE.min(depth - from);
                let mut columns = [[0; TILE]; TILE];
                for (index, column) in columns.iter_mut().enumerate().take(filled) {
                    let line = self.right.line(self.first + col + index, from, steps);
                    *column = if let Some(line) = line.as_array::<TILE>() {
                        pulp::cast(*line)
                    } else {
                        let mut numbers = [0.0_f32; TILE];
                        fill_part(&mut numbers, line);
                        pulp::cast(numbers)
                    };
                }
                let tile = transposed_words(columns);
                for (row, out) in self.out.chunks_exact_mut(len).enumerate() {
                    let out = &mut out[col..col + filled];
                    let mut sums = [0.0; TILE];
                    sums[..filled].copy_from_slice(out);
                    let (vectors, _) = S::as_mut_simd_f32s(&mut sums);
                    for (step, right) in tile.iter().enumerate().take(steps) {
                        let x = simd.splat_f32s(self.left.line(from + step, row, 1)[0]);
                        let right: [f32; TILE] = pulp::cast(*right);
                        let (right, _) = S::as_simd_f32s(&right);
                        for (sum, right) in vectors.iter_mut().zip(right) {
                            *sum = simd.mul_add_f32s(x, *right, *sum);
                        }
                    }
                    out.copy_from_slice(&sums[..filled]);
                }
            }
        }
    }
}
