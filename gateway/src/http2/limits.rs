//! Rate limits for actions that cost this side work and the peer almost nothing.

use std::time::{Duration, Instant};

/// Counts one kind of event. The clock is read only when the limit is reached, so that an event costs one
/// addition; up to twice the limit is possible in one interval.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    limit: u32,
    count: u32,
    since: Instant,
}

impl Rate {
    /// A counter that allows `limit` events per interval.
    pub const fn new(limit: u32, now: Instant) -> Self {
        Self { limit, count: 0, since: now }
    }

    /// Counts an event; returns whether it exceeds the limit.
    pub fn exceeds(&mut self, interval: Duration) -> bool {
        self.exceeds_at(interval, Instant::now)
    }

    fn exceeds_at(&mut self, interval: Duration, now: impl FnOnce() -> Instant) -> bool {
        self.count = self.count.saturating_add(1);
        if self.count <= self.limit {
            return false;
        }
        let now = now();
        if now.saturating_duration_since(self.since) < interval {
            return true;
        }
        self.since = now;
        self.count = 1;
        false
    }

    /// Subtracts events in return for useful work.
    pub const fn earn(&mut self, events: u32) {
        self.count = self.count.saturating_sub(events);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Rate;

    #[test]
    fn events_are_counted_per_interval() {
        let start = Instant::now();
        let interval = Duration::from_secs(10);
        let mut rate = Rate::new(2, start);
        let mut at = |seconds| rate.exceeds_at(interval, || start + Duration::from_secs(seconds));
        let table = [(0, false), (1, false), (2, true), (11, false), (12, false), (13, true), (40, false)];
        for (number, (seconds, expected)) in table.into_iter().enumerate() {
            assert_eq!(at(seconds), expected, "event {number}");
        }
        let mut rate = Rate::new(1, start);
        for _ in 0..10 {
            assert!(!rate.exceeds_at(interval, || start));
            rate.earn(1);
        }
    }
}
