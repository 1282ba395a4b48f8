//! The streams of a connection: what is known of each, found by key or by its id.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::task::Waker;

use bytes::Bytes;

use super::error::StreamError;
use super::head::ResponseHead;
use crate::http::fields::Fields;

/// One direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// More may come.
    Open,
    /// END_STREAM was sent or received.
    Ended,
    /// It broke off.
    Failed,
}

/// A stream. It lives as long as the handle of its user, also when the protocol is done with it.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    pub send: Half,
    pub recv: Half,
    /// Why it broke off.
    pub error: Option<StreamError>,
    /// A final response head was sent or received.
    pub answered: bool,
    /// The request is malformed: the stream ends with PROTOCOL_ERROR, whatever is answered.
    pub malformed: bool,
    /// What is received is thrown away.
    pub discard: bool,
    /// The response has no body, since the request was HEAD.
    pub no_body: bool,
    /// The bytes of the body that the content-length still promises.
    pub expected: Option<u64>,
    /// May be negative (RFC 9113 section 6.9.2).
    pub send_window: i64,
    pub recv_window: i64,
    /// Received bytes that the user has not given back.
    pub held: u32,
    /// Bytes given back that the peer was not told of.
    pub credit: u32,
    /// Bytes it may send though others wait as well.
    pub allowance: usize,
    /// It stands in the list of those that wait for room.
    pub queued: bool,
    pub heads: VecDeque<ResponseHead>,
    pub body: VecDeque<Bytes>,
    pub trailers: Option<Box<Fields>>,
    /// Wakes who waits for what is received.
    pub reader: Option<Waker>,
    /// Wakes who waits for room to send.
    pub writer: Option<Waker>,
}

impl Stream {
    pub const fn new(id: u32, send_window: i64, recv_window: i64) -> Self {
        Self {
            id,
            send: Half::Open,
            recv: Half::Open,
            error: None,
            answered: false,
            malformed: false,
            discard: false,
            no_body: false,
            expected: None,
            send_window,
            recv_window,
            held: 0,
            credit: 0,
            allowance: 0,
            queued: false,
            heads: VecDeque::new(),
            body: VecDeque::new(),
            trailers: None,
            reader: None,
            writer: None,
        }
    }

    /// Whether the protocol is done with it.
    pub fn is_closed(&self) -> bool {
        self.send != Half::Open && self.recv != Half::Open
    }

    pub fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Breaks off what is still open.
    pub fn fail(&mut self, error: StreamError) {
        if self.is_closed() {
            return;
        }
        if self.send == Half::Open {
            self.send = Half::Failed;
        }
        if self.recv == Half::Open {
            self.recv = Half::Failed;
            self.body.clear();
        }
        self.error = Some(error);
        self.wake_reader();
        self.wake_writer();
    }
}

/// All streams whose handles live.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    free: Vec<u32>,
    /// The streams that the protocol is not done with.
    index: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
}

/// Where a stream stands.
pub(super) type Key = u32;

impl Streams {
    pub fn insert(&mut self, stream: Stream) -> Key {
        let id = stream.id;
        let key = if let Some(key) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(key as usize) {
                *slot = Some(stream);
            }
            key
        } else {
            if self.slots.is_empty() {
                // Most connections have one stream at a time; a second doubles this.
                self.slots.reserve_exact(1);
            }
            self.slots.push(Some(stream));
            Key::try_from(self.slots.len() - 1).unwrap_or(Key::MAX)
        };
        self.index.insert(id, key);
        key
    }

    pub fn get(&mut self, key: Key) -> Option<&mut Stream> {
        self.slots.get_mut(key as usize)?.as_mut()
    }

    /// The key of a stream that the protocol is not done with.
    pub fn find(&self, id: u32) -> Option<Key> {
        self.index.get(&id).copied()
    }

    /// The protocol is done with the stream; its user may still read.
    pub fn close(&mut self, id: u32) -> bool {
        self.index.remove(&id).is_some()
    }

    /// The user's handle is gone.
    pub fn remove(&mut self, key: Key) -> Option<Stream> {
        let stream = self.slots.get_mut(key as usize)?.take()?;
        self.index.remove(&stream.id);
        self.free.push(key);
        if self.free.len() == self.slots.len() {
            self.slots.clear();
            self.free.clear();
            if self.slots.capacity() > 2 {
                *self = Self::default();
            }
        }
        Some(stream)
    }

    /// The streams that the protocol is not done with.
    pub fn active(&self) -> usize {
        self.index.len()
    }

    /// All streams whose handles live.
    pub fn alive(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream> {
        self.slots.iter_mut().flatten()
    }

    /// Drops the ids of streams that are closed now.
    pub fn forget_closed(&mut self) {
        let slots = &self.slots;
        let open = |key: Key| slots.get(key as usize).and_then(Option::as_ref).is_some_and(|slot| !slot.is_closed());
        self.index.retain(|_, key| open(*key));
    }
}

/// Spreads ids by one multiplication: they are counted up by the peer, and a peer that chooses them
/// can only fill its own few streams.
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
