//! Spare buffers, so that an idle connection has none.

use std::cell::{Cell, RefCell};

use crate::http1::wire::{LARGE_PIECE, PIECE};

/// Larger buffers are freed at once.
const MAX_SIZE: usize = LARGE_PIECE;

/// The spare buffers of one worker. Their number follows the number in use at a time between two calls of
/// [`Buffers::trim`].
#[derive(Debug, Default)]
pub struct Buffers {
    spare: RefCell<Vec<Vec<u8>>>,
    /// The minimum number of spare buffers since the last [`Buffers::trim`]: these were not needed.
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

    /// Returns a buffer.
    pub fn give(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_SIZE {
            buffer.clear();
            self.spare.borrow_mut().push(buffer);
        }
    }

    /// Frees the buffers that were not used since the last call.
    pub fn trim(&self) {
        let mut spare = self.spare.borrow_mut();
        let unused = self.unused.get().min(spare.len());
        // The most recently used ones are at the end.
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
    fn large_buffer_is_not_kept() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(MAX_SIZE + 1));
        assert_eq!(spare(&buffers), 0);
    }
}
