//! The worker's load balancing state of each upstream.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use crate::endpoint::Local;

/// The index of an upstream's state in each worker. It is reused after a drop, so that workers hold no more
/// states than there are upstreams at a time.
#[derive(Debug)]
pub struct Slot {
    place: usize,
    /// A unique number of this slot.
    owner: u64,
}

/// Free indexes, the next index and the next owner. Locked only when upstreams are created and dropped.
static PLACES: Mutex<(Vec<usize>, usize, u64)> = Mutex::new((Vec::new(), 0, 0));

impl Slot {
    /// An index that no other upstream uses.
    pub fn take() -> Self {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        places.2 += 1;
        let place = places.0.pop().unwrap_or_else(|| {
            places.1 += 1;
            places.1 - 1
        });
        Self { place, owner: places.2 }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.place);
    }
}

/// Indexed by the upstream's slot.
#[derive(Debug, Default)]
pub struct Locals(RefCell<Vec<Option<Owned>>>);

/// A state with the owner of its slot.
type Owned = (u64, Rc<Local>);

impl Locals {
    /// The state of an upstream, created on first use.
    pub fn get(&self, slot: &Slot, make: impl FnOnce() -> Local) -> Rc<Local> {
        let mut locals = self.0.borrow_mut();
        if locals.len() <= slot.place {
            locals.resize(slot.place + 1, None);
        }
        match &mut locals[slot.place] {
            Some((owner, local)) if *owner == slot.owner => Rc::clone(local),
            other => Rc::clone(&other.insert((slot.owner, Rc::new(make()))).1),
        }
    }
}
