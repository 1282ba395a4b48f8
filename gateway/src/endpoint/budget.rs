//! How many retries an upstream may be sent.

use std::cell::Cell;

use super::moment::Moment;

/// Buckets of the sliding window; each lasts a second.
const SECONDS: usize = 10;

/// How many requests may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Retries as a share of the requests of the last ten seconds, in percent.
    pub percent: u32,
    /// Retries a second that are allowed however few requests there are, for the whole process.
    pub min_per_second: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 10 }
    }
}

/// The retry budget of one worker.
///
/// Each worker counts its own requests, so that the share holds for all of them together; the least
/// number of retries is divided among the workers, one a second at least for each if there is any.
#[derive(Debug)]
pub struct Budget {
    percent: u64,
    least: u64,
    /// The second to which the newest bucket belongs.
    second: Cell<u64>,
    requests: [Cell<u32>; SECONDS],
    retries: [Cell<u32>; SECONDS],
}

impl Budget {
    /// The budget of one of so many workers.
    pub fn new(settings: &BudgetSettings, workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        Self {
            percent: u64::from(settings.percent),
            least: u64::from(settings.min_per_second.div_ceil(workers)) * SECONDS as u64,
            second: Cell::new(0),
            requests: Default::default(),
            retries: Default::default(),
        }
    }

    /// The bucket of `now`, after those that lie too far back are emptied.
    fn bucket(&self, now: Moment) -> usize {
        let second = now.millis() / 1000;
        let last = self.second.get();
        if second > last {
            let passed = (second - last).min(SECONDS as u64);
            for step in 0..passed {
                let bucket = index(second - step);
                self.requests[bucket].set(0);
                self.retries[bucket].set(0);
            }
            self.second.set(second);
        }
        index(self.second.get())
    }

    /// A request came, which is not itself a retry.
    pub fn request(&self, now: Moment) {
        let bucket = &self.requests[self.bucket(now)];
        bucket.set(bucket.get().saturating_add(1));
    }

    /// Whether a request may be sent again; if so, the retry is counted.
    pub fn try_retry(&self, now: Moment) -> bool {
        let bucket = self.bucket(now);
        let sum = |cells: &[Cell<u32>]| cells.iter().map(|cell| u64::from(cell.get())).sum::<u64>();
        let allowed = (sum(&self.requests) * self.percent / 100).max(self.least);
        let fits = sum(&self.retries) < allowed;
        if fits {
            self.retries[bucket].set(self.retries[bucket].get().saturating_add(1));
        }
        fits
    }
}

fn index(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Budget, BudgetSettings};
    use crate::endpoint::moment::Moment;

    fn retries(budget: &Budget, millis: u64) -> usize {
        (0..1000).take_while(|_| budget.try_retry(Moment::from_millis(millis))).count()
    }

    fn requests(budget: &Budget, millis: u64, count: usize) {
        for _ in 0..count {
            budget.request(Moment::from_millis(millis));
        }
    }

    #[test]
    fn a_share_of_the_requests_may_be_sent_again() {
        let budget = Budget::new(&BudgetSettings { percent: 20, min_per_second: 0 }, 4);
        assert_eq!(retries(&budget, 0), 0);
        requests(&budget, 500, 100);
        assert_eq!(retries(&budget, 900), 20);
        requests(&budget, 5_000, 50);
        assert_eq!(retries(&budget, 5_000), 10);
        assert_eq!(retries(&budget, 9_999), 0);
        // The first second has left the window with its requests and its retries.
        assert_eq!(retries(&budget, 10_000), 0);
        requests(&budget, 10_000, 50);
        assert_eq!(retries(&budget, 10_000), 10);
        assert_eq!(retries(&budget, 3_600_000), 0);
    }

    #[test]
    fn few_requests_have_a_least_number() {
        for (least, workers, expected) in [(10, 1, 100), (10, 4, 30), (1, 4, 10), (0, 4, 0)] {
            let budget = Budget::new(&BudgetSettings { percent: 20, min_per_second: least }, workers);
            assert_eq!(retries(&budget, 123), expected, "{least} of {workers} workers");
        }
    }

    #[test]
    fn a_clock_that_stands_or_goes_back_does_no_harm() {
        let budget = Budget::new(&BudgetSettings { percent: 100, min_per_second: 0 }, 1);
        requests(&budget, 5_000, 3);
        requests(&budget, 4_000, 3);
        assert_eq!(retries(&budget, 0), 6);
    }
}
