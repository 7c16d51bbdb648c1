//! Matrix products in bf16 with sums in f32, and what a LoRA linear adds to them in f32.

use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::ahead::fetch;
use super::super::block::PanelRows;
use super::super::fresh::written;
use super::super::product::LARGE;
use super::super::{Branch, Matrix, panel_width, work};
use super::tiles::{COLS, LeftTiles, ROWS, RightSide, RightTiles, SumTile, Terms};
use super::unit::Unit;

/// Rows that one task multiplies at most: their left tiles stay in the second-level cache.
const TASK_ROWS: usize = 256;
/// Panels of the right side whose sums one task collects at a time, in the second-level cache.
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
        let right = RightTiles::new(self.right, self.terms, parallel);
        let mut padded_bias = vec![0.0; cols.next_multiple_of(COLS)];
        if let Some(bias) = self.bias {
            padded_bias[..cols].copy_from_slice(bias);
        }
        let sides = Sides {
            product: self,
            unit,
            right: &right,
            bias: &padded_bias,
        };
        let threads = if parallel { threads } else { 1 };
        let rounds = rows.div_ceil(threads * TASK_ROWS);
        let task_rows = rows.div_ceil(threads * rounds).next_multiple_of(ROWS);
        let column_tasks = threads.div_ceil(rows.div_ceil(task_rows));
        if column_tasks == 1 {
            return written(rows * cols, task_rows * cols, |index, out| {
                sides.write(index * task_rows, 0, out.chunks_exact_mut(cols).collect());
            });
        }
        // There are fewer tasks of all columns than threads.
        let columns = cols.div_ceil(column_tasks).next_multiple_of(COLS);
        let mut output = vec![0.0; rows * cols];
        let mut tasks: Vec<(usize, usize, Vec<&mut [f32]>)> = Vec::new();
        for (index, out) in output.chunks_mut(task_rows * cols).enumerate() {
            let first = tasks.len();
            let starts = (0..cols).step_by(columns);
            tasks.extend(starts.map(|col| (index * task_rows, col, Vec::new())));
            for row in out.chunks_exact_mut(cols) {
                for ((.., out), part) in tasks[first..].iter_mut().zip(row.chunks_mut(columns)) {
                    out.push(part);
                }
            }
        }
        let write = |(row, col, out)| sides.write(row, col, out);
        tasks.into_par_iter().for_each(write);
        output
    }
}

/// What all tasks of a product read.
#[derive(Clone, Copy)]
struct Sides<'a> {
    product: &'a Bf16Product<'a>,
    unit: Unit,
    right: &'a RightTiles,
    /// Of all columns, and zeros.
    bias: &'a [f32],
}

impl Sides<'_> {
    /// Writes some columns, from `col` on, which begins a panel, of the rows from `row` on, which begins a block of them.
    fn write(self, row: usize, col: usize, out: Vec<&mut [f32]>) {
        Arch::new().dispatch(Task {
            sides: self,
            row,
            col,
            out,
        });
    }
}

/// Some rows and columns of the output.
struct Task<'a, 'out> {
    sides: Sides<'a>,
    row: usize,
    col: usize,
    /// The columns of each row.
    out: Vec<&'out mut [f32]>,
}

thread_local! {
    /// The sums of a task that is done: the next one finds them in the cache.
    static SUMS: RefCell<Vec<SumTile>> = const { RefCell::new(Vec::new()) };
}

impl WithSimd for Task<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Sides {
            product,
            unit,
            right: tiles,
            ..
        } = self.sides;
        let terms = product.terms;
        let left = LeftTiles::new(product.left, self.row, self.out.len(), terms);
        let steps = left.steps();
        let at_a_time = PANEL_TILES / terms.count();
        let blocks = self.out.len().div_ceil(ROWS);
        let panels = self.out[0].len().div_ceil(COLS);
        let mut sums = SUMS.take();
        sums.resize(sums.len().max(blocks * PANELS), SumTile([[0.0; COLS]; ROWS]));
        let unit = unit.ready();
        for first in (0..panels).step_by(PANELS) {
            let group = first..panels.min(first + PANELS);
            for (sums, panel) in sums.chunks_exact_mut(blocks).zip(group.clone()) {
                for (block, sums) in sums.iter_mut().enumerate() {
                    self.start(simd, block * ROWS, panel, sums);
                }
            }
            for from in (0..steps).step_by(at_a_time) {
                let len = at_a_time.min(steps - from);
                for (sums, panel) in sums.chunks_exact_mut(blocks).zip(group.clone()) {
                    let right = tiles.panel(self.col / COLS + panel, from, len);
                    let next = if panel + 1 < group.end {
                        tiles.panel(self.col / COLS + panel + 1, from, len)
                    } else {
                        let from = from + len;
                        let len = at_a_time.min(steps - from);
                        tiles.panel(self.col / COLS + group.start, from, len)
                    };
                    let mut next = next.chunks(next.len().div_ceil(blocks).max(1));
                    for (block, sums) in sums.iter_mut().enumerate() {
                        let rows = ROWS.min(self.out.len() - block * ROWS);
                        // A matrix unit is so fast that it would wait for them.
                        fetch(next.next().unwrap_or_default());
                        unit.multiply(sums, rows, left.block(block, from, len), right, terms);
                    }
                }
            }
            for (sums, panel) in sums.chunks_exact(blocks).zip(group) {
                for (block, sums) in sums.iter().enumerate() {
                    self.finish(block * ROWS, panel, sums);
                }
            }
        }
        drop(unit);
        SUMS.set(sums);
    }
}

impl Task<'_, '_> {
    /// The sums of a block of rows and a panel, into the output.
    #[inline(always)]
    fn finish(&mut self, first: usize, panel: usize, sums: &SumTile) {
        for (out, sums) in self.out[first..].iter_mut().zip(&sums.0) {
            let out = &mut out[panel * COLS..];
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
        let bias = &self.sides.bias[self.col + panel * COLS..][..COLS];
        let Some(branch) = self.sides.product.branch else {
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
                let place = self.col + panel * COLS + col;
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
