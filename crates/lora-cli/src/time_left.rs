//! How long work still takes whose pieces are unequal, told from the share of it that is done.

use std::time::Duration;

/// Of a smaller share most of the time went into what comes before it, such as loading a model.
const LEAST_SHARE: f64 = 0.01;

/// The estimate, as of the last time that more was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeLeft {
    share: f64,
    /// Time since the beginning, and time left then.
    told: Option<[Duration; 2]>,
}

impl TimeLeft {
    /// Such a share of the work is done after this time. The time left does not grow by more than the time that has passed.
    pub fn tell(&mut self, share: f64, elapsed: Duration) {
        if share.is_nan() || share <= self.share {
            return;
        }
        self.share = share.min(1.0);
        if self.share < LEAST_SHARE {
            return;
        }
        let estimate = elapsed.mul_f64((1.0 - self.share) / self.share);
        let left = match self.told {
            Some([then, left]) => estimate.min(left + elapsed.saturating_sub(then)),
            None => estimate,
        };
        self.told = Some([elapsed, left]);
    }

    /// The time left; none before enough is done.
    pub fn left(&self) -> Option<Duration> {
        self.told.map(|[_, left]| left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_left_to_tell_before_something_is_done() {
        let mut time = TimeLeft::default();
        time.tell(0.0, seconds(30));
        time.tell(0.001, seconds(31));
        time.tell(f64::NAN, seconds(32));
        assert_eq!(time.left(), None);
        time.tell(0.25, seconds(50));
        assert_eq!(time.left(), Some(seconds(150)));
    }

    #[test]
    fn a_pause_between_two_pieces_does_not_make_the_rest_endless() {
        let mut time = TimeLeft::default();
        time.tell(0.5, seconds(100));
        // Nothing is told while nothing is done.
        time.tell(0.5, seconds(400));
        assert_eq!(time.left(), Some(seconds(100)));
        time.tell(0.75, seconds(600));
        assert_eq!(time.left(), Some(seconds(200)));
        time.tell(1.0, seconds(700));
        assert_eq!(time.left(), Some(Duration::ZERO));
    }

    #[test]
    fn the_time_left_grows_by_no_more_than_the_time_that_passes() {
        let mut time = TimeLeft::default();
        time.tell(0.1, seconds(10));
        assert_eq!(time.left(), Some(seconds(90)));
        // The share alone says 356.
        time.tell(0.101, seconds(40));
        assert_eq!(time.left(), Some(seconds(120)));
    }
}
