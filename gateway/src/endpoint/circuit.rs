//! Circuit breaker: limits of requests in flight and of waiting requests.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Circuit breaker settings of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitSettings {
    /// Requests in flight, over all workers.
    pub max_requests: usize,
    /// Maximum requests in the queue, over all workers.
    pub max_pending: usize,
    /// Maximum time in the queue.
    pub pending_timeout: Duration,
}

/// The circuit breaker, shared by all workers.
///
/// The limits are exact: shares per worker would refuse requests on a worker with many connections while
/// others are idle, which matters most for small limits. An upstream with limits costs two atomic operations
/// per request; one without has no `Circuit`.
#[derive(Debug)]
pub struct Circuit {
    settings: CircuitSettings,
    free: Arc<Semaphore>,
    pending: AtomicUsize,
}

/// Permission for one request in flight; released when dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// A request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitError {
    /// The queue is full.
    QueueFull,
    /// No request in flight ended before the timeout.
    QueueTimeout,
}

impl fmt::Display for CircuitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => {
                "the upstream's limits of requests in flight and of waiting requests are reached"
            }
            Self::QueueTimeout => "the request timed out in the queue of the upstream",
        })
    }
}

impl std::error::Error for CircuitError {}

impl Circuit {
    /// A circuit breaker with no requests.
    pub fn new(settings: CircuitSettings) -> Self {
        let permits = settings.max_requests.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(permits)), pending: AtomicUsize::new(0), settings }
    }

    /// The limits.
    pub fn settings(&self) -> &CircuitSettings {
        &self.settings
    }

    /// Requests in flight, and waiting requests.
    pub fn load(&self) -> (usize, usize) {
        let free = self.free.available_permits();
        (self.settings.max_requests.saturating_sub(free), self.pending.load(Ordering::Relaxed))
    }

    /// Admits a request if no wait is needed.
    pub fn try_enter(&self) -> Option<Permit> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(Permit)
    }

    /// Admits a request, first come first served.
    ///
    /// # Errors
    ///
    /// [`CircuitError`] if the queue is full or the wait times out.
    pub async fn enter(&self) -> Result<Permit, CircuitError> {
        if let Some(permit) = self.try_enter() {
            return Ok(permit);
        }
        let _place = Place::take(&self.pending, self.settings.max_pending).ok_or(CircuitError::QueueFull)?;
        let permit = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout(self.settings.pending_timeout, permit).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(CircuitError::QueueTimeout),
        }
    }
}

/// A place in the queue; released when dropped, also when the request is cancelled.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(pending: &'a AtomicUsize, max: usize) -> Option<Self> {
        let place = Self(pending);
        (pending.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Circuit, CircuitError, CircuitSettings};

    fn circuit(max_requests: usize, max_pending: usize, millis: u64) -> Arc<Circuit> {
        let pending_timeout = Duration::from_millis(millis);
        Arc::new(Circuit::new(CircuitSettings { max_requests, max_pending, pending_timeout }))
    }

    #[tokio::test]
    async fn excess_requests_wait_and_are_refused_when_the_queue_is_full() {
        let circuit = circuit(2, 1, 5_000);
        let first = circuit.enter().await.expect("room");
        let _second = circuit.enter().await.expect("room");
        assert!(circuit.try_enter().is_none());
        let waiting = tokio::spawn({
            let circuit = Arc::clone(&circuit);
            async move { circuit.enter().await.map(|_| ()) }
        });
        while circuit.load() != (2, 1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(circuit.enter().await.err(), Some(CircuitError::QueueFull));
        drop(first);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
        assert_eq!(circuit.load(), (1, 0));
    }

    #[tokio::test]
    async fn wait_times_out_and_frees_its_place() {
        let circuit = circuit(1, 1, 20);
        let held = circuit.enter().await.expect("room");
        assert_eq!(circuit.enter().await.err(), Some(CircuitError::QueueTimeout));
        let given_up = tokio::time::timeout(Duration::from_millis(1), circuit.enter()).await;
        assert!(given_up.is_err());
        assert_eq!(circuit.load(), (1, 0));
        drop(held);
        assert!(circuit.enter().await.is_ok());
        assert_eq!(circuit.load(), (0, 0));
    }

    #[test]
    fn released_permit_wakes_another_thread() {
        let circuit = circuit(1, 8, 10_000);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let circuit = Arc::clone(&circuit);
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .expect("a runtime");
                    for _ in 0..100 {
                        let permit = runtime.block_on(circuit.enter()).expect("in time");
                        assert_eq!(circuit.load().0, 1);
                        drop(permit);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(circuit.load(), (0, 0));
    }
}
