//! Responses that are complete before their request (RFC 9113 section 8.1).
//!
//! RST_STREAM with NO_ERROR asks the client to stop sending. Clients that read it together with the response
//! lose the response (curl 7.88), so it is sent one round trip later: after the answer to a PING that follows
//! the response. Until then the rest of the request is discarded.

use super::code::Code;
use super::core::{Core, Role};
use super::frame;
use super::state::Half;
use super::streams::Key;

/// The data of the PING.
pub(super) const LINGER_PING: [u8; 8] = *b"response";

/// Streams without a handle whose client has not read the response yet, by key and id.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Streams whose response was sent before the PING.
    pinged: Vec<(Key, u32)>,
    /// Streams whose response was sent later.
    next: Vec<(Key, u32)>,
}

impl Core {
    /// Whether a dropped stream is kept for a round trip.
    pub(super) fn begin_linger(&mut self, key: Key) -> bool {
        let Some(stream) = self.streams.get(key) else { return false };
        let early = stream.send == Half::Ended && stream.recv == Half::Open && !stream.malformed;
        if !early || self.role == Role::Client {
            return false;
        }
        stream.lingering = true;
        stream.discard = true;
        stream.body.clear();
        stream.tail = Vec::new();
        let (id, held) = (stream.id, std::mem::take(&mut stream.held));
        self.give_back(held);
        self.linger.next.push((key, id));
        if self.linger.pinged.is_empty() {
            self.ping_linger();
        }
        true
    }

    fn ping_linger(&mut self) {
        self.linger.pinged = std::mem::take(&mut self.linger.next);
        if !self.linger.pinged.is_empty() {
            frame::ping(self.output.buffer(), 0, &LINGER_PING);
            self.wake_driver();
        }
    }

    /// The PING was answered.
    pub(super) fn end_linger(&mut self) {
        for (key, id) in std::mem::take(&mut self.linger.pinged) {
            if self.streams.get(key).is_some_and(|stream| stream.lingering && stream.id == id) {
                self.reset(key, Code::NO_ERROR, "the response was complete before the request");
            }
        }
        self.ping_linger();
    }
}
