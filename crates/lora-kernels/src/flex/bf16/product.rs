//! Matrix products in bf16 with sums in f32, and what a LoRA linear adds to them in f32.

use std::cell::RefCell;

use half::bf16;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::block::PanelRows;
use super::super::product::LARGE;
use super::super::{Branch, Matrix, panel_width, work};
use super::tiles::{COLS, LeftTiles, ROWS, RightTile, SumTile, TILE_DEPTH, Terms, fill_panels};
use super::unit::Unit;

/// Panels of the right side that one task packs and multiplies: with [`STEPS`] they stay in the second-level cache.
const PANELS: usize = 4;
/// Steps of the depth, of 32 values each, that are multiplied before sums go back to the output.
const STEPS: usize = 24;

/// A right side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RightSide<'a> {
    F32(Matrix<'a>),
    Bf16(Matrix<'a, bf16>),
}

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

impl RightSide<'_> {
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::F32(matrix) => matrix.dims(),
            Self::Bf16(matrix) => matrix.dims(),
        }
    }
}

impl Bf16Product<'_> {
    /// Writes the product, `[rows, cols]`, on all threads if it is large.
    ///
    /// # Panics
    ///
    /// Panics if the sides do not fit each other or the output.
    pub fn write(&self, out: &mut [f32]) {
        self.write_by(Unit::of_this_machine(), out);
    }

    /// The same by this unit.
    pub(super) fn write_by(&self, unit: Unit, out: &mut [f32]) {
        let ([rows, depth], [right_depth, cols]) = (self.left.dims(), self.right.dims());
        assert_eq!(depth, right_depth, "the sides do not fit each other");
        assert_eq!(out.len(), rows * cols, "the output has other dimensions");
        if rows == 0 || cols == 0 {
            return;
        }
        work::count(rows * depth * cols);
        let threads = rayon::current_num_threads();
        let parallel = threads > 1 && rows * depth * cols >= LARGE;
        let left = LeftTiles::new(self.left, self.terms, parallel);
        let mut padded_bias = vec![0.0; cols.next_multiple_of(COLS)];
        if let Some(bias) = self.bias {
            padded_bias[..cols].copy_from_slice(bias);
        }
        // A task has some panels, and all rows if there are enough of such tasks for the threads.
        let panels = cols.div_ceil(COLS);
        let columns = if parallel {
            COLS * panels.div_ceil(2 * threads).clamp(1, PANELS)
        } else {
            COLS * PANELS
        };
        let column_tasks = cols.div_ceil(columns);
        let row_tasks = if parallel {
            threads.div_ceil(column_tasks)
        } else {
            1
        };
        let task_rows = rows.div_ceil(row_tasks).next_multiple_of(ROWS);
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for (index, out) in out.chunks_mut(task_rows * cols).enumerate() {
            let first_task = tasks.len();
            tasks.extend((0..column_tasks).map(|task| Task {
                product: self,
                unit,
                left: &left,
                bias: &padded_bias[task * columns..],
                row: index * task_rows,
                col: task * columns,
                out: Vec::with_capacity(task_rows.min(rows)),
            }));
            for row in out.chunks_exact_mut(cols) {
                for (task, part) in tasks[first_task..].iter_mut().zip(row.chunks_mut(columns)) {
                    task.out.push(part);
                }
            }
        }
        let arch = Arch::new();
        if parallel {
            tasks.into_par_iter().for_each(|task| arch.dispatch(task));
        } else {
            for task in tasks {
                arch.dispatch(task);
            }
        }
    }
}

/// Some rows and columns of the output.
struct Task<'a> {
    product: &'a Bf16Product<'a>,
    unit: Unit,
    left: &'a LeftTiles,
    /// That of these columns, and zeros.
    bias: &'a [f32],
    /// The first row, which begins a block of them.
    row: usize,
    /// The first column, which begins a panel.
    col: usize,
    /// The columns of each row.
    out: Vec<&'a mut [f32]>,
}

thread_local! {
    /// The panels of a task that is done: the next one finds them in the cache.
    static PANELS_OF_TASK: RefCell<Vec<RightTile>> = const { RefCell::new(Vec::new()) };
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Bf16Product {
            left, right, terms, ..
        } = *self.product;
        let [_, depth] = left.dims();
        let steps = depth.div_ceil(TILE_DEPTH);
        let cols = self.out[0].len();
        let panel_count = cols.div_ceil(COLS);
        let mut tiles = PANELS_OF_TASK.take();
        tiles.resize(
            tiles.len().max(panel_count * STEPS * terms.count()),
            RightTile::ZERO,
        );
        for from in (0..steps.max(1)).step_by(STEPS) {
            let len = STEPS.min(steps - from);
            let panel_len = len * terms.count();
            let mut panels: Vec<&mut [RightTile]> = tiles
                .chunks_mut(panel_len.max(1))
                .map(|tiles| &mut tiles[..panel_len])
                .take(panel_count)
                .collect();
            match right {
                RightSide::F32(right) => fill_panels(right, self.col, from, terms, &mut panels),
                RightSide::Bf16(right) => fill_panels(right, self.col, from, terms, &mut panels),
            }
            let unit = self.unit.ready();
            for first in (0..self.out.len()).step_by(ROWS) {
                let rows = ROWS.min(self.out.len() - first);
                let left = self.left.block((self.row + first) / ROWS, from, len);
                for (index, panel) in panels.iter().enumerate() {
                    let mut sums = SumTile([[0.0; COLS]; ROWS]);
                    if from == 0 {
                        self.start(simd, first, rows, index, &mut sums);
                    } else {
                        for (out, sums) in self.out[first..].iter().zip(&mut sums.0) {
                            let out = &out[index * COLS..cols.min((index + 1) * COLS)];
                            sums[..out.len()].copy_from_slice(out);
                        }
                    }
                    unit.multiply(&mut sums, rows, left, panel, terms);
                    for (out, sums) in self.out[first..].iter_mut().zip(&sums.0) {
                        let out = &mut out[index * COLS..cols.min((index + 1) * COLS)];
                        out.copy_from_slice(&sums[..out.len()]);
                    }
                }
            }
        }
        PANELS_OF_TASK.set(tiles);
    }
}

impl Task<'_> {
    /// Bias and branch of some rows of a panel.
    #[inline(always)]
    fn start<S: Simd>(&self, simd: S, first: usize, rows: usize, panel: usize, sums: &mut SumTile) {
        let bias = &self.bias[panel * COLS..][..COLS];
        let Some(branch) = self.product.branch else {
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
