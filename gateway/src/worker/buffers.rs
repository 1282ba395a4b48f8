//! Allocations that wait for their next use, so that an idle connection holds none.

use std::cell::RefCell;

use crate::http1::wire::{LARGE_PIECE, PIECE};

/// How many wait at most.
const MOST: usize = 128;
/// Larger ones are given back to the system.
const LARGEST: usize = LARGE_PIECE;

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct Buffers(RefCell<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(PIECE))
    }

    /// Gives a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST && buffer.capacity() <= LARGEST {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
