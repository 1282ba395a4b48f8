//! The requests that failed last, for the admin page.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

/// How many are kept.
const KEPT: usize = 50;

/// A request that failed.
#[derive(Debug, Clone)]
pub struct RecentFailure {
    /// When its head had been read.
    pub time: SystemTime,
    /// Its name.
    pub request_id: String,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The route; empty if none took it.
    pub route: String,
    /// The endpoint of the last attempt; empty if there was none.
    pub endpoint: String,
    /// The status sent; 0 if none was.
    pub status: u16,
    /// The side that failed.
    pub failed_at: &'static str,
    /// Why, a fixed word.
    pub failure: &'static str,
    /// What else is known.
    pub detail: String,
}

/// The requests that failed last.
#[derive(Debug, Default)]
pub struct RecentFailures(Mutex<VecDeque<RecentFailure>>);

impl RecentFailures {
    /// Keeps a failure, unless another thread is doing so at this moment: a worker does not wait here.
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
