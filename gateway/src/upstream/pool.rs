//! Connections to endpoints that are idle between two requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use crate::http1::wire::Wire;

/// The idle connections of one worker, by the number of the endpoint.
#[derive(Debug, Default)]
pub struct Pools(RefCell<HashMap<u64, Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    wire: Box<Wire>,
    /// The worker's clock after which it is not used any more, in milliseconds.
    until: u64,
}

impl Pools {
    /// The connection used last of those that are still fit. `now` is the worker's clock.
    pub fn take(&self, endpoint: u64, now: u64) -> Option<Box<Wire>> {
        let mut pools = self.0.borrow_mut();
        let idle = pools.get_mut(&endpoint)?;
        while let Some(last) = idle.pop() {
            if last.until > now {
                return Some(last.wire);
            }
        }
        None
    }

    /// Keeps a connection for `time`, unless there are `most` already.
    pub fn put(&self, endpoint: u64, wire: Box<Wire>, most: usize, now: u64, time: Duration) {
        let mut pools = self.0.borrow_mut();
        let idle = pools.entry(endpoint).or_default();
        if idle.len() < most {
            let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            idle.push(Idle { wire, until });
        }
    }

    /// Closes the connections that have been idle for too long or were closed by their endpoints.
    pub fn sweep(&self, now: u64) {
        for idle in self.0.borrow_mut().values_mut() {
            idle.retain(|one| one.until > now && !one.wire.stream().has_unread());
        }
    }
}
