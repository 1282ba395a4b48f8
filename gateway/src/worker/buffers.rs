//! Allocations that wait for their next use, so that an idle connection holds none.

use std::cell::{Cell, RefCell};

use crate::http1::wire::{LARGE_PIECE, PIECE};

/// Larger buffers are given back to the system at once.
const LARGEST: usize = LARGE_PIECE;

/// The spare buffers of one worker. There are as many as were in use at a time since the last but one
/// [`Buffers::trim`].
#[derive(Debug, Default)]
pub struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
    /// The fewest spare buffers since the last [`Buffers::trim`]: so many were not needed.
    unused: Cell<usize>,
}

impl Buffers {
    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        let mut spare = self.spare.borrow_mut();
        let buffer = spare.pop().unwrap_or_else(|| Vec::with_capacity(PIECE));
        self.unused.set(self.unused.get().min(spare.len()));
        buffer
    }

    /// Gives a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= LARGEST {
            buffer.clear();
            self.spare.borrow_mut().push(buffer);
        }
    }

    /// Gives the buffers back to the system that were not used since the last call.
    pub fn trim(&self) {
        let mut spare = self.spare.borrow_mut();
        let unused = self.unused.get().min(spare.len());
        // The ones used last are at the end.
        spare.drain(..unused);
        self.unused.set(spare.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spare(buffers: &Buffers) -> usize {
        buffers.spare.borrow().len()
    }

    #[test]
    fn buffers_in_use_are_kept_and_unused_ones_are_released() {
        let buffers = Buffers::default();
        let use_at_once = |count: usize| {
            let taken: Vec<_> = (0..count).map(|_| buffers.take()).collect();
            for buffer in taken {
                buffers.give(buffer);
            }
        };
        use_at_once(300);
        buffers.trim();
        assert_eq!(spare(&buffers), 300);
        use_at_once(100);
        buffers.trim();
        assert_eq!(spare(&buffers), 100, "200 were not used between two calls");
        buffers.trim();
        assert_eq!(spare(&buffers), 0);
    }

    #[test]
    fn a_large_buffer_is_not_kept() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(LARGEST + 1));
        assert_eq!(spare(&buffers), 0);
    }
}
