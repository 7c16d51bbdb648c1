//! Matrix products in f32 with what a LoRA linear adds to them: a bias and a low-rank branch, summed in registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::block::{PanelRows, fill_steps};
use super::chunks::computed_in_chunks;
use super::prefetch::prefetch;
use super::{Matrix, Packed, work};

/// A left side is laid out in the order of reading ([`fill_steps`]) if so many panels read it: rows that lie a multiple of 4 KiB apart push
/// each other out of the first-level cache, and there are fewer registers than row pointers.
const READ_OFTEN: usize = 4;

/// How products are cut.
struct BlockSizes {
    /// Rows whose sums are in registers at a time.
    rows: usize,
    /// Depth of a panel that all rows of a task read before the next panel.
    depth: usize,
    /// Rows of the output that one task computes at most: their left side of this depth stays in the second-level cache.
    task_rows: usize,
}

/// 24 sums; measured with AVX-512.
const WITH_32_REGISTERS: BlockSizes = BlockSizes {
    rows: 12,
    depth: 384,
    task_rows: 256,
};
/// Twelve sums: a processor that starts two a cycle and needs five cycles for each always has the next one.
const WITH_16_REGISTERS: BlockSizes = BlockSizes {
    rows: 6,
    depth: 768,
    task_rows: 64,
};

/// The sizes on this machine.
struct OfThisMachine;

impl WithSimd for OfThisMachine {
    type Output = BlockSizes;

    fn with_simd<S: Simd>(self, _: S) -> BlockSizes {
        if S::REGISTER_COUNT >= 32 {
            WITH_32_REGISTERS
        } else {
            WITH_16_REGISTERS
        }
    }
}

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
    /// The product, `[rows, cols]`, on all threads if it is large.
    pub fn compute(&self) -> Vec<f32> {
        let ([rows, _], [_, cols]) = (self.left.dims(), self.right.dims());
        work::count(self.multiplications());
        let task_rows = self.task_rows();
        computed_in_chunks(rows * cols, task_rows * cols, |task, out| {
            self.write_rows(task * task_rows, out.len() / cols, out, cols);
        })
    }

    /// Writes the product into rows of `out` that are `stride` apart, on all threads if it is large.
    pub fn write(&self, out: &mut [f32], stride: usize) {
        let ([rows, _], [_, cols]) = (self.left.dims(), self.right.dims());
        if rows == 0 || cols == 0 {
            return;
        }
        work::count(self.multiplications());
        let task_rows = self.task_rows();
        if task_rows >= rows {
            self.write_rows(0, rows, out, stride);
            return;
        }
        out.par_chunks_mut(task_rows * stride)
            .enumerate()
            .for_each(|(task, out)| {
                let first = task * task_rows;
                if first < rows {
                    self.write_rows(first, task_rows.min(rows - first), out, stride);
                }
            });
    }

    fn multiplications(&self) -> usize {
        let ([rows, depth], [_, cols]) = (self.left.dims(), self.right.dims());
        let rank = self.branch.map_or(0, |branch| branch.left.dims()[1]);
        rows * (depth + rank) * cols
    }

    /// Rows of each task but the last one: all if the product is small; else as many equal tasks as the threads can share evenly, in
    /// whole blocks of rows if each has some.
    fn task_rows(&self) -> usize {
        let [rows, _] = self.left.dims();
        let threads = rayon::current_num_threads();
        if threads == 1 || self.multiplications() < LARGE {
            return rows;
        }
        let sizes = Arch::new().dispatch(OfThisMachine);
        let rounds = rows.div_ceil(threads * sizes.task_rows);
        let share = rows.div_ceil(threads * rounds);
        share.next_multiple_of(if share < 4 * sizes.rows { 4 } else { sizes.rows })
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
            self.run::<S, { WITH_32_REGISTERS.rows }, { WITH_32_REGISTERS.depth }>(simd);
        } else {
            self.run::<S, { WITH_16_REGISTERS.rows }, { WITH_16_REGISTERS.depth }>(simd);
        }
    }
}

impl<'data> RowsOfProduct<'data> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const DEPTH: usize>(self, simd: S) {
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
        let in_steps = panels >= READ_OFTEN;
        let whole = self.len - self.len % ROWS;
        let mut steps = vec![0.0; if in_steps { whole * DEPTH.min(depth) } else { 0 }];
        for from in (0..depth.max(1)).step_by(DEPTH) {
            let len = DEPTH.min(depth - from);
            if in_steps {
                fill_steps::<ROWS>(left, self.first, from..from + len, &mut steps[..whole * len]);
            }
            let start = (from == 0 && base.is_none()).then_some(padded_bias.as_slice());
            let branch = branch.filter(|_| from + len == depth);
            for panel in 0..panels {
                let mut row = 0;
                let mut group = first_group;
                // The next panel is on its way meanwhile, a piece with each block of rows.
                let next_panel = if panel + 1 < panels {
                    right.panel(panel + 1, from, len)
                } else {
                    &[]
                };
                let mut pieces = next_panel.chunks((next_panel.len() / (self.len / ROWS).max(2)).max(1));
                while row < self.len {
                    let rows = match self.len - row {
                        rest if rest >= ROWS => ROWS,
                        8.. if ROWS > 8 => 8,
                        4.. => 4,
                        _ => 1,
                    };
                    let at = self.first + row;
                    prefetch(pieces.next().unwrap_or_default());
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
                        left,
                        row: at,
                        from,
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
