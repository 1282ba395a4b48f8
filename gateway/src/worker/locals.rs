//! The worker's part of balancing each upstream.

use std::cell::RefCell;
use std::rc::Rc;

use crate::endpoint::Local;

/// By the slot of the upstream.
#[derive(Debug, Default)]
pub struct Locals(RefCell<Vec<Option<Rc<Local>>>>);

impl Locals {
    /// The part of an upstream, made when it is first asked for.
    pub fn get(&self, slot: usize, make: impl FnOnce() -> Local) -> Rc<Local> {
        let mut locals = self.0.borrow_mut();
        if locals.len() <= slot {
            locals.resize(slot + 1, None);
        }
        Rc::clone(locals[slot].get_or_insert_with(|| Rc::new(make())))
    }
}
