//! Matrix products with a side of few rows or columns, as sums of outer products: nothing is packed.

#![expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::product::LARGE;
use super::{Matrix, for_rows, sum_of, work};

/// A product whose right side is read in place: for a left side of few rows, to which packing would cost more than it
/// brings. With a right side of contiguous rows it adds the same numbers in the same order as [`Product`](super::Product), so
/// which of them is taken changes no bit; with one of contiguous columns each number is a dot product, summed in lanes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThinProduct<'a> {
    /// `[rows, depth]`.
    pub left: Matrix<'a>,
    /// `[depth, cols]`.
    pub right: Matrix<'a>,
    /// `[cols]`.
    pub bias: Option<&'a [f32]>,
    /// The low-rank part: `[rows, rank]`, and `[rank, cols]` for each group of rows, of which the same side is contiguous.
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
        if self.right.is_transposed() {
            self.by_dot_products()
        } else {
            self.by_outer_products()
        }
    }

    fn by_dot_products(&self) -> Vec<f32> {
        let [rows, depth] = self.left.dims();
        let [_, cols] = self.right.dims();
        let mut columns = vec![0.0; cols * rows];
        for_rows(
            &mut columns,
            rows,
            (LARGE / (rows * depth).max(1)).max(1),
            #[inline(always)]
            |column, col| {
                let right = self.right.line(col, 0, depth);
                for (row, out) in column.iter_mut().enumerate() {
                    *out = dot(self.left.line(row, 0, depth), right);
                    if let Some(bias) = self.bias {
                        *out += bias[col];
                    }
                    if let Some((left, right)) = self.branch {
                        let [_, rank] = left.dims();
                        let right = right[row / (rows / right.len())].line(col, 0, rank);
                        *out += dot(left.line(row, 0, rank), right);
                    }
                }
            },
        );
        Matrix::new(&columns, [cols, rows], rows).flipped()
    }

    fn by_outer_products(&self) -> Vec<f32> {
        let [rows, depth] = self.left.dims();
        let [_, cols] = self.right.dims();
        // Wide enough that memory is read in long runs, and cut for all threads.
        let width = cols.div_ceil(rayon::current_num_threads()).clamp(64, 512);
        let left = self.left.flipped();
        let left = Matrix::new(&left, [depth, rows], rows);
        let branch = self.branch.map(|(left, right)| {
            let group_rows = rows / right.len();
            let parts = right
                .iter()
                .enumerate()
                .map(|(group, right)| (left.rows(group * group_rows, group_rows).flipped(), *right));
            (group_rows, parts.collect::<Vec<_>>())
        });
        in_blocks_of_columns([rows, cols], width, rows * depth * cols >= LARGE, |first, out| {
            let len = out.len() / rows;
            if let Some(bias) = self.bias {
                out.chunks_exact_mut(len)
                    .for_each(|out| out.copy_from_slice(&bias[first..][..len]));
            }
            add_outer_products(left, self.right, first, out);
            let Some((group_rows, parts)) = &branch else {
                return;
            };
            for (out, (left, right)) in out.chunks_exact_mut(group_rows * len).zip(parts) {
                let [rank, _] = right.dims();
                let left = Matrix::new(left, [rank, *group_rows], *group_rows);
                add_outer_products(left, *right, first, out);
            }
        })
    }
}

#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    sum_of(
        x,
        y,
        #[inline(always)]
        |x, y| x * y,
    )
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

/// A `[rows, cols]` matrix of which `task` adds `width` columns at a time, on all threads if there is much to do. It gets
/// the first column and zeros for all rows of the block.
fn in_blocks_of_columns(
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

/// Adds the columns of `leftᵀ · right` from `first` on, as many as fill the rows of `out`.
fn add_outer_products(left: Matrix<'_>, right: Matrix<'_>, first: usize, out: &mut [f32]) {
    Arch::new().dispatch(OuterProducts {
        left,
        right,
        first,
        out,
    });
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
}
