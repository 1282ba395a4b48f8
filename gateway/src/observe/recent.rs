//! The latest failed requests, for the admin page.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

/// Maximum number of failures kept.
const KEPT: usize = 50;

/// A failed request.
#[derive(Debug, Clone)]
pub struct RecentFailure {
    /// Time at which its head was complete.
    pub time: SystemTime,
    /// Its id.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The route; empty if none matched.
    pub route: String,
    /// The endpoint of the last attempt; empty if there was none.
    pub endpoint: String,
    /// The status sent; 0 if none was.
    pub status: u16,
    /// The side that failed.
    pub failed_at: &'static str,
    /// The reason, a fixed word.
    pub failure: &'static str,
    /// Further details.
    pub detail: String,
}

/// The latest failed requests.
#[derive(Debug, Default)]
pub struct RecentFailures(Mutex<VecDeque<RecentFailure>>);

impl RecentFailures {
    /// Adds a failure, unless another thread holds the lock: a worker does not wait here.
    pub fn add(&self, failure: impl FnOnce() -> RecentFailure) {
        if let Ok(mut kept) = self.0.try_lock() {
            kept.truncate(KEPT - 1);
            kept.push_front(failure());
        }
    }

    /// The failures, the latest first.
    pub fn list(&self) -> Vec<RecentFailure> {
        let kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}
