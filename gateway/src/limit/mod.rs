//! Limits: how many requests of one key may pass, counted for all workers of the process together.
//!
//! Arithmetic stands apart from state: [`gcra`] and [`calendar`] are pure, [`table`] keeps a value for
//! each key in bounded memory, and [`concurrency`] counts requests in flight. [`shared`] counts in a store for
//! several gateways.

pub mod calendar;
pub mod concurrency;
pub mod gcra;
pub mod shared;
pub mod stores;
pub mod table;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::settings::{Amount, Calendar, LimitRule};
use calendar::Window;
use concurrency::Concurrency;
use gcra::Gcra;
use table::Table;

/// What a limit says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that might follow at once.
    pub remaining: u64,
    /// Seconds until there is one more; of a request that was refused, until it may be sent again.
    pub reset: u64,
}

/// What a limit says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may pass.
    Allowed(Standing),
    /// It may not.
    Refused(Standing),
}

/// A limit with what it has counted.
#[derive(Debug)]
pub struct Limit {
    /// Its settings.
    pub rule: LimitRule,
    /// How it counts.
    pub counts: Counts,
    /// From when times are counted.
    epoch: Instant,
}

/// How a limit counts.
#[derive(Debug)]
pub enum Counts {
    /// A token bucket; for each key the time at which it is full.
    Rate(Gcra, Table<u64>),
    /// A number for each window of the calendar; for each key the window's begin and the number.
    Quota(Quota, Table<(u64, u64)>),
    /// Requests in flight.
    Concurrency(Arc<Concurrency>, Duration),
}

/// A number of requests in each window of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The number.
    pub requests: u64,
    /// The windows.
    pub calendar: Calendar,
}

/// Whole seconds that hold so many nanoseconds.
fn seconds_up(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Quota {
    /// Counts a request at `now`, in seconds since 1970.
    fn take(self, count: &mut (u64, u64), now: u64) -> Decision {
        let Window { begin, end } = Window::of(self.calendar, now);
        if count.0 != begin {
            *count = (begin, 0);
        }
        let decision = self.of(count.1 + 1, end - now);
        if matches!(decision, Decision::Allowed(_)) {
            count.1 += 1;
        }
        decision
    }

    /// What is said of the request with this number in its window.
    fn judge(self, number: u64, now: u64) -> Decision {
        self.of(number, Window::of(self.calendar, now).end - now)
    }

    fn of(self, number: u64, reset: u64) -> Decision {
        match self.requests.checked_sub(number) {
            Some(remaining) => Decision::Allowed(Standing { remaining, reset }),
            None => Decision::Refused(Standing { remaining: 0, reset }),
        }
    }
}

impl Limit {
    /// A limit that has counted nothing.
    pub fn new(rule: &LimitRule) -> Self {
        let counts = match rule.amount {
            Amount::Rate { requests, per, burst } => {
                Counts::Rate(Gcra::new(requests, nanos(per), burst), Table::new(rule.max_keys))
            }
            Amount::Quota { requests, per } => {
                Counts::Quota(Quota { requests, calendar: per }, Table::new(rule.max_keys))
            }
            Amount::Concurrency { requests, queue, queue_timeout } => {
                Counts::Concurrency(Concurrency::new(requests, queue), queue_timeout)
            }
        };
        Self { rule: rule.clone(), counts, epoch: Instant::now() }
    }

    /// Counts a request of a rate or quota, unless it is one too many. Requests in flight are counted by
    /// [`Concurrency`].
    pub fn take(&self, key: &[u8], now: Instant) -> Decision {
        match &self.counts {
            Counts::Rate(rate, table) => {
                let now = nanos(now.saturating_duration_since(self.epoch));
                table.update(key, |full_at| full_at.saturating_sub(now), |full_at| rate.take(full_at, now))
            }
            Counts::Quota(quota, table) => {
                let now = unix_seconds();
                let begin = Window::of(quota.calendar, now).begin;
                let rank = |count: &(u64, u64)| if count.0 == begin { count.1 } else { 0 };
                table.update(key, rank, |count| quota.take(count, now))
            }
            Counts::Concurrency(..) => Decision::Allowed(Standing { remaining: 0, reset: 0 }),
        }
    }

    /// Takes over what a store has counted: `number` is its answer to a request that it allowed.
    pub fn note(&self, key: &[u8], now: Instant, number: u64) {
        match &self.counts {
            Counts::Rate(_, table) => {
                let now = nanos(now.saturating_duration_since(self.epoch));
                table.update(
                    key,
                    |full_at| full_at.saturating_sub(now),
                    |full_at| *full_at = now.saturating_add(number),
                );
            }
            Counts::Quota(quota, table) => {
                let begin = Window::of(quota.calendar, unix_seconds()).begin;
                let rank = |count: &(u64, u64)| if count.0 == begin { count.1 } else { 0 };
                table.update(key, rank, |count| *count = (begin, number));
            }
            Counts::Concurrency(..) => {}
        }
    }

    /// Takes a request back that another limit refused.
    pub fn give_back(&self, key: &[u8]) {
        match &self.counts {
            Counts::Rate(rate, table) => table.update(key, |_| u64::MAX, |full_at| rate.give_back(full_at)),
            Counts::Quota(_, table) => {
                table.update(key, |_| u64::MAX, |count| count.1 = count.1.saturating_sub(1));
            }
            Counts::Concurrency(..) => {}
        }
    }
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{Decision, Limit, Quota, Standing};
    use crate::settings::{Amount, Calendar, LimitRule};

    #[test]
    fn a_quota_begins_anew_with_each_window() {
        let quota = Quota { requests: 2, calendar: Calendar::Hour };
        let mut count = (0, 0);
        let table = [
            (7200, Decision::Allowed(Standing { remaining: 1, reset: 3600 })),
            (7201, Decision::Allowed(Standing { remaining: 0, reset: 3599 })),
            (10799, Decision::Refused(Standing { remaining: 0, reset: 1 })),
            (10800, Decision::Allowed(Standing { remaining: 1, reset: 3600 })),
            // The clock was set back: the earlier window begins anew too.
            (7201, Decision::Allowed(Standing { remaining: 1, reset: 3599 })),
        ];
        for (now, expected) in table {
            assert_eq!(quota.take(&mut count, now), expected, "{now}");
        }
    }

    /// Many threads on one key: exactly as many pass as may, and what is given back may pass again.
    #[test]
    fn a_limit_is_exact_over_all_threads() {
        let rate = Amount::Rate { requests: 1000, per: Duration::from_hours(1000), burst: 1000 };
        for amount in [rate, Amount::Quota { requests: 1000, per: Calendar::Month }] {
            let limit = Limit::new(&LimitRule { amount: amount.clone(), ..LimitRule::default() });
            let (allowed, now) = (AtomicU64::new(0), Instant::now());
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..1000 {
                            if let Decision::Allowed(_) = limit.take(b"key", now) {
                                allowed.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(allowed.load(Ordering::Relaxed), 1000, "{amount:?}");
            limit.give_back(b"key");
            assert!(matches!(limit.take(b"key", now), Decision::Allowed(_)), "{amount:?}");
            assert!(matches!(limit.take(b"key", now), Decision::Refused(_)), "{amount:?}");
            assert!(matches!(limit.take(b"other", now), Decision::Allowed(_)), "{amount:?}");
        }
    }
}
