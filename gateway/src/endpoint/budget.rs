//! Retry budget of an upstream.

use std::cell::Cell;

use super::moment::Moment;

/// Buckets of the sliding window, one second each.
const SECONDS: usize = 10;

/// Retry budget settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSettings {
    /// Maximum retries in percent of the requests of the last ten seconds.
    pub percent: u32,
    /// Retries per second that are always allowed, for the whole process.
    pub min_per_second: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { percent: 20, min_per_second: 10 }
    }
}

/// The retry budget of one worker.
///
/// Each worker counts its own requests, so that the percentage holds for the sum. The minimum is divided
/// among the workers, with at least one per second each unless it is 0.
#[derive(Debug)]
pub struct Budget {
    percent: u64,
    least: u64,
    /// The second of the newest bucket.
    second: Cell<u64>,
    requests: [Cell<u32>; SECONDS],
    retries: [Cell<u32>; SECONDS],
}

impl Budget {
    /// The budget of one of `workers` workers.
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

    /// The bucket of `now`; expired buckets are cleared first.
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

    /// Counts a request that is not a retry.
    pub fn request(&self, now: Moment) {
        let bucket = &self.requests[self.bucket(now)];
        bucket.set(bucket.get().saturating_add(1));
    }

    /// Whether a retry is allowed; if so, it is counted.
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
    fn retries_are_limited_to_a_percentage() {
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
    fn minimum_applies_with_few_requests() {
        for (least, workers, expected) in [(10, 1, 100), (10, 4, 30), (1, 4, 10), (0, 4, 0)] {
            let budget = Budget::new(&BudgetSettings { percent: 20, min_per_second: least }, workers);
            assert_eq!(retries(&budget, 123), expected, "{least} of {workers} workers");
        }
    }

    #[test]
    fn clock_that_stops_or_goes_back_is_tolerated() {
        let budget = Budget::new(&BudgetSettings { percent: 100, min_per_second: 0 }, 1);
        requests(&budget, 5_000, 3);
        requests(&budget, 4_000, 3);
        assert_eq!(retries(&budget, 0), 6);
    }
}
