//! Connections that rest between two requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::client::conn::http1::SendRequest;

use crate::policy::request_body::RequestBody;

/// The sending half of a connection to an endpoint.
pub type Sender = SendRequest<RequestBody>;

/// The resting connections of one endpoint and thread.
#[derive(Debug)]
pub struct Pool {
    resting: Mutex<Vec<Resting>>,
    max: usize,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct Resting {
    sender: Sender,
    since: Instant,
}

impl Pool {
    /// A pool of at most `max` connections that rest for `idle_timeout` at most.
    pub fn new(max: usize, idle_timeout: Duration) -> Self {
        Self { resting: Mutex::new(Vec::new()), max, idle_timeout }
    }

    fn resting(&self) -> MutexGuard<'_, Vec<Resting>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last of those that are still fit.
    pub fn take(&self) -> Option<Sender> {
        let mut resting = self.resting();
        while let Some(last) = resting.pop() {
            if last.since.elapsed() < self.idle_timeout && last.sender.is_ready() {
                return Some(last.sender);
            }
        }
        None
    }

    /// Puts a connection to rest, and lets go of those that have rested for too long.
    pub fn put(&self, sender: Sender) {
        let mut resting = self.resting();
        resting.retain(|one| one.since.elapsed() < self.idle_timeout && !one.sender.is_closed());
        if resting.len() < self.max {
            resting.push(Resting { sender, since: Instant::now() });
        }
    }
}
