//! A bounded queue of rows, from which batches are taken: of one adapter, close in length to the oldest row.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::settings::BatchLimits;

/// A row of a batch.
pub(crate) trait QueuedRow {
    /// Rows of one adapter share batches: a number for it.
    fn adapter(&self) -> usize;
    /// Its length in tokens.
    fn tokens(&self) -> usize;
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;
}

/// Rows that wait.
#[derive(Debug)]
pub(crate) struct BatchQueue<R> {
    limits: BatchLimits,
    state: Mutex<Waiting<R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Waiting<R> {
    /// The oldest first.
    rows: VecDeque<(Instant, R)>,
    is_hurried: bool,
    is_closed: bool,
}

/// Rows that found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueFull {
    /// How many wait.
    pub waiting: usize,
}

impl<R: QueuedRow> BatchQueue<R> {
    pub fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            state: Mutex::new(Waiting {
                rows: VecDeque::new(),
                is_hurried: false,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds rows, all or none.
    pub fn push(&self, rows: impl ExactSizeIterator<Item = R>) -> Result<(), QueueFull> {
        let now = Instant::now();
        let mut waiting = self.lock();
        if waiting.rows.len() + rows.len() > self.limits.queue {
            waiting.rows.retain(|(_, row)| row.is_wanted());
            let found = waiting.rows.len();
            if found + rows.len() > self.limits.queue {
                return Err(QueueFull { waiting: found });
            }
        }
        waiting.rows.extend(rows.map(|row| (now, row)));
        drop(waiting);
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for a batch. It is full, or its oldest row has waited as long as it may. `None`: the queue is closed, and empty.
    pub fn next(&self) -> Option<Vec<R>> {
        let mut waiting = self.lock();
        loop {
            while waiting.rows.front().is_some_and(|(_, row)| !row.is_wanted()) {
                waiting.rows.pop_front();
            }
            let Some((since, oldest)) = waiting.rows.front() else {
                if waiting.is_closed {
                    return None;
                }
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let adapter = oldest.adapter();
            let of_adapter = waiting.rows.iter().filter(|(_, row)| row.adapter() == adapter);
            let left = self.limits.wait.saturating_sub(since.elapsed());
            if left.is_zero() || waiting.is_hurried || of_adapter.count() >= self.limits.texts {
                waiting.rows.retain(|(_, row)| row.is_wanted());
                return Some(take_batch(&mut waiting.rows, self.limits.texts));
            }
            let woken = self.changed.wait_timeout(waiting, left);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From now on no row waits for others: little comes any more.
    pub fn hurry(&self) {
        self.lock().is_hurried = true;
        self.changed.notify_all();
    }

    /// Nothing comes any more.
    pub fn close(&self) {
        let mut waiting = self.lock();
        (waiting.is_hurried, waiting.is_closed) = (true, true);
        drop(waiting);
        self.changed.notify_all();
    }

    /// How many rows wait.
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<R>> {
        // No code that can panic runs between two states of the queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest row, and of its adapter those closest to it in length; among equals the older ones.
fn take_batch<R: QueuedRow>(rows: &mut VecDeque<(Instant, R)>, most: usize) -> Vec<R> {
    let Some((_, oldest)) = rows.front() else {
        return Vec::new();
    };
    let (adapter, length) = (oldest.adapter(), oldest.tokens());
    let of_adapter = rows
        .iter()
        .enumerate()
        .filter(|(_, (_, row))| row.adapter() == adapter);
    let mut chosen: Vec<(usize, usize)> = of_adapter
        .map(|(place, (_, row))| (row.tokens().abs_diff(length), place))
        .collect();
    chosen.sort_unstable();
    chosen.truncate(most);
    let mut places: Vec<usize> = chosen.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    // From behind, so that the places before stay.
    let mut batch: Vec<R> = places
        .into_iter()
        .rev()
        .filter_map(|place| rows.remove(place).map(|(_, row)| row))
        .collect();
    batch.reverse();
    batch
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Row {
        number: usize,
        adapter: usize,
        tokens: usize,
        is_wanted: bool,
    }

    impl QueuedRow for Row {
        fn adapter(&self) -> usize {
            self.adapter
        }

        fn tokens(&self) -> usize {
            self.tokens
        }

        fn is_wanted(&self) -> bool {
            self.is_wanted
        }
    }

    fn queue(texts: usize, wait: Duration, queue: usize) -> BatchQueue<Row> {
        BatchQueue::new(BatchLimits { texts, wait, queue })
    }

    /// For ever, as far as a test goes.
    const LONG: Duration = Duration::from_hours(1);

    fn row(number: usize, adapter: usize, tokens: usize) -> Row {
        Row {
            number,
            adapter,
            tokens,
            is_wanted: true,
        }
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_batch_and_the_oldest_in_the_next(
            kinds in prop::collection::vec((0_usize..3, 1_usize..50), 1..60),
            texts in 1_usize..9,
        ) {
            let rows: Vec<Row> = kinds.iter().enumerate().map(|(number, (adapter, tokens))| row(number, *adapter, *tokens)).collect();
            let queue = queue(texts, LONG, rows.len());
            prop_assert!(queue.push(rows.clone().into_iter()).is_ok());
            queue.close();
            let mut left = rows.clone();
            while let Some(batch) = queue.next() {
                let oldest = left[0];
                prop_assert!(batch.contains(&oldest) && batch.len() <= texts);
                prop_assert!(batch.iter().all(|row| row.adapter == oldest.adapter));
                left.retain(|row| !batch.contains(row));
                // No row that stayed behind is closer to the oldest than one that was taken.
                let distance = |row: &Row| row.tokens.abs_diff(oldest.tokens);
                let taken = batch.iter().map(distance).max().unwrap_or(0);
                let behind = left.iter().filter(|row| row.adapter == oldest.adapter).map(distance).min();
                prop_assert!(behind.is_none_or(|behind| behind >= taken));
                prop_assert!(behind.is_none() || batch.len() == texts, "a batch is full where rows are left");
            }
            prop_assert!(left.is_empty());
        }
    }

    #[test]
    fn rows_without_room_are_refused_as_a_whole() {
        let queue = queue(4, LONG, 3);
        assert!(queue.push([row(0, 0, 1), row(1, 0, 1)].into_iter()).is_ok());
        let refused = queue.push([row(2, 0, 1), row(3, 0, 1)].into_iter());
        assert_eq!(refused, Err(QueueFull { waiting: 2 }));
        assert!(queue.push([row(2, 0, 1)].into_iter()).is_ok());
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let queue = queue(2, LONG, 8);
        assert!(
            queue
                .push([row(0, 0, 1), row(1, 1, 1), row(2, 0, 1)].into_iter())
                .is_ok()
        );
        let batch: Vec<usize> = queue.next().into_iter().flatten().map(|row| row.number).collect();
        assert_eq!(batch, [0, 2]);
    }

    #[test]
    fn a_batch_that_is_not_full_waits_no_longer_than_it_may() {
        let queue = queue(2, Duration::ZERO, 8);
        assert!(queue.push([row(0, 0, 1)].into_iter()).is_ok());
        assert_eq!(queue.next().map(|batch| batch.len()), Some(1));
    }

    #[test]
    fn a_hurried_queue_takes_rows_and_lets_none_wait() {
        let queue = queue(2, LONG, 8);
        queue.hurry();
        for number in 0..2 {
            assert!(queue.push([row(number, 0, 1)].into_iter()).is_ok());
            assert_eq!(queue.next().map(|batch| batch[0].number), Some(number));
        }
    }

    #[test]
    fn rows_that_nobody_waits_for_are_dropped_and_make_room() {
        let queue = queue(4, LONG, 2);
        let unwanted = Row {
            is_wanted: false,
            ..row(0, 0, 1)
        };
        assert!(queue.push([unwanted, unwanted].into_iter()).is_ok());
        assert!(queue.push([row(1, 0, 1), row(2, 0, 1)].into_iter()).is_ok());
        queue.close();
        let batch: Vec<usize> = queue.next().into_iter().flatten().map(|row| row.number).collect();
        assert_eq!(batch, [1, 2]);
        assert!(queue.next().is_none());
    }

    #[test]
    fn a_waiting_worker_hears_of_rows_and_of_the_end() {
        let queue = queue(1, LONG, 8);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| (queue.next().map(|batch| batch.len()), queue.next()));
            assert!(queue.push([row(0, 0, 1)].into_iter()).is_ok());
            queue.close();
            assert_eq!(worker.join().ok(), Some((Some(1), None)));
        });
    }
}
