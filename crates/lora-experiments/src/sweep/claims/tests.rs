//! Claims under times that tests make: nobody sleeps, and no clock of the machine is read.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Mutex;
use std::time::SystemTime;

use super::*;

const EXPIRES_AFTER: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// A clock that a test moves.
#[derive(Default)]
struct MadeTime(Mutex<Duration>);

impl MadeTime {
    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl MonotonicTime for MadeTime {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    fn wait(&self, time: Duration, _: &CancelToken) {
        self.pass(time);
    }
}

fn claims<'t>(folder: &Path, time: &'t MadeTime) -> Claims<'t> {
    Claims::new(folder.join("claims"), EXPIRES_AFTER, time)
}

/// Looks, and tries to claim the unit.
fn take(claims: &mut Claims<'_>, worker: &str) -> Option<Claim> {
    claims.look().unwrap();
    claims.take("unit", worker).unwrap()
}

#[test]
fn of_many_workers_that_start_at_once_one_gets_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    let taken = thread::scope(|scope| {
        let workers: Vec<_> = (0..16)
            .map(|worker| {
                let mut claims = claims(folder.path(), &time);
                scope.spawn(move || take(&mut claims, &format!("worker-{worker}")).is_some())
            })
            .collect();
        let taken = workers
            .into_iter()
            .map(|worker| usize::from(worker.join().unwrap()));
        taken.sum::<usize>()
    });
    assert_eq!(taken, 1);
}

#[test]
fn a_claim_whose_owner_lives_is_never_taken_over_however_fast_the_watcher_s_clock_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (owner_time, time) = (MadeTime::default(), MadeTime::default());
    let mut claim = take(&mut claims(folder.path(), &owner_time), "owner").unwrap();
    let mut watcher = claims(folder.path(), &time);
    for _ in 0..20 {
        assert!(take(&mut watcher, "watcher").is_none());
        // The watcher's machine slept for a week; the owner has beaten once since.
        time.pass(Duration::from_hours(7 * 24));
        claim.beat();
    }
}

#[test]
fn the_claim_of_a_dead_worker_is_taken_over_once_by_whoever_watched_it_long_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (early, late, dead) = (MadeTime::default(), MadeTime::default(), MadeTime::default());
    // Its clock is years ahead of the others, which says nothing.
    dead.pass(Duration::from_secs(1_000_000_000));
    assert!(
        !take(&mut claims(folder.path(), &dead), "dead")
            .unwrap()
            .is_taken_over
    );
    let (mut first, mut second) = (claims(folder.path(), &early), claims(folder.path(), &late));
    assert!(take(&mut first, "first").is_none());
    early.pass(Duration::from_secs(59));
    // Not long enough, and for this one it begins only now.
    assert!(take(&mut first, "first").is_none());
    assert!(take(&mut second, "second").is_none());
    early.pass(SECOND);
    late.pass(SECOND);
    // Both look before either takes it.
    first.look().unwrap();
    second.look().unwrap();
    assert!(second.take("unit", "second").unwrap().is_none());
    assert!(first.take("unit", "first").unwrap().unwrap().is_taken_over);
    // To the other one it is a new claim, which has its own time.
    late.pass(Duration::from_secs(59));
    assert!(take(&mut second, "second").is_none());
}

#[test]
fn two_who_find_a_claim_expired_in_the_same_moment_do_not_both_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    take(&mut claims(folder.path(), &time), "dead").unwrap();
    let [mut first, mut second] = [claims(folder.path(), &time), claims(folder.path(), &time)];
    first.look().unwrap();
    second.look().unwrap();
    time.pass(EXPIRES_AFTER);
    first.look().unwrap();
    second.look().unwrap();
    assert!(first.take("unit", "first").unwrap().is_some());
    assert!(second.take("unit", "second").unwrap().is_none());
}

#[test]
fn a_worker_that_was_only_slow_does_not_disturb_the_one_that_took_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    let mut slow = take(&mut claims(folder.path(), &time), "slow").unwrap();
    let mut other = claims(folder.path(), &time);
    assert!(take(&mut other, "other").is_none());
    time.pass(EXPIRES_AFTER);
    let mut taken = take(&mut other, "other").unwrap();
    let mut third = claims(folder.path(), &time);
    third.look().unwrap();
    for _ in 0..3 {
        // It wakes up and goes on as if nothing had been; neither that nor its end makes the unit free.
        slow.beat();
        taken.beat();
        time.pass(EXPIRES_AFTER);
        assert!(take(&mut third, "third").is_none());
    }
    slow.release();
    assert!(take(&mut third, "third").is_none());
}

#[test]
fn a_unit_that_was_given_up_is_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    let claim = take(&mut claims(folder.path(), &time), "first").unwrap();
    let mut other = claims(folder.path(), &time);
    assert!(take(&mut other, "second").is_none());
    claim.release();
    assert!(take(&mut other, "second").unwrap().is_taken_over);
}

#[test]
fn times_of_files_and_leaps_of_the_machine_s_clock_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    let claim = take(&mut claims(folder.path(), &time), "dead").unwrap();
    let mut watcher = claims(folder.path(), &time);
    for years in [0, 50] {
        // As a machine leaves it whose clock stands at another year.
        let file = fs::File::options().write(true).open(&claim.path).unwrap();
        let leap = Duration::from_secs(years * 365 * 24 * 3600);
        file.set_modified(SystemTime::UNIX_EPOCH + leap).unwrap();
        assert!(take(&mut watcher, "watcher").is_none(), "{years}");
    }
    time.pass(EXPIRES_AFTER);
    assert!(take(&mut watcher, "watcher").is_some());
}

#[test]
fn a_claim_says_itself_when_it_expires_and_a_damaged_one_expires_as_the_watcher_s_own() {
    let folder = tempfile::tempdir().unwrap();
    let time = MadeTime::default();
    let patient = Claims::new(folder.path().join("claims"), 10 * EXPIRES_AFTER, &time);
    let claim = patient.take("unit", "patient").unwrap().unwrap();
    let mut watcher = claims(folder.path(), &time);
    assert!(take(&mut watcher, "watcher").is_none());
    time.pass(9 * EXPIRES_AFTER);
    assert!(take(&mut watcher, "watcher").is_none());
    fs::write(&claim.path, "{\"worker\": ").unwrap();
    assert!(take(&mut watcher, "watcher").is_none());
    time.pass(EXPIRES_AFTER);
    assert!(take(&mut watcher, "watcher").is_some());
}
