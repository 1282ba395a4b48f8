//! State of one worker thread. Nothing here is shared, so there are no locks.

mod buffers;
mod locals;
mod pools;
mod spare_heads;
pub mod watch;

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::observe::access::WorkerLog;
use crate::observe::clock::WallClock;
use crate::observe::counter::{InFlight, PerWorker, Requests};
use crate::observe::metrics::Metrics;
use crate::observe::request_id::RequestIds;
use crate::redis;
use crate::trace;
use buffers::Buffers;
use locals::Locals;
pub use locals::Slot;
use pools::Pools;
use spare_heads::SpareHeads;
use watch::Watches;

/// Log lines wait for a tenth of a second at most, and memory is checked at the same interval.
const TICKS_PER_HAND_OVER: u64 = 2;
/// Idle connections and spare buffers are checked every second.
const TICKS_PER_SWEEP: u64 = 20;

/// Number of requests in flight per worker that are accepted even if memory is short.
const ALWAYS_TAKEN: u64 = 16;

/// One worker thread.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// How many workers there are.
    pub workers: usize,
    /// Its load balancing state.
    pub locals: Locals,
    /// The deadlines of its connections.
    pub watches: Rc<Watches>,
    /// Its spare buffers.
    pub buffers: Buffers,
    /// Its spare heads.
    pub heads: SpareHeads,
    /// Its access log buffer.
    pub log: WorkerLog,
    /// Generates request ids.
    pub ids: RequestIds,
    /// Formats the times of its log lines.
    pub clock: WallClock,
    /// Its idle connections to endpoints.
    pub pools: Pools,
    /// Its connections to stores.
    pub stores: redis::Clients,
    /// Its span queue.
    pub traces: trace::Outbox,
    /// Generates trace and span ids.
    pub trace_ids: trace::Ids,
    /// The counters of the process.
    pub metrics: Arc<Metrics>,
    /// Counters of requests in flight.
    pub in_flight: PerWorker<InFlight>,
    /// Counters of requests without a route.
    pub unrouted: PerWorker<Requests>,
    ticks: Cell<u64>,
    random: Cell<u64>,
    draining: Cell<bool>,
    connections: Cell<usize>,
    /// Number of mirrored requests in flight.
    pub mirrors: Cell<usize>,
    this: Weak<Self>,
    /// Notified when a connection ends.
    pub closed: Notify,
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub struct Open(Rc<Worker>);

impl Worker {
    /// Worker `index` of `workers`, without connections.
    pub fn new((index, workers): (usize, usize), metrics: Arc<Metrics>, log: WorkerLog) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            index,
            workers,
            locals: Locals::default(),
            watches: Watches::new(),
            buffers: Buffers::default(),
            heads: SpareHeads::default(),
            log,
            ids: RequestIds::new(index),
            clock: WallClock::default(),
            pools: Pools::default(),
            stores: redis::Clients::default(),
            traces: trace::Outbox::of(index),
            trace_ids: trace::Ids::default(),
            in_flight: metrics.in_flight(),
            unrouted: metrics.unrouted(),
            metrics,
            ticks: Cell::new(0),
            random: Cell::new(RandomState::new().hash_one(index) | 1),
            draining: Cell::new(false),
            connections: Cell::new(0),
            mirrors: Cell::new(0),
            this: Weak::clone(this),
            closed: Notify::new(),
        })
    }

    /// The worker, for a task that may outlive the exchange; `None` after the worker has ended.
    pub fn shared(&self) -> Option<Rc<Self>> {
        self.this.upgrade()
    }

    /// Whether the worker is draining.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Starts the drain: connections close after their requests.
    pub fn drain(&self) {
        self.draining.set(true);
        self.watches.wake_all();
    }

    /// A random number below `end`, fast and not cryptographic (xorshift64).
    pub fn random(&self, end: u64) -> u64 {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        state % end.max(1)
    }

    /// 16 bytes from the same generator.
    pub fn nonce(&self) -> [u8; 16] {
        let [high, low] = [self.random(u64::MAX), self.random(u64::MAX)];
        (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
    }

    /// Periodic work.
    pub fn tick(&self) {
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if ticks.is_multiple_of(TICKS_PER_HAND_OVER) {
            self.log.hand_over();
            self.metrics.memory.look();
        }
        if ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.pools.sweep(self.watches.now());
            self.buffers.trim();
            self.stores.sweep();
        }
    }

    /// Counts a connection.
    pub fn open(self: &Rc<Self>) -> Open {
        self.connections.set(self.connections.get() + 1);
        Open(Rc::clone(self))
    }

    /// Whether a request must be refused because memory is short. A few are always accepted: memory that is
    /// never returned to the system must not end the service.
    pub fn lacks_memory(&self) -> bool {
        let counts = self.in_flight.of(self.index);
        let in_flight = counts.began.get().saturating_sub(counts.ended.get());
        self.metrics.memory.is_short() && in_flight > ALWAYS_TAKEN
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.connections.get()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.closed.notify_waiters();
    }
}
