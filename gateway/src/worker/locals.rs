//! The worker's part of balancing each upstream.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use crate::endpoint::Local;

/// The place of an upstream's part in each worker. It is free again when it is dropped, so that
/// workers hold no more parts than there are upstreams at a time.
#[derive(Debug)]
pub struct Slot {
    place: usize,
    /// No other slot ever has it.
    owner: u64,
}

/// Places that are free, the next place and the next owner. It is locked where upstreams are made and
/// dropped only.
static PLACES: Mutex<(Vec<usize>, usize, u64)> = Mutex::new((Vec::new(), 0, 0));

impl Slot {
    /// A place that no other upstream has.
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

/// By the place of the upstream's slot.
#[derive(Debug, Default)]
pub struct Locals(RefCell<Vec<Option<Owned>>>);

/// A part with the owner of the slot.
type Owned = (u64, Rc<Local>);

impl Locals {
    /// The part of an upstream, made when it is first asked for.
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
