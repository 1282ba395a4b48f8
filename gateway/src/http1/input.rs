//! The read buffer of a connection.

/// A read into less room is not worth its system call.
const MIN_ROOM: usize = 1 << 10;

/// A read buffer. It has no allocation while it is empty and released.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
}

impl Input {
    /// A buffer with these bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// The bytes not yet consumed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// Marks the first `count` bytes as consumed.
    pub fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
        }
    }

    /// The buffer for further bytes: room for `room` of them, or for as many as fit behind the buffered ones.
    pub fn spare(&mut self, room: usize) -> &mut Vec<u8> {
        if self.is_empty() {
            self.bytes.reserve_exact(room);
        } else if self.bytes.capacity() - self.bytes.len() < MIN_ROOM {
            self.bytes.drain(..self.start);
            self.start = 0;
            if self.bytes.capacity() - self.bytes.len() < MIN_ROOM {
                self.bytes.reserve(MIN_ROOM);
            }
        }
        &mut self.bytes
    }

    /// Whether a buffer is allocated.
    pub fn is_allocated(&self) -> bool {
        self.bytes.capacity() > 0
    }

    /// Takes an empty allocation from a pool.
    pub fn lend(&mut self, storage: Vec<u8>) {
        if !self.is_allocated() {
            self.bytes = storage;
            self.start = 0;
        }
    }

    /// Returns the allocation if the buffer is empty.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        (self.is_empty() && self.is_allocated()).then(|| std::mem::take(&mut self.bytes))
    }
}
