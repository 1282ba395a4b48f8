//! The streams of a connection, by key or id.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::state::Stream;

/// Capacity that an idle connection keeps for streams.
const KEPT: usize = 32;

/// All streams that have a handle.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Box<Stream>>>,
    free: Vec<u32>,
    /// Streams that are not closed in the protocol.
    index: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
}

/// Index of a stream.
pub(super) type Key = u32;

impl Streams {
    pub fn insert(&mut self, stream: Stream) -> Key {
        let (id, stream) = (stream.id, Box::new(stream));
        let key = if let Some(key) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(key as usize) {
                *slot = Some(stream);
            }
            key
        } else {
            self.slots.push(Some(stream));
            Key::try_from(self.slots.len() - 1).unwrap_or(Key::MAX)
        };
        self.index.insert(id, key);
        key
    }

    pub fn get(&mut self, key: Key) -> Option<&mut Stream> {
        self.slots.get_mut(key as usize)?.as_deref_mut()
    }

    /// The key of a stream that is not closed.
    pub fn find(&self, id: u32) -> Option<Key> {
        self.index.get(&id).copied()
    }

    /// Marks a stream as closed in the protocol; it can still be read.
    pub fn close(&mut self, id: u32) -> bool {
        self.index.remove(&id).is_some()
    }

    /// Removes a stream after its handle was dropped.
    pub fn remove(&mut self, key: Key) -> Option<Box<Stream>> {
        let stream = self.slots.get_mut(key as usize)?.take()?;
        self.index.remove(&stream.id);
        self.free.push(key);
        if self.free.len() == self.slots.len() {
            self.slots.clear();
            self.free.clear();
            if self.slots.capacity() > KEPT {
                *self = Self::default();
            }
        }
        Some(stream)
    }

    /// The number of streams that are not closed.
    pub fn active(&self) -> usize {
        self.index.len()
    }

    /// The number of streams with a handle.
    pub fn alive(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().flatten().map(Box::as_mut)
    }

    /// Removes the ids of closed streams.
    pub fn forget_closed(&mut self) {
        let slots = &self.slots;
        let open = |key: Key| {
            slots.get(key as usize).and_then(Option::as_deref).is_some_and(|slot| !slot.is_closed())
        };
        self.index.retain(|_, key| open(*key));
    }
}

/// Hashes ids by one multiplication: the peer counts ids up, and a peer that chooses them otherwise can only
/// fill its own few streams.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }
    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
