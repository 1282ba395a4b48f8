//! Counters with one writing worker and any number of readers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::durations::Durations;

/// Status classes; `none` is a request without a response.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A counter with one writer. It needs no atomic addition, so that cores do not compete for a cache line.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at 0.
    pub const fn zero() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to the counter. Only one thread may do so.
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Adds to a counter with several writers, which is slower.
    pub fn add_shared(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter per worker, on separate cache lines. A clone refers to the same counters.
#[derive(Debug)]
pub struct PerWorker<T>(Arc<[Apart<T>]>);

/// A weak reference to counters, which are dropped with their last [`PerWorker`].
#[derive(Debug)]
pub struct WeakPerWorker<T>(Weak<[Apart<T>]>);

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> WeakPerWorker<T> {
    /// The counters, if they still exist.
    pub fn upgrade(&self) -> Option<PerWorker<T>> {
        self.0.upgrade().map(PerWorker)
    }

    /// Whether no [`PerWorker`] is left.
    pub fn is_unused(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// A value on its own cache lines; two, since processors fetch them in pairs.
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

    /// A weak reference.
    pub fn downgrade(&self) -> WeakPerWorker<T> {
        WeakPerWorker(Arc::downgrade(&self.0))
    }

    /// The sum over all workers.
    pub fn sum(&self, value: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|one| value(&one.0)).fold(0, u64::wrapping_add)
    }
}

/// Counters of the requests of one route. With many routes cache lines matter: the fields that most requests
/// write are in the first two.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Requests {
    /// Bytes of request bodies.
    pub received: Counter,
    /// Bytes of response bodies.
    pub sent: Counter,
    /// By status class, as in [`CLASSES`].
    pub classes: [Counter; CLASSES.len()],
    /// From the head of the request to the end of the response.
    pub durations: Durations,
}

/// The values of a completed request that are counted.
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
        self.classes[class(ended.status)].add(1);
        self.durations.add(ended.duration);
        self.received.add(ended.received);
        self.sent.add(ended.sent);
    }
}

/// The index of a status in [`CLASSES`].
pub fn class(status: Option<StatusCode>) -> usize {
    let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
    // The gateway sends no status above 5xx.
    if class < CLASSES.len() { class } else { 0 }
}

/// Counters of the connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    /// Accepted.
    pub accepted: Counter,
    /// Ended.
    pub closed: Counter,
}

/// Counters of the requests to one store.
#[derive(Debug, Default)]
pub struct StoreRequests {
    /// Answered.
    pub answered: Counter,
    /// Not answered in time.
    pub timeout: Counter,
    /// Not sent, or the connection broke.
    pub unavailable: Counter,
    /// The server replied with an error.
    pub refused: Counter,
}

/// Counters of trace spans.
#[derive(Debug, Default)]
pub struct Traces {
    /// Accepted by the collector.
    pub exported: Counter,
    /// Lost: too many were queued, or the collector did not accept them.
    pub dropped: Counter,
}

/// Counters of one upstream.
#[derive(Debug, Default)]
pub struct Attempts {
    /// Connections opened.
    pub connections: Counter,
    /// Requests sent on a reused connection.
    pub reused: Counter,
    /// Retried requests.
    pub retries: Counter,
    /// From the choice of an endpoint to the head of its response, or to the failure.
    pub durations: Durations,
    /// Mirrored requests with a response.
    pub mirrors_answered: Counter,
    /// Mirrored requests without a response.
    pub mirrors_failed: Counter,
    /// Mirrored requests that were not sent: the body was too long or incomplete, or too many were in flight.
    pub mirrors_skipped: Counter,
}

/// Counters of the requests sent to one endpoint.
#[derive(Debug, Default)]
pub struct Tries {
    /// By status class, as in [`CLASSES`]; `none` is a failure of the endpoint.
    pub classes: [Counter; CLASSES.len()],
    /// Cancelled before there was a response, for a reason other than the endpoint.
    pub canceled: Counter,
    /// Started.
    pub began: Counter,
    /// Ended: failed, cancelled, or with the complete response sent.
    pub ended: Counter,
    /// The sum of the durations until the head of the response, in microseconds.
    pub micros: Counter,
    /// Ejections of the endpoint. Written by all workers.
    pub ejections: Counter,
}

/// A request sent to an endpoint, counted as ended when dropped.
#[derive(Debug)]
pub struct Try<'c> {
    counters: &'c Tries,
    began: Instant,
    counted: Cell<bool>,
}

impl<'c> Try<'c> {
    /// Counts a request that is about to be sent.
    pub fn begin(counters: &'c Tries) -> Self {
        counters.began.add(1);
        Self { counters, began: Instant::now(), counted: Cell::new(false) }
    }

    /// When it started.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Counts the result: a status, or a failure of the endpoint. Returns the duration.
    pub fn came_back(&self, status: Option<StatusCode>) -> Duration {
        let duration = self.began.elapsed();
        self.counters.classes[class(status)].add(1);
        self.counters.micros.add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.counted.set(true);
        duration
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        self.counters.ended.add(1);
        if !self.counted.get() {
            self.counters.canceled.add(1);
        }
    }
}

/// Counters of all requests of a worker.
#[derive(Debug, Default)]
pub struct InFlight {
    /// Requests with a complete head.
    pub began: Counter,
    /// Requests whose response has ended.
    pub ended: Counter,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::{CLASSES, Ended, PerWorker, Requests, Tries, Try, class};

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
        assert_eq!(requests.sum(|one| one.durations.count.get()), 3);
        assert_eq!(requests.sum(|one| one.sent.get()), 15);
    }

    #[test]
    fn statuses_are_counted_by_class() {
        let table = [(None, "none"), (Some(101), "1xx"), (Some(599), "5xx"), (Some(999), "none")];
        for (status, expected) in table {
            let status = status.map(|status| StatusCode::from_u16(status).expect("a status"));
            assert_eq!(CLASSES[class(status)], expected);
        }
    }

    #[test]
    fn cancelled_request_is_not_a_failure_of_the_endpoint() {
        let counters = Tries::default();
        let [first, second] = [Try::begin(&counters), Try::begin(&counters)];
        first.came_back(None);
        drop(first);
        assert_eq!(counters.began.get() - counters.ended.get(), 1);
        drop(second);
        assert_eq!((counters.classes[0].get(), counters.canceled.get(), counters.ended.get()), (1, 1, 2));
    }
}
