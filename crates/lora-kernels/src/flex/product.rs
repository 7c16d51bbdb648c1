//! Matrix products in f32 with what a LoRA linear adds to them: a bias and a low-rank branch, summed in registers.

#![expect(
    clippy::inline_always,
    reason = "only inlined code is compiled for the instruction set found at run time"
)]

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Matrix, Packed, work};

/// Depth of the sums that stay in registers at a time: a panel of it (96 KiB at 512 bits) stays in the second-level cache.
const DEPTH: usize = 768;
/// Rows of the output that one task computes at most; with [`DEPTH`] their left side stays in the second-level cache.
const TASK_ROWS: usize = 64;
/// A deep left side is copied into place if so many panels read it: rows that lie a multiple of 4 KiB apart would push each
/// other out of the first-level cache.
const GATHER_PANELS: usize = 4;
/// Distance of the copied rows: no power of two, for the same reason.
const GATHER_STRIDE: usize = DEPTH + 16;
/// Products of fewer multiplications run on the calling thread.
pub(super) const LARGE: usize = 1 << 19;

/// `left · right + bias + branch`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product<'a> {
    /// `[rows, depth]`.
    pub left: Matrix<'a>,
    /// `[depth, cols]`.
    pub right: &'a Packed,
    /// `[cols]`.
    pub bias: Option<&'a [f32]>,
    /// `[rows, cols]` in the place of a bias: the sums go on from here.
    pub base: Option<&'a [f32]>,
    /// The low-rank part.
    pub branch: Option<Branch<'a>>,
}

/// A second product of small depth, with another right side for each group of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Branch<'a> {
    /// `[rows, rank]`.
    pub left: Matrix<'a>,
    /// One `[rank, cols]` for each group.
    pub right: &'a [Packed],
    /// Rows of each group, which are contiguous.
    pub lengths: &'a [usize],
}

impl Branch<'_> {
    /// The group of row `row`, and the first row after it, from those of an earlier row.
    pub fn group_of(&self, row: usize, (mut group, mut end): (usize, usize)) -> (usize, usize) {
        while row >= end {
            group += 1;
            end += self.lengths[group];
        }
        (group, end)
    }
}

impl Product<'_> {
    /// Writes the product into rows of `out` that are `stride` apart, on all threads if it is large.
    pub fn write(&self, out: &mut [f32], stride: usize) {
        let [rows, depth] = self.left.dims();
        let [_, cols] = self.right.dims();
        if rows == 0 || cols == 0 {
            return;
        }
        let rank = self.branch.map_or(0, |branch| branch.left.dims()[1]);
        work::count(rows * (depth + rank) * cols);
        let threads = rayon::current_num_threads();
        if threads == 1 || rows * (depth + rank) * cols < LARGE {
            self.write_rows(0, rows, out, stride);
            return;
        }
        // As many equal tasks as the threads can share evenly, in whole blocks of rows.
        let rounds = rows.div_ceil(threads * TASK_ROWS);
        let task_rows = rows.div_ceil(threads * rounds).next_multiple_of(8);
        out.par_chunks_mut(task_rows * stride)
            .enumerate()
            .for_each(|(task, out)| {
                let first = task * task_rows;
                if first < rows {
                    self.write_rows(first, task_rows.min(rows - first), out, stride);
                }
            });
    }

    fn write_rows(&self, first: usize, len: usize, out: &mut [f32], stride: usize) {
        Arch::new().dispatch(RowsOfProduct {
            product: self,
            first,
            len,
            out,
            stride,
        });
    }
}

/// Rows `first..first + len` of a product, with the vectors of one instruction set.
struct RowsOfProduct<'a> {
    product: &'a Product<'a>,
    first: usize,
    len: usize,
    out: &'a mut [f32],
    stride: usize,
}

impl WithSimd for RowsOfProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, 8>(simd);
        } else {
            self.run::<S, 4>(simd);
        }
    }
}

impl<'data> RowsOfProduct<'data> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Product {
            left,
            right,
            bias,
            base,
            branch,
        } = *self.product;
        let [_, depth] = left.dims();
        let [_, cols] = right.dims();
        let width = right.width();
        let first_group = branch.map(|branch| branch.group_of(self.first, (0, branch.lengths[0])));
        let mut padded_bias = vec![0.0; cols.next_multiple_of(width)];
        if let Some(bias) = bias {
            padded_bias[..cols].copy_from_slice(bias);
        }
        if let Some(base) = base {
            let rows = base[self.first * cols..].chunks_exact(cols);
            for (out, base) in self.out.chunks_mut(self.stride).zip(rows).take(self.len) {
                out[..cols].copy_from_slice(base);
            }
        }
        let panels = cols.div_ceil(width);
        let gathers = !left.is_transposed() && depth > DEPTH && panels >= GATHER_PANELS;
        let mut gathered = vec![0.0; if gathers { self.len * GATHER_STRIDE } else { 0 }];
        for from in (0..depth.max(1)).step_by(DEPTH) {
            let len = DEPTH.min(depth - from);
            if gathers {
                for (row, gathered) in gathered.chunks_exact_mut(GATHER_STRIDE).enumerate() {
                    gathered[..len].copy_from_slice(left.line(self.first + row, from, len));
                }
            }
            // The left side of these rows and this depth, and the place in it of the task's first row and depth.
            let (near, near_row, near_from) = if gathers {
                (Matrix::new(&gathered, [self.len, len], GATHER_STRIDE), 0, 0)
            } else {
                (left, self.first, from)
            };
            let start = (from == 0 && base.is_none()).then_some(padded_bias.as_slice());
            let branch = branch.filter(|_| from + len == depth);
            for panel in 0..panels {
                let mut row = 0;
                let mut group = first_group;
                while row < self.len {
                    let rows = match self.len - row {
                        rest if rest >= ROWS => ROWS,
                        4.. => 4,
                        _ => 1,
                    };
                    let at = self.first + row;
                    let part = |at: usize, group: usize, branch: Branch<'data>| {
                        let right = &branch.right[group];
                        (branch.left, at, right.panel(panel, 0, right.dims()[0]))
                    };
                    group = branch
                        .zip(group)
                        .map(|(branch, group)| branch.group_of(at, group));
                    // Groups that meet within a block have their branch row by row.
                    let is_shared = group.is_some_and(|(_, end)| end < at + rows);
                    let block = PanelRows {
                        left: near,
                        row: near_row + row,
                        from: near_from,
                        right: right.panel(panel, from, len),
                        branch: branch
                            .zip(group)
                            .filter(|_| !is_shared)
                            .map(|(branch, (group, _))| part(at, group, branch)),
                        start: start.map(|bias| &bias[panel * width..][..width]),
                    };
                    let filled = width.min(cols - panel * width);
                    let out = &mut self.out[row * self.stride + panel * width..];
                    // A narrow right side, such as a low-rank factor, fills only one of the two vectors.
                    match (rows, filled <= S::F32_LANES) {
                        (1, false) => block.compute::<S, 1, 2>(simd, out, self.stride, filled),
                        (1, true) => block.compute::<S, 1, 1>(simd, out, self.stride, filled),
                        (4, false) => block.compute::<S, 4, 2>(simd, out, self.stride, filled),
                        (4, true) => block.compute::<S, 4, 1>(simd, out, self.stride, filled),
                        (_, false) => block.compute::<S, ROWS, 2>(simd, out, self.stride, filled),
                        (_, true) => block.compute::<S, ROWS, 1>(simd, out, self.stride, filled),
                    }
                    if let Some((branch, mut group)) = branch.zip(group).filter(|_| is_shared) {
                        for row in 0..rows {
                            group = branch.group_of(at + row, group);
                            let block = PanelRows {
                                right: &[],
                                branch: Some(part(at + row, group.0, branch)),
                                start: None,
                                row: block.row + row,
                                ..block
                            };
                            let out = &mut out[row * self.stride..];
                            if filled <= S::F32_LANES {
                                block.compute::<S, 1, 1>(simd, out, self.stride, filled);
                            } else {
                                block.compute::<S, 1, 2>(simd, out, self.stride, filled);
                            }
                        }
                    }
                    row += rows;
                }
            }
        }
    }
}

/// A few rows of one panel of the output.
#[derive(Clone, Copy)]
pub(super) struct PanelRows<'a> {
    pub left: Matrix<'a>,
    /// The first row of the block in `left`.
    pub row: usize,
    /// The first column of `left` that counts.
    pub from: usize,
    /// The rows of the right side that belong to these columns, of one panel.
    pub right: &'a [f32],
    /// The same of the branch: left side, first row in it, panel.
    pub branch: Option<(Matrix<'a>, usize, &'a [f32])>,
    /// What the sums start from; what stands in the output, if `None`.
    pub start: Option<&'a [f32]>,
}

impl PanelRows<'_> {
    #[inline(always)]
    pub fn compute<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        out: &mut [f32],
        stride: usize,
        filled: usize,
    ) {
        let lanes = S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        if let Some(start) = self.start {
            let (start, _) = S::as_simd_f32s(start);
            for sums in &mut sums {
                sums.copy_from_slice(&start[..VECTORS]);
            }
        } else if filled == VECTORS * lanes {
            for (row, sums) in sums.iter_mut().enumerate() {
                let (out, _) = S::as_simd_f32s(&out[row * stride..]);
                sums.copy_from_slice(&out[..VECTORS]);
            }
        } else {
            for (row, sums) in sums.iter_mut().enumerate() {
                let parts = out[row * stride..][..filled].chunks(lanes);
                for (sum, part) in sums.iter_mut().zip(parts) {
                    *sum = simd.partial_load_f32s(part);
                }
            }
        }
        sums = accumulate::<S, ROWS, VECTORS>(simd, sums, self.left, self.row, self.from, self.right);
        if let Some((left, row, right)) = self.branch {
            sums = accumulate::<S, ROWS, VECTORS>(simd, sums, left, row, 0, right);
        }
        for (row, sums) in sums.iter().enumerate() {
            let out = &mut out[row * stride..][..filled];
            if filled == VECTORS * lanes {
                let (out, _) = S::as_mut_simd_f32s(out);
                out.copy_from_slice(sums);
            } else {
                for (sum, part) in sums.iter().zip(out.chunks_mut(lanes)) {
                    simd.partial_store_f32s(part, *sum);
                }
            }
        }
    }
}

/// Adds `left[row.., from..] · right` to the sums, where `right` holds two vectors for each step of the depth.
#[inline(always)]
fn accumulate<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    mut sums: [[S::f32s; VECTORS]; ROWS],
    left: Matrix<'_>,
    row: usize,
    from: usize,
    right: &[f32],
) -> [[S::f32s; VECTORS]; ROWS] {
    let (right, _) = S::as_simd_f32s(right);
    let (right, _) = right.as_chunks::<2>();
    let depth = right.len();
    if left.is_transposed() {
        for (p, right) in right.iter().enumerate() {
            let left = left.line(from + p, row, ROWS);
            for r in 0..ROWS {
                let x = simd.splat_f32s(left[r]);
                for v in 0..VECTORS {
                    sums[r][v] = simd.mul_add_f32s(x, right[v], sums[r][v]);
                }
            }
        }
    } else {
        let mut lines = [&[] as &[f32]; ROWS];
        for (r, line) in lines.iter_mut().enumerate() {
            *line = left.line(row + r, from, depth);
        }
        let lines = lines.map(|line| &line[..depth]);
        for p in 0..depth {
            let right = &right[p];
            for r in 0..ROWS {
                let x = simd.splat_f32s(lines[r][p]);
                for v in 0..VECTORS {
                    sums[r][v] = simd.mul_add_f32s(x, right[v], sums[r][v]);
                }
            }
        }
    }
    sums
}
