//! Views of matrices, and the packed form that a product reads its right side in.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A matrix of which either the rows or the columns are contiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    /// Rows and columns as they lie in `data`.
    shape: [usize; 2],
    /// Distance between the starts of two rows as they lie in `data`.
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Rows of `cols` numbers, `stride` apart.
    ///
    /// # Panics
    ///
    /// Panics if `data` does not hold them.
    pub fn new(data: &'a [f32], [rows, cols]: [usize; 2], stride: usize) -> Self {
        assert!(cols <= stride || rows <= 1, "rows overlap");
        assert!(
            rows == 0 || (rows - 1) * stride + cols <= data.len(),
            "the numbers do not fill a {rows}x{cols} matrix"
        );
        Self {
            data,
            shape: [rows, cols],
            stride,
            transposed: false,
        }
    }

    /// The same numbers with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            transposed: !self.transposed,
            ..self
        }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        let [rows, cols] = self.shape;
        if self.transposed {
            [cols, rows]
        } else {
            [rows, cols]
        }
    }

    /// `len` contiguous rows from `first` on.
    pub fn rows(self, first: usize, len: usize) -> Self {
        let [_, cols] = self.shape;
        assert!(!self.transposed, "only contiguous rows can be cut");
        Self::new(&self.data[first * self.stride..], [len, cols], self.stride)
    }

    /// The numbers column by column, as a copy.
    pub fn flipped(&self) -> Vec<f32> {
        let [rows, cols] = self.shape;
        assert!(!self.transposed, "the columns are contiguous already");
        let mut out = vec![0.0; rows * cols];
        for row in 0..rows {
            for (col, value) in self.line(row, 0, cols).iter().enumerate() {
                out[col * rows + row] = *value;
            }
        }
        out
    }

    /// The numbers `from..from + len` of a contiguous row (of a contiguous column, if transposed).
    #[inline]
    pub fn line(&self, index: usize, from: usize, len: usize) -> &'a [f32] {
        &self.data[index * self.stride + from..][..len]
    }

    /// Whether the columns, not the rows, are contiguous.
    pub fn is_transposed(&self) -> bool {
        self.transposed
    }
}

/// A matrix cut into panels of columns, each as wide as two vectors of this machine and filled up with zeros; within a
/// panel the numbers of one row stand side by side. So the inner loop of a product reads it in a straight line.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Vec<f32>,
    rows: usize,
    cols: usize,
    width: usize,
}

impl Packed {
    /// Packs on all threads if the matrix is large.
    pub fn new(matrix: Matrix<'_>) -> Self {
        /// Below this many numbers a thread costs more than it brings.
        const LARGE: usize = 1 << 15;
        let [rows, cols] = matrix.dims();
        let width = panel_width();
        let mut panels = vec![0.0; cols.div_ceil(width) * width * rows];
        let fill = |(index, panel): (usize, &mut [f32])| fill_panel(matrix, index * width, width, panel);
        if rows * cols >= LARGE {
            panels
                .par_chunks_mut((rows * width).max(1))
                .enumerate()
                .for_each(fill);
        } else {
            panels
                .chunks_mut((rows * width).max(1))
                .enumerate()
                .for_each(fill);
        }
        Self {
            panels,
            rows,
            cols,
            width,
        }
    }

    /// `[rows, columns]`.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    /// Columns of a panel.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows `from..from + len` of a panel, each of [`Packed::width`] numbers.
    #[inline]
    pub fn panel(&self, index: usize, from: usize, len: usize) -> &[f32] {
        &self.panels[(index * self.rows + from) * self.width..][..len * self.width]
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

fn fill_panel(matrix: Matrix<'_>, first: usize, width: usize, panel: &mut [f32]) {
    /// Rows written at a time when columns are contiguous: their panel rows stay in the first-level cache.
    const ROWS: usize = 16;
    let [rows, cols] = matrix.dims();
    let filled = width.min(cols - first);
    if !matrix.is_transposed() {
        for (row, out) in panel.chunks_exact_mut(width).enumerate() {
            out[..filled].copy_from_slice(matrix.line(row, first, filled));
        }
        return;
    }
    for (block, out) in panel.chunks_mut(ROWS * width).enumerate() {
        let from = block * ROWS;
        let len = ROWS.min(rows - from);
        for col in 0..filled {
            for (row, value) in matrix.line(first + col, from, len).iter().enumerate() {
                out[row * width + col] = *value;
            }
        }
    }
}
