//! Matrix products in f32 with what a LoRA linear adds to them: a bias and a low-rank branch, summed in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::block::{PanelRows, fill_steps};
use super::{Matrix, Packed, work};

/// Depth of the sums that stay in registers at a time: a panel of it (96 KiB at 512 bits) stays in the second-level cache.
const DEPTH: usize = 768;
/// Rows of the output that one task computes at most; with [`DEPTH`] their left side stays in the second-level cache.
const TASK_ROWS: usize = 64;
/// A left side is copied into place if so many panels read it. With 32 registers only a deep one: its rows lie a multiple of 4 KiB apart
/// and would push each other out of the first-level cache. With 16 the sums leave none for the rows' places, so each block of rows is
/// laid out in the order of reading ([`fill_steps`]).
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
            // Twelve sums: a processor that starts two a cycle and needs five cycles for each always has the next one.
            self.run::<S, 6>(simd);
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
        let mut padded_bias = bias.map_or_else(Vec::new, <[f32]>::to_vec);
        padded_bias.resize(cols.next_multiple_of(width), 0.0);
        if let Some(base) = base {
            let rows = base[self.first * cols..].chunks_exact(cols);
            for (out, base) in self.out.chunks_mut(self.stride).zip(rows).take(self.len) {
                out[..cols].copy_from_slice(base);
            }
        }
        let panels = cols.div_ceil(width);
        let is_read_often = panels >= GATHER_PANELS;
        let in_steps = is_read_often && S::REGISTER_COUNT < 32;
        let gathers = is_read_often && !in_steps && !left.is_transposed() && depth > DEPTH;
        let mut gathered = vec![0.0; if gathers { self.len * GATHER_STRIDE } else { 0 }];
        let whole = self.len - self.len % ROWS;
        let mut steps = vec![0.0; if in_steps { whole * DEPTH.min(depth) } else { 0 }];
        for from in (0..depth.max(1)).step_by(DEPTH) {
            let len = DEPTH.min(depth - from);
            if gathers {
                for (row, gathered) in gathered.chunks_exact_mut(GATHER_STRIDE).enumerate() {
                    gathered[..len].copy_from_slice(left.line(self.first + row, from, len));
                }
            }
            if in_steps {
                fill_steps::<ROWS>(left, self.first, from..from + len, &mut steps[..whole * len]);
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
                        steps: if in_steps && rows == ROWS {
                            &steps[row * len..][..ROWS * len]
                        } else {
                            &[]
                        },
                        right: right.panel(panel, from, len),
                        branch: branch
                            .zip(group)
                            .filter(|_| !is_shared)
                            .map(|(branch, (group, _))| part(at, group, branch)),
                        start: start.map(|bias| &bias[panel * width..][..width]),
                    };
                    let filled = width.min(cols - panel * width);
                    let out = &mut self.out[row * self.stride + panel * width..];
                    block.compute_rows::<S, ROWS>(simd, rows, out, self.stride, filled);
                    if let Some((branch, mut group)) = branch.zip(group).filter(|_| is_shared) {
                        for row in 0..rows {
                            group = branch.group_of(at + row, group);
                            let block = PanelRows {
                                right: &[],
                                steps: &[],
                                branch: Some(part(at + row, group.0, branch)),
                                start: None,
                                row: block.row + row,
                                ..block
                            };
                            let out = &mut out[row * self.stride..];
                            block.compute_rows::<S, ROWS>(simd, 1, out, self.stride, filled);
                        }
                    }
                    row += rows;
                }
            }
        }
    }
}
