//! Independent jobs side by side, each on its share of the threads.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

/// Runs one of several jobs on its share of the threads: small products that wait for each other's threads take longer than
/// on one. The operations of `lora-kernels` give the same bits on any number of threads; so do Burn's, but for sums of four million
/// numbers and more, which no adapter has.
pub fn on_own_threads<R: Send>(jobs: usize, job: impl FnOnce() -> R + Send) -> R {
    let threads = (rayon::current_num_threads() / jobs).max(1);
    let pool = (jobs > 1).then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    match pool {
        Some(Ok(pool)) => pool.install(job),
        // Without threads of its own a job is slower, and no worse.
        Some(Err(_)) | None => job(),
    }
}

/// Does independent jobs on all threads, as many side by side as there are; results in the order of the jobs. A batch of short
/// sentences is too small to keep more than one thread busy; several trainings at once are not. The jobs of most `work` begin, so
/// that at the end no thread is left with a long one.
pub fn side_by_side<J: Sync, R: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> u64,
    run: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|index| Reverse(work(&jobs[*index])));
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((index, run(&jobs[index])));
        }
        done
    };
    let workers = rayon::current_num_threads().min(jobs.len());
    let mut results: Vec<(usize, R)> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| on_own_threads(workers, worker)))
            .collect();
        let finished = spawned.into_iter().map(ScopedJoinHandle::join);
        finished
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = vec![3, 1, 4, 1, 5, 9, 2, 6];
        assert_eq!(
            side_by_side(&jobs, |job| *job, |job| job * 10),
            [30, 10, 40, 10, 50, 90, 20, 60]
        );
        assert!(side_by_side(&[], |job: &u64| *job, |job| *job).is_empty());
    }

    #[test]
    fn the_longest_jobs_begin() {
        let begun = Mutex::new(Vec::new());
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let run = || {
            side_by_side(
                &[2, 7, 5],
                |job| *job,
                |job| begun.lock().map(|mut begun| begun.push(*job)).is_ok(),
            )
        };
        assert_eq!(alone.map(|alone| alone.install(run)).ok(), Some(vec![true; 3]));
        assert_eq!(begun.into_inner().ok(), Some(vec![7, 5, 2]));
    }
}
