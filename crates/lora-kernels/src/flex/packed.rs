//! The packed form that a product reads its right side in.

use std::cell::RefCell;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::matrix::Matrix;

/// A matrix cut into panels of columns, each as wide as two vectors of this machine and filled up with zeros; within a
/// panel the values of one row stand side by side. So the inner loop of a product reads it in a straight line.
#[derive(Debug)]
pub(crate) struct Packed {
    /// From `start` on the panels one after the other; what stands around them is of no matter.
    panels: Vec<f32>,
    /// Where a cache line begins: a vector that lies across two is slower to read.
    start: usize,
    rows: usize,
    cols: usize,
    width: usize,
}

thread_local! {
    /// The buffer of a matrix that is no longer needed: the next one finds its pages there, and in the cache.
    static FREE: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Below this many values a thread, or a kept buffer, costs more than it brings.
const LARGE: usize = 1 << 15;
/// Values of a cache line.
const LINE: usize = 16;
/// Columns of a panel at 512 bits, for which copies of known length are compiled.
const FULL: usize = 32;

impl Packed {
    /// Packs on all threads if the matrix is large.
    pub fn new(matrix: Matrix<'_>) -> Self {
        // What stands in the buffer is overwritten, so only what it lacks is filled, and nothing is cut off.
        let [rows, cols] = matrix.dims();
        let is_large = rows * cols >= LARGE;
        Self::packed_into(if is_large { FREE.take() } else { Vec::new() }, matrix)
    }

    /// As [`Packed::new`], in memory of its own: at most a cache line larger than it must be.
    pub fn to_keep(matrix: Matrix<'_>) -> Self {
        Self::packed_into(Vec::new(), matrix)
    }

    fn packed_into(mut panels: Vec<f32>, matrix: Matrix<'_>) -> Self {
        let [rows, cols] = matrix.dims();
        let width = panel_width();
        let panel_count = cols.div_ceil(width);
        let len = panel_count * width * rows;
        let is_large = len >= LARGE;
        if panels.len() < len + LINE {
            panels.resize(len + LINE, 0.0);
        }
        let start = panels.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let tasks = if is_large { rayon::current_num_threads() } else { 1 };
        let task_panels = panel_count.div_ceil(tasks).max(1);
        let arch = Arch::new();
        let fill = |(task, panels): (usize, &mut [f32])| {
            arch.dispatch(Fill {
                matrix,
                first: task * task_panels * width,
                width,
                panels,
            });
        };
        let parts = (task_panels * rows * width).max(1);
        if tasks > 1 {
            panels[start..][..len]
                .par_chunks_mut(parts)
                .enumerate()
                .for_each(fill);
        } else {
            panels[start..][..len]
                .chunks_mut(parts)
                .enumerate()
                .for_each(fill);
        }
        Self {
            panels,
            start,
            rows,
            cols,
            width,
        }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Memory that it takes.
    pub fn bytes(&self) -> usize {
        self.panels.len() * size_of::<f32>()
    }

    /// Columns of a panel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows `from..from + len` of a panel, each of [`Packed::width`] values.
    #[inline]
    pub fn panel(&self, index: usize, from: usize, len: usize) -> &[f32] {
        &self.panels[self.start + (index * self.rows + from) * self.width..][..len * self.width]
    }
}

/// Two vectors of f32 on this machine.
pub(crate) fn panel_width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            2 * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

impl Drop for Packed {
    fn drop(&mut self) {
        let panels = std::mem::take(&mut self.panels);
        if panels.len() < LARGE {
            return;
        }
        // A thread that is ending has no place for it.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < panels.len() {
                *free = panels;
            }
        });
    }
}

/// Neighbouring panels, of which the first begins at column `first`.
struct Fill<'a> {
    matrix: Matrix<'a>,
    first: usize,
    width: usize,
    panels: &'a mut [f32],
}

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        fill_panels(self.matrix, self.first, self.width, self.panels);
    }
}

#[inline(always)]
fn fill_panels(matrix: Matrix<'_>, first: usize, width: usize, panels: &mut [f32]) {
    /// Rows taken over all panels at a time: memory is read ahead along rows.
    const ROWS: usize = 8;
    let [rows, cols] = matrix.dims();
    let panel_len = rows * width;
    if panel_len == 0 {
        return;
    }
    if matrix.is_transposed() {
        for (index, panel) in panels.chunks_exact_mut(panel_len).enumerate() {
            fill_transposed_panel(matrix, first + index * width, width, panel);
        }
        return;
    }
    for from in (0..rows).step_by(ROWS) {
        let len = ROWS.min(rows - from);
        for (index, panel) in panels.chunks_exact_mut(panel_len).enumerate() {
            let first = first + index * width;
            let filled = width.min(cols - first);
            let out = &mut panel[from * width..][..len * width];
            for (row, out) in (from..).zip(out.chunks_exact_mut(width)) {
                let line = matrix.line(row, first, filled);
                if let (Some(out), Some(line)) = (out.as_mut_array::<FULL>(), line.as_array()) {
                    *out = *line;
                } else {
                    out[..filled].copy_from_slice(line);
                    out[filled..].fill(0.0);
                }
            }
        }
    }
}

/// Fills a panel whose columns are contiguous in the matrix.
#[inline(always)]
fn fill_transposed_panel(matrix: Matrix<'_>, first: usize, width: usize, panel: &mut [f32]) {
    /// Rows and columns turned at a time, since both numbers are known when compiled: in registers.
    const TILE: usize = 8;
    let [rows, cols] = matrix.dims();
    let filled = width.min(cols - first);
    let done = fill_tiles(matrix, first, width, panel);
    for (block, out) in panel[done * width..].chunks_mut(TILE * width).enumerate() {
        let from = done + block * TILE;
        let len = TILE.min(rows - from);
        for col in (0..filled).step_by(TILE) {
            let lines = TILE.min(filled - col);
            if (len, lines) == (TILE, TILE) {
                let mut tile = [[0.0; TILE]; TILE];
                for (line, numbers) in tile.iter_mut().enumerate() {
                    numbers.copy_from_slice(matrix.line(first + col + line, from, TILE));
                }
                for (row, out) in out.chunks_exact_mut(width).enumerate() {
                    let turned: [f32; TILE] = std::array::from_fn(|line| tile[line][row]);
                    out[col..col + TILE].copy_from_slice(&turned);
                }
            } else {
                for line in col..col + lines {
                    for (row, value) in matrix.line(first + line, from, len).iter().enumerate() {
                        out[row * width + line] = *value;
                    }
                }
            }
        }
        for row in out.chunks_exact_mut(width) {
            row[filled..].fill(0.0);
        }
    }
}

/// The rows that are filled tile by tile, where there is a faster way than number by number.
fn fill_tiles(matrix: Matrix<'_>, first: usize, width: usize, panel: &mut [f32]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if width == FULL {
        return super::tile::registers::fill_tiles(matrix, first, panel);
    }
    let _ = (matrix, first, width, panel);
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffer of a packed matrix is used again: what stood in it must not show.
    #[test]
    fn panels_hold_the_matrix_and_zeros_whatever_was_packed_before() {
        let numbers: Vec<f32> = (0..300_u32 * 201).map(|number| number as f32 + 1.0).collect();
        for [rows, cols] in [[300, 201], [201, 300], [190, 175], [7, 5], [1, 40]] {
            let matrix = Matrix::new(&numbers, [rows, cols], cols);
            for matrix in [matrix, matrix.transposed()] {
                let [rows, cols] = matrix.dims();
                let value = |row: usize, col: usize| match (col < cols, matrix.is_transposed()) {
                    (false, _) => 0.0,
                    (true, false) => matrix.line(row, col, 1)[0],
                    (true, true) => matrix.line(col, row, 1)[0],
                };
                let packed = Packed::new(matrix);
                let width = packed.width();
                for panel in 0..cols.div_ceil(width) {
                    for row in 0..rows {
                        let expected: Vec<f32> = (panel * width..(panel + 1) * width)
                            .map(|col| value(row, col))
                            .collect();
                        assert_eq!(packed.panel(panel, row, 1), expected);
                    }
                }
            }
        }
    }
}
