//! Trainings side by side, each on its share of the threads.

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
