//! Matrix products in bf16 with sums in f32, and what a LoRA linear adds to them in f32.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::block::PanelRows;
use super::super::chunks::computed_in_chunks;
use super::super::prefetch::prefetch;
use super::super::product::LARGE;
use super::super::{Branch, Matrix, panel_width, work};
use super::buffer::{Buffer, KEPT};
use super::tiles::{COLS, LeftTiles, ROWS, RightSide, RightTiles, SumTile, Terms};
use super::unit::Unit;

/// Rows that are multiplied together: their left tiles stay in the second-level cache, unless they are very deep.
const TOGETHER: usize = 256;
/// Rows for each thread from which on threads share out the rows, and otherwise the columns.
const MANY_ROWS: usize = 128;
/// Panels of the right side whose sums are collected at a time, in the second-level cache.
const PANELS: usize = 4;
/// Tiles of a panel that are multiplied before the next panel's: they stay in the first-level cache.
const PANEL_TILES: usize = 8;

/// `left · right + bias + branch`, where the values of both sides are taken as sums of bf16 values.
///
/// The bits of a row depend on this row alone: not on other rows, nor on the number of threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bf16Product<'a> {
    /// `[rows, depth]`, with contiguous rows.
    pub left: Matrix<'a>,
    /// `[depth, cols]`.
    pub right: RightSide<'a>,
    pub terms: Terms,
    /// `[cols]`.
    pub bias: Option<&'a [f32]>,
    /// The low-rank part, in f32.
    pub branch: Option<Branch<'a>>,
}

impl Bf16Product<'_> {
    /// The product, `[rows, cols]`, on all threads if it is large.
    ///
    /// # Panics
    ///
    /// Panics if the sides do not fit each other.
    pub fn compute(&self) -> Vec<f32> {
        self.compute_by(Unit::of_this_machine())
    }

    /// The same by this unit.
    pub(super) fn compute_by(&self, unit: Unit) -> Vec<f32> {
        let ([rows, depth], [right_depth, cols]) = (self.left.dims(), self.right.dims());
        assert_eq!(depth, right_depth, "the sides do not fit each other");
        if rows == 0 || cols == 0 {
            return Vec::new();
        }
        work::count(rows * depth * cols);
        let threads = rayon::current_num_threads();
        let parallel = threads > 1 && rows * depth * cols >= LARGE;
        let threads = if parallel { threads } else { 1 };
        let mut padded_bias = vec![0.0; cols.next_multiple_of(COLS)];
        if let Some(bias) = self.bias {
            padded_bias[..cols].copy_from_slice(bias);
        }
        let sums = Sums {
            product: self,
            unit,
            bias: &padded_bias,
        };
        if rows >= threads * MANY_ROWS && RightTiles::bytes(self.right, self.terms) <= KEPT {
            sums.by_rows(threads)
        } else {
            sums.by_columns(threads)
        }
    }
}

/// A product, and what all its parts begin with.
#[derive(Clone, Copy)]
struct Sums<'a> {
    product: &'a Bf16Product<'a>,
    unit: Unit,
    /// Of all columns, and zeros.
    bias: &'a [f32],
}

impl Sums<'_> {
    /// The right side is packed once, and the left one by those who multiply it.
    fn by_rows(self, threads: usize) -> Vec<f32> {
        let Bf16Product {
            left, right, terms, ..
        } = *self.product;
        let ([rows, _], [_, cols]) = (left.dims(), right.dims());
        let right = RightTiles::new(right, 0..cols.div_ceil(COLS), terms, threads > 1);
        let rounds = rows.div_ceil(threads * TOGETHER);
        let task_rows = if threads > 1 {
            rows.div_ceil(threads * rounds).next_multiple_of(ROWS)
        } else {
            rows
        };
        computed_in_chunks(rows * cols, task_rows * cols, |task, out| {
            for (piece, out) in out.chunks_mut(TOGETHER * cols).enumerate() {
                let first = task * task_rows + piece * TOGETHER;
                let left = LeftTiles::new(left, &(first..first + out.len() / cols), terms, false);
                let out = out.chunks_exact_mut(cols).collect();
                self.write(&left, &right, first, out);
            }
        })
    }

    /// The left side is packed once, and the right one by those who multiply it, some panels at a time.
    fn by_columns(self, threads: usize) -> Vec<f32> {
        let Bf16Product {
            left, right, terms, ..
        } = *self.product;
        let ([rows, _], [_, cols]) = (left.dims(), right.dims());
        let left = LeftTiles::new(left, &(0..rows), terms, threads > 1);
        let task_panels = cols.div_ceil(COLS).div_ceil(2 * threads).clamp(1, PANELS);
        let mut out = vec![0.0; rows * cols];
        let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
        tasks.resize_with(cols.div_ceil(task_panels * COLS), Vec::new);
        for row in out.chunks_exact_mut(cols) {
            for (task, part) in tasks.iter_mut().zip(row.chunks_mut(task_panels * COLS)) {
                task.push(part);
            }
        }
        let write = |(task, mut out): (usize, Vec<&mut [f32]>)| {
            let panels = out[0].len().div_ceil(COLS);
            let first = task * task_panels;
            let right = RightTiles::new(right, first..first + panels, terms, false);
            let mut row = 0;
            while !out.is_empty() {
                let rest = out.split_off(TOGETHER.min(out.len()));
                let len = out.len();
                self.write(&left, &right, row, std::mem::replace(&mut out, rest));
                row += len;
            }
        };
        if threads > 1 {
            tasks.into_par_iter().enumerate().for_each(write);
        } else {
            tasks.into_iter().enumerate().for_each(write);
        }
        out
    }

    /// Multiplies the rows from `row` on, which begins a block of the left tiles, by all panels of the right tiles; of each row of the
    /// output their columns.
    fn write(self, left: &LeftTiles, right: &RightTiles, row: usize, out: Vec<&mut [f32]>) {
        Arch::new().dispatch(Part {
            sums: self,
            left,
            right,
            row,
            out,
        });
    }
}

/// Some rows and columns of the output.
struct Part<'a, 'out> {
    sums: Sums<'a>,
    left: &'a LeftTiles,
    right: &'a RightTiles,
    /// The first row.
    row: usize,
    /// The columns of each row.
    out: Vec<&'out mut [f32]>,
}

impl WithSimd for Part<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (left, right) = (self.left, self.right);
        let terms = self.sums.product.terms;
        let steps = left.steps();
        let at_a_time = PANEL_TILES / terms.count();
        let blocks = self.out.len().div_ceil(ROWS);
        let panels = right.panels();
        let mut sums = Buffer::sums(blocks * PANELS);
        let unit = self.sums.unit.ready();
        for first in panels.clone().step_by(PANELS) {
            let group = first..panels.end.min(first + PANELS);
            for (sums, panel) in sums.chunks_exact_mut(blocks).zip(group.clone()) {
                for (block, sums) in sums.iter_mut().enumerate() {
                    self.start(simd, block * ROWS, panel, sums);
                }
            }
            for from in (0..steps).step_by(at_a_time) {
                let len = at_a_time.min(steps - from);
                for (sums, panel) in sums.chunks_exact_mut(blocks).zip(group.clone()) {
                    // A matrix unit is so fast that it would wait for the tiles that come next.
                    let next = if panel + 1 < group.end {
                        right.panel(panel + 1, from, len)
                    } else if from + len < steps {
                        right.panel(group.start, from + len, at_a_time.min(steps - from - len))
                    } else if group.end < panels.end {
                        right.panel(group.end, 0, at_a_time.min(steps))
                    } else {
                        &[]
                    };
                    let mut pieces = next.chunks(next.len().div_ceil(blocks.max(2)).max(1));
                    let tiles = right.panel(panel, from, len);
                    for (block, sums) in sums.iter_mut().enumerate() {
                        let rows = ROWS.min(self.out.len() - block * ROWS);
                        prefetch(pieces.next().unwrap_or_default());
                        let left = left.block(self.row + block * ROWS, from, len);
                        unit.multiply(sums, rows, left, tiles, terms);
                    }
                }
            }
            for (sums, panel) in sums.chunks_exact(blocks).zip(group) {
                for (block, sums) in sums.iter().enumerate() {
                    self.finish(block * ROWS, panel, sums);
                }
            }
        }
    }
}

impl Part<'_, '_> {
    /// The sums of a block of rows and a panel, into the output.
    #[inline(always)]
    fn finish(&mut self, first: usize, panel: usize, sums: &SumTile) {
        for (out, sums) in self.out[first..].iter_mut().zip(&sums.0) {
            let out = &mut out[(panel - self.right.panels().start) * COLS..];
            if let Some((out, _)) = out.split_first_chunk_mut() {
                *out = *sums;
            } else {
                out.copy_from_slice(&sums[..out.len()]);
            }
        }
    }

    /// Bias and branch of some rows of a panel.
    #[inline(always)]
    fn start<S: Simd>(&self, simd: S, first: usize, panel: usize, sums: &mut SumTile) {
        let rows = ROWS.min(self.out.len() - first);
        let bias = &self.sums.bias[panel * COLS..][..COLS];
        let Some(branch) = self.sums.product.branch else {
            for sums in &mut sums.0[..rows] {
                sums.copy_from_slice(bias);
            }
            return;
        };
        let [_, rank] = branch.left.dims();
        let width = panel_width();
        let mut group = (0, branch.lengths[0]);
        let mut row = 0;
        while row < rows {
            let at = self.row + first + row;
            group = branch.group_of(at, group);
            let right = &branch.right[group.0];
            let together = (rows - row).min(group.1 - at);
            let together = [8, 4].into_iter().find(|count| *count <= together).unwrap_or(1);
            let [_, cols] = right.dims();
            for col in (0..COLS).step_by(width) {
                let place = panel * COLS + col;
                if place >= cols {
                    continue;
                }
                let block = PanelRows {
                    left: branch.left,
                    row: at,
                    from: 0,
                    steps: &[],
                    right: right.panel(place / width, 0, rank),
                    branch: None,
                    start: Some(&bias[col..col + width]),
                };
                let out = &mut sums.0[row..].as_flattened_mut()[col..];
                match together {
                    8 => block.compute::<S, 8, 2>(simd, out, COLS, width),
                    4 => block.compute::<S, 4, 2>(simd, out, COLS, width),
                    _ => block.compute::<S, 1, 2>(simd, out, COLS, width),
                }
            }
            row += together;
        }
    }
}
