//! Pools of idle connections to endpoints.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::endpoint::EndpointId;
use crate::http1::wire::Wire;
use crate::http2::Sender;

/// The connections of one worker, by endpoint.
#[derive(Debug, Default)]
pub struct Pools(RefCell<BTreeMap<EndpointId, Pool>>);

#[derive(Debug, Default)]
struct Pool {
    /// HTTP/1 connections between two requests.
    idle: Vec<Idle>,
    /// HTTP/2 connections, shared by requests.
    shared: Vec<Shared>,
}

#[derive(Debug)]
struct Idle {
    wire: Box<Wire>,
    /// Expiry on the worker's clock, in milliseconds.
    until: u64,
}

#[derive(Debug)]
struct Shared {
    sender: Sender,
    /// Maximum time without a stream.
    idle: Duration,
}

impl Pools {
    /// The most recently used HTTP/1 connection that is still usable. `now` is the worker's clock.
    pub fn take(&self, endpoint: EndpointId, now: u64) -> Option<Box<Wire>> {
        let mut pools = self.0.borrow_mut();
        let idle = &mut pools.get_mut(&endpoint)?.idle;
        while let Some(last) = idle.pop() {
            if last.until > now {
                return Some(last.wire);
            }
        }
        None
    }

    /// Keeps an HTTP/1 connection for `time`, unless there are already `most`.
    pub fn put(&self, endpoint: EndpointId, wire: Box<Wire>, most: usize, now: u64, time: Duration) {
        let mut pools = self.0.borrow_mut();
        let idle = &mut pools.entry(endpoint).or_default().idle;
        if idle.len() < most {
            let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            idle.push(Idle { wire, until });
        }
    }

    /// The HTTP/2 connection with the fewest streams that can open another one.
    pub fn share(&self, endpoint: EndpointId) -> Option<Sender> {
        let pools = self.0.borrow();
        let has_room = |sender: &Sender| {
            let most = sender.concurrent_streams().unwrap_or(100);
            sender.is_usable() && sender.active() < usize::try_from(most).unwrap_or(usize::MAX)
        };
        let senders = pools.get(&endpoint)?.shared.iter().map(|shared| &shared.sender);
        senders.filter(|sender| has_room(sender)).min_by_key(|sender| sender.active()).cloned()
    }

    /// Keeps an HTTP/2 connection until it has had no stream for `idle`.
    pub fn add_shared(&self, endpoint: EndpointId, sender: Sender, idle: Duration) {
        self.0.borrow_mut().entry(endpoint).or_default().shared.push(Shared { sender, idle });
    }

    /// Closes connections that were idle for too long or were closed by their endpoints.
    pub fn sweep(&self, now: u64) {
        self.0.borrow_mut().retain(|_, pool| {
            pool.idle.retain(|one| one.until > now && !one.wire.stream().has_unread());
            pool.shared.retain(|one| {
                let rested = one.sender.control().idle_since().map(|since| since.elapsed());
                one.sender.is_usable() && rested.is_none_or(|rested| rested < one.idle)
            });
            !pool.idle.is_empty() || !pool.shared.is_empty()
        });
    }
}
