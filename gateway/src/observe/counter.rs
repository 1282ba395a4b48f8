//! Counters that one worker writes and every thread may read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

/// Upper bounds of the duration buckets in seconds.
pub const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// The same in microseconds.
const BUCKET_MICROS: [u64; BUCKETS.len()] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000,
];
/// Classes of status; `none` is a request without an answer.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A counter with one writer. It needs no atomic addition, so that no cache line is fought over.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the counter. Only one thread may do so.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each worker, apart from each other in memory.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[Apart<T>]>);

/// On cache lines of its own; two, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T: Default> PerWorker<T> {
    /// Counters for so many workers.
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Apart::default()).collect())
    }

    /// The counters of a worker.
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker.min(self.0.len() - 1)].0
    }

    /// The sum over all workers.
    pub fn sum(&self, value: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|one| value(&one.0)).fold(0, u64::wrapping_add)
    }
}

/// What is counted of the requests of one route.
#[derive(Debug, Default)]
pub struct Requests {
    /// By class of status, as in [`CLASSES`].
    pub classes: [Counter; CLASSES.len()],
    /// By duration, as in [`BUCKETS`], each without the ones before it.
    pub buckets: [Counter; BUCKETS.len()],
    /// All.
    pub count: Counter,
    /// The sum of their durations in microseconds.
    pub micros: Counter,
    /// Bytes of request bodies.
    pub received: Counter,
    /// Bytes of response bodies.
    pub sent: Counter,
}

/// A request that has ended, as the counters see it.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The status sent, if one was.
    pub status: Option<StatusCode>,
    /// The time from the head of the request to the end of the response.
    pub duration: Duration,
    /// Bytes of the request body.
    pub received: u64,
    /// Bytes of the response body.
    pub sent: u64,
}

impl Requests {
    /// Counts a request.
    pub fn ended(&self, ended: &Ended) {
        let class = ended.status.map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(counter) = self.classes.get(class) {
            counter.add(1);
        }
        let micros = u64::try_from(ended.duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BUCKET_MICROS.iter().position(|&bound| micros <= bound) {
            self.buckets[bucket].add(1);
        }
        self.count.add(1);
        self.micros.add(micros);
        self.received.add(ended.received);
        self.sent.add(ended.sent);
    }
}

/// What is counted of the connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    /// Accepted.
    pub accepted: Counter,
    /// Ended.
    pub closed: Counter,
}

/// What is counted of one upstream.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Connections opened.
    pub connections: Counter,
    /// Requests sent on a connection that was open already.
    pub reused: Counter,
    /// Requests sent again.
    pub retries: Counter,
    /// Copies of requests that were answered.
    pub mirrors_answered: Counter,
    /// Copies that got no response.
    pub mirrors_failed: Counter,
    /// Copies that were not sent: the body was too long or not whole, or too many were in flight.
    pub mirrors_skipped: Counter,
}

/// What is counted of a worker as a whole.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Requests whose head came in.
    pub began: Counter,
    /// Requests whose response has ended.
    pub ended: Counter,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{BUCKET_MICROS, BUCKETS, Ended, PerWorker, Requests};

    #[test]
    fn buckets_are_the_same_in_both_units() {
        for (seconds, micros) in BUCKETS.iter().zip(BUCKET_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_micros(micros));
        }
    }

    #[test]
    fn workers_are_summed() {
        let requests = PerWorker::<Requests>::new(2);
        let ended =
            |status, millis| Ended { status, duration: Duration::from_millis(millis), received: 3, sent: 5 };
        requests.of(0).ended(&ended(Some(StatusCode::OK), 1));
        requests.of(1).ended(&ended(Some(StatusCode::OK), 40_000));
        requests.of(1).ended(&ended(None, 2));
        assert_eq!(requests.sum(|one| one.classes[2].get()), 2);
        assert_eq!(requests.sum(|one| one.classes[0].get()), 1);
        assert_eq!(requests.sum(|one| one.buckets[0].get()), 1);
        assert_eq!(requests.sum(|one| one.count.get()), 3);
        assert_eq!(requests.sum(|one| one.sent.get()), 15);
    }
}
