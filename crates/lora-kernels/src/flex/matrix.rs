//! Views of matrices.

use std::ops::Range;

/// A matrix of which either the rows or the columns are contiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T = f32> {
    data: &'a [T],
    /// Rows and columns as they lie in `data`.
    shape: [usize; 2],
    /// Distance between the starts of two rows as they lie in `data`.
    stride: usize,
    transposed: bool,
}

impl<'a, T: Copy> Matrix<'a, T> {
    /// Rows of `cols` values, `stride` apart.
    ///
    /// # Panics
    ///
    /// Panics if `data` does not hold them.
    pub fn new(data: &'a [T], [rows, cols]: [usize; 2], stride: usize) -> Self {
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

    /// The same values with rows and columns exchanged.
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

    /// Some of the rows, which are contiguous.
    pub fn rows_in(self, range: &Range<usize>) -> Self {
        self.rows(range.start, range.len())
    }

    /// Some of the columns, of rows that are contiguous.
    pub fn columns_in(self, range: &Range<usize>) -> Self {
        let [rows, _] = self.shape;
        assert!(!self.transposed, "only columns of contiguous rows can be cut");
        Self::new(&self.data[range.start..], [rows, range.len()], self.stride)
    }

    /// The values `from..from + len` of a contiguous row (of a contiguous column, if transposed).
    #[inline]
    pub fn line(&self, index: usize, from: usize, len: usize) -> &'a [T] {
        &self.data[index * self.stride + from..][..len]
    }

    /// Whether the columns, not the rows, are contiguous.
    pub fn is_transposed(&self) -> bool {
        self.transposed
    }
}

impl Matrix<'_> {
    /// The values column by column, as a copy.
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
}
