//! Counters that one worker writes and every thread may read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::durations::Durations;

/// Classes of status; `none` is a request without an answer.
pub const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A counter with one writer. It needs no atomic addition, so that no cache line is fought over.
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

    /// Adds to a counter that several threads write, which is slower.
    pub fn add_shared(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each worker, apart from each other in memory. A clone is the same counters.
#[derive(Debug)]
pub struct PerWorker<T>(Arc<[Apart<T>]>);

/// Counters that are dropped with their last [`PerWorker`].
#[derive(Debug)]
pub struct WeakPerWorker<T>(Weak<[Apart<T>]>);

impl<T> Clone for PerWorker<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> WeakPerWorker<T> {
    /// The counters, if they are in use.
    pub fn upgrade(&self) -> Option<PerWorker<T>> {
        self.0.upgrade().map(PerWorker)
    }

    /// Whether no [`PerWorker`] is left.
    pub fn is_unused(&self) -> bool {
        self.0.strong_count() == 0
    }
}

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

    /// A reference that does not keep the counters.
    pub fn downgrade(&self) -> WeakPerWorker<T> {
        WeakPerWorker(Arc::downgrade(&self.0))
    }

    /// The sum over all workers.
    pub fn sum(&self, value: impl Fn(&T) -> u64) -> u64 {
        self.0.iter().map(|one| value(&one.0)).fold(0, u64::wrapping_add)
    }
}

/// What is counted of the requests of one route. With many routes each line of the cache counts: what most
/// requests write stands in the first two.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Requests {
    /// Bytes of request bodies.
    pub received: Counter,
    /// Bytes of response bodies.
    pub sent: Counter,
    /// By class of status, as in [`CLASSES`].
    pub classes: [Counter; CLASSES.len()],
    /// From the head of the request to the end of the response.
    pub durations: Durations,
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
        self.classes[class(ended.status)].add(1);
        self.durations.add(ended.duration);
        self.received.add(ended.received);
        self.sent.add(ended.sent);
    }
}

/// The place of a status in [`CLASSES`].
pub fn class(status: Option<StatusCode>) -> usize {
    let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
    // There is none above 5xx to be sent.
    if class < CLASSES.len() { class } else { 0 }
}

/// What is counted of the connections of one listener.
#[derive(Debug, Default)]
pub struct Connections {
    /// Accepted.
    pub accepted: Counter,
    /// Ended.
    pub closed: Counter,
}

/// What is counted of the questions to one store.
#[derive(Debug, Default)]
pub struct StoreRequests {
    /// Answered.
    pub answered: Counter,
    /// Not answered in time.
    pub timeout: Counter,
    /// Not sent, or the connection broke.
    pub unavailable: Counter,
    /// Refused by the server.
    pub refused: Counter,
}

/// What became of the spans of traces.
#[derive(Debug, Default)]
pub struct Traces {
    /// The collector has them.
    pub exported: Counter,
    /// They are lost: too many waited, or the collector did not take them.
    pub dropped: Counter,
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
    /// From the choice of an endpoint to the head of its response, or to the failure.
    pub durations: Durations,
    /// Copies of requests that were answered.
    pub mirrors_answered: Counter,
    /// Copies that got no response.
    pub mirrors_failed: Counter,
    /// Copies that were not sent: the body was too long or not whole, or too many were in flight.
    pub mirrors_skipped: Counter,
}

/// What is counted of the requests sent to one endpoint.
#[derive(Debug, Default)]
pub struct Tries {
    /// By class of status, as in [`CLASSES`]; `none` is a failure of the endpoint.
    pub classes: [Counter; CLASSES.len()],
    /// Given up before there was a response, for a reason that is not the endpoint's.
    pub canceled: Counter,
    /// Begun.
    pub began: Counter,
    /// Ended: failed, given up, or with the whole response sent.
    pub ended: Counter,
    /// The sum of the durations until the head of the response, in microseconds.
    pub micros: Counter,
    /// How often outcomes had the endpoint passed over. Written by all workers.
    pub ejections: Counter,
}

/// A request that was sent to an endpoint, counted as ended when dropped.
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

    /// When it began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Counts what came back: a status, or a failure of the endpoint. Tells how long it took.
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
    fn classes_of_status() {
        let table = [(None, "none"), (Some(101), "1xx"), (Some(599), "5xx"), (Some(999), "none")];
        for (status, expected) in table {
            let status = status.map(|status| StatusCode::from_u16(status).expect("a status"));
            assert_eq!(CLASSES[class(status)], expected);
        }
    }

    #[test]
    fn a_try_that_is_given_up_is_no_failure_of_the_endpoint() {
        let counters = Tries::default();
        let [first, second] = [Try::begin(&counters), Try::begin(&counters)];
        first.came_back(None);
        drop(first);
        assert_eq!(counters.began.get() - counters.ended.get(), 1);
        drop(second);
        assert_eq!((counters.classes[0].get(), counters.canceled.get(), counters.ended.get()), (1, 1, 2));
    }
}
