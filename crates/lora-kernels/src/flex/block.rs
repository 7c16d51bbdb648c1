//! The innermost loops of a product: a few rows of the output, as many columns as a panel has, with all sums in registers.

use std::ops::Range;

use pulp::Simd;

use super::Matrix;
use super::tile::{TILE, has_register_transpose, transposed_words};

/// A few rows of one panel of the output.
#[derive(Clone, Copy)]
pub(super) struct PanelRows<'a> {
    pub left: Matrix<'a>,
    /// The first row of the block in `left`.
    pub row: usize,
    /// The first column of `left` that counts.
    pub from: usize,
    /// The same rows and columns in the order of reading, all rows of a column side by side; empty if they are read from `left`.
    pub steps: &'a [f32],
    /// The rows of the right side that belong to these columns, of one panel.
    pub right: &'a [f32],
    /// The same of the branch: left side, first row in it, panel.
    pub branch: Option<(Matrix<'a>, usize, &'a [f32])>,
    /// What the sums start from; what stands in the output, if `None`.
    pub start: Option<&'a [f32]>,
}

impl PanelRows<'_> {
    /// Writes 1, 4, 8 or `MOST` rows of the output, of which `filled` columns are there.
    #[inline(always)]
    pub fn compute_rows<S: Simd, const MOST: usize>(
        &self,
        simd: S,
        rows: usize,
        out: &mut [f32],
        stride: usize,
        filled: usize,
    ) {
        // A narrow right side, such as a low-rank factor, fills only one of the two vectors.
        match (rows, filled <= S::F32_LANES) {
            (1, false) => self.compute::<S, 1, 2>(simd, out, stride, filled),
            (1, true) => self.compute::<S, 1, 1>(simd, out, stride, filled),
            (4, false) => self.compute::<S, 4, 2>(simd, out, stride, filled),
            (4, true) => self.compute::<S, 4, 1>(simd, out, stride, filled),
            (8, false) if MOST > 8 => self.compute::<S, 8, 2>(simd, out, stride, filled),
            (8, true) if MOST > 8 => self.compute::<S, 8, 1>(simd, out, stride, filled),
            (_, false) => self.compute::<S, MOST, 2>(simd, out, stride, filled),
            (_, true) => self.compute::<S, MOST, 1>(simd, out, stride, filled),
        }
    }

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
        sums = if self.steps.is_empty() {
            accumulate::<S, ROWS, VECTORS>(simd, sums, self.left, self.row, self.from, self.right)
        } else {
            accumulate_steps::<S, ROWS, VECTORS>(simd, sums, self.steps, self.right)
        };
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

/// The same with the left side in the order of reading.
#[inline(always)]
fn accumulate_steps<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    mut sums: [[S::f32s; VECTORS]; ROWS],
    steps: &[f32],
    right: &[f32],
) -> [[S::f32s; VECTORS]; ROWS] {
    let (right, _) = S::as_simd_f32s(right);
    let (right, _) = right.as_chunks::<2>();
    let (steps, _) = steps.as_chunks::<ROWS>();
    for (left, right) in steps.iter().zip(right) {
        for r in 0..ROWS {
            let x = simd.splat_f32s(left[r]);
            for v in 0..VECTORS {
                sums[r][v] = simd.mul_add_f32s(x, right[v], sums[r][v]);
            }
        }
    }
    sums
}

/// Lays blocks of `ROWS` rows, from row `first` on, out in the order in which a product reads them: for each column in turn the values of
/// all rows of the block, as many blocks as fill `out`.
#[inline(always)]
pub(super) fn fill_steps<const ROWS: usize>(
    left: Matrix<'_>,
    first: usize,
    columns: Range<usize>,
    out: &mut [f32],
) {
    let len = columns.len();
    // Columns that are turned tile by tile.
    let turned = if has_register_transpose() {
        len - len % TILE
    } else {
        0
    };
    for (block, out) in out.chunks_exact_mut((ROWS * len).max(1)).enumerate() {
        let row = first + block * ROWS;
        let (steps, _) = out.as_chunks_mut::<ROWS>();
        if left.is_transposed() {
            for (column, step) in columns.clone().zip(steps) {
                step.copy_from_slice(left.line(column, row, ROWS));
            }
            continue;
        }
        let (tiles, rest) = steps.split_at_mut(turned);
        for (index, steps) in tiles.chunks_exact_mut(TILE).enumerate() {
            fill_tile(left, row, columns.start + index * TILE, steps);
        }
        for r in 0..ROWS {
            let line = left.line(row + r, columns.start + turned, len - turned);
            for (step, value) in rest.iter_mut().zip(line) {
                step[r] = *value;
            }
        }
    }
}

/// The same for 16 columns of a block.
#[inline(always)]
fn fill_tile<const ROWS: usize>(left: Matrix<'_>, row: usize, column: usize, steps: &mut [[f32; ROWS]]) {
    let mut lines = [[0; TILE]; TILE];
    for (r, words) in lines.iter_mut().enumerate().take(ROWS) {
        let mut line = [0.0; TILE];
        line.copy_from_slice(left.line(row + r, column, TILE));
        *words = pulp::cast(line);
    }
    for (step, words) in steps.iter_mut().zip(transposed_words(lines)) {
        let numbers: [f32; TILE] = pulp::cast(words);
        step.copy_from_slice(&numbers[..ROWS]);
    }
}
