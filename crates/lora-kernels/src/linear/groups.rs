//! Contiguous groups of rows, each with factors of its own.

use std::ops::Range;
use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

/// How many rows each group has: all of them, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRows(Arc<[usize]>);

/// Neighbouring groups of equal size.
pub(super) struct EqualGroups {
    groups: Range<usize>,
    rows: Range<usize>,
}

impl GroupRows {
    /// Groups of these sizes.
    pub fn of(lengths: &Arc<[usize]>) -> Self {
        Self(lengths.clone())
    }

    /// So many groups of equal size.
    ///
    /// # Panics
    ///
    /// Panics if they do not divide the rows.
    pub fn equal(rows: usize, groups: usize) -> Self {
        assert!(
            rows.is_multiple_of(groups),
            "{groups} groups do not divide {rows} rows"
        );
        Self(vec![rows / groups; groups].into())
    }

    /// Number of groups.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Rows of each group.
    #[cfg(feature = "flex")]
    pub fn lengths(&self) -> &[usize] {
        &self.0
    }

    /// # Panics
    ///
    /// Panics if the groups have more or fewer rows.
    pub fn assert_hold(&self, rows: usize) {
        let held: usize = self.0.iter().sum();
        assert_eq!(held, rows, "the groups hold {held} rows, not {rows}");
    }

    /// The rows of each group.
    #[cfg(feature = "flex")]
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let mut next = 0;
        self.0.iter().map(move |length| {
            let first = next;
            next += length;
            first..next
        })
    }

    /// The groups, those of equal size that follow each other together.
    pub(super) fn blocks(&self) -> impl Iterator<Item = EqualGroups> {
        let (mut group, mut row) = (0, 0);
        self.0.chunk_by(|one, next| one == next).map(move |alike| {
            let block = EqualGroups {
                groups: group..group + alike.len(),
                rows: row..row + alike.len() * alike[0],
            };
            (group, row) = (block.groups.end, block.rows.end);
            block
        })
    }
}

impl EqualGroups {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The block of a `[rows, d]` matrix as `[groups, rows of each, d]`.
    pub fn rows_of<B: Backend>(&self, rows: &FloatTensor<B>) -> FloatTensor<B> {
        let groups = self.groups.len();
        let [all, width] = rows.shape().dims();
        let block = if self.rows == (0..all) {
            rows.clone()
        } else {
            B::float_slice(rows.clone(), &[self.rows.clone(), 0..width].map(Slice::from))
        };
        B::float_reshape(block, Shape::new([groups, self.rows.len() / groups, width]))
    }

    /// The block's of factors of all groups, `[groups, _, _]`.
    pub fn factors_of<B: Backend>(&self, factors: &FloatTensor<B>) -> FloatTensor<B> {
        let [all, rows, cols] = factors.shape().dims();
        if self.groups == (0..all) {
            return factors.clone();
        }
        let ranges = [self.groups.clone(), 0..rows, 0..cols];
        B::float_slice(factors.clone(), &ranges.map(Slice::from))
    }
}

/// Parts of blocks, one after the other.
pub(super) fn joined<B: Backend>(mut parts: Vec<FloatTensor<B>>) -> FloatTensor<B> {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    B::float_cat(parts, 0)
}
