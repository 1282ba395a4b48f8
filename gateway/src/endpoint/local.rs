//! State of an upstream in one worker.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use super::budget::{Budget, BudgetSettings};

/// The worker's state for balancing one [`Cluster`](super::Cluster); made by
/// [`Cluster::local`](super::Cluster::local).
#[derive(Debug)]
pub struct Local {
    /// The next endpoint where all weights are equal.
    pub(super) cursor: Cell<usize>,
    /// For each endpoint, its credit in the smooth weighted round robin.
    pub(super) credit: Vec<Cell<i64>>,
    /// For each endpoint, this worker's requests in flight.
    pub(super) in_flight: Vec<Cell<u32>>,
    /// For each endpoint, the number of a window and this worker's successes in it that are not yet in the
    /// shared state.
    pub(super) successes: Vec<Cell<(u64, u32)>>,
    random: Cell<u64>,
    /// Retry budget of this worker.
    pub budget: Budget,
}

impl Local {
    pub(super) fn new(endpoints: usize, budget: &BudgetSettings, worker: usize, workers: usize) -> Self {
        Self {
            cursor: Cell::new(worker),
            credit: vec![Cell::new(0); endpoints],
            in_flight: vec![Cell::new(0); endpoints],
            successes: vec![Cell::new((0, 0)); endpoints],
            random: Cell::new(RandomState::new().hash_one(worker)),
            budget: Budget::new(budget, workers),
        }
    }

    /// Counts a request in flight until the guard is dropped. `index` is that of a
    /// [`Pick`](super::Pick).
    pub fn enter(self: &Rc<Self>, index: usize) -> InFlight {
        if let Some(count) = self.in_flight.get(index) {
            count.set(count.get().saturating_add(1));
        }
        InFlight { local: Rc::clone(self), index }
    }

    /// This worker's requests in flight at an endpoint.
    pub fn in_flight(&self, index: usize) -> u32 {
        self.in_flight.get(index).map_or(0, Cell::get)
    }

    /// A random number below `end`, fast and not cryptographic (splitmix64).
    pub(super) fn random(&self, end: u64) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        mix(state) % end.max(1)
    }
}

/// Mixes the bits of a number (the finaliser of splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// One request in flight.
#[derive(Debug)]
pub struct InFlight {
    local: Rc<Local>,
    index: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(count) = self.local.in_flight.get(self.index) {
            count.set(count.get().saturating_sub(1));
        }
    }
}
