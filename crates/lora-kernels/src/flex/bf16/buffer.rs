//! Memory that one product after the other uses on a thread.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use super::tiles::{COLS, LeftTile, ROWS, RightTile, SumTile};

/// Values that are needed for a while: who needs some next on this thread finds their pages there, and perhaps in the cache.
#[derive(Debug)]
pub(super) struct Buffer<T: 'static> {
    values: Vec<T>,
    free: &'static LocalKey<RefCell<Vec<T>>>,
}

/// Bytes that a buffer keeps at most.
pub(super) const KEPT: usize = 32 << 20;

thread_local! {
    static FREE_LEFT: RefCell<Vec<LeftTile>> = const { RefCell::new(Vec::new()) };
    static FREE_RIGHT: RefCell<Vec<RightTile>> = const { RefCell::new(Vec::new()) };
    static FREE_SUMS: RefCell<Vec<SumTile>> = const { RefCell::new(Vec::new()) };
}

impl<T: Copy> Buffer<T> {
    /// So many values, and perhaps more, with anything in them.
    fn new(free: &'static LocalKey<RefCell<Vec<T>>>, len: usize, zero: T) -> Self {
        let mut values = free.take();
        if values.len() < len {
            values.resize(len, zero);
        }
        Self { values, free }
    }
}

impl Buffer<LeftTile> {
    pub fn left(len: usize) -> Self {
        Self::new(&FREE_LEFT, len, LeftTile::ZERO)
    }
}

impl Buffer<RightTile> {
    pub fn right(len: usize) -> Self {
        Self::new(&FREE_RIGHT, len, RightTile::ZERO)
    }
}

impl Buffer<SumTile> {
    pub fn sums(len: usize) -> Self {
        Self::new(&FREE_SUMS, len, SumTile([[0.0; COLS]; ROWS]))
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if size_of_val(values.as_slice()) > KEPT {
            return;
        }
        // A thread that is ending has no place for it.
        let _ = self.free.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < values.len() {
                *free = values;
            }
        });
    }
}
