//! Graceful shutdown of a connection (RFC 9113 section 6.8).
//!
//! A server first sends GOAWAY with the highest possible stream id, so that no request in transit is lost,
//! and a PING. Until the PING is answered, new requests are accepted. After it, a client that still opens
//! streams gets REFUSED_STREAM, which clients retry. When all streams have ended, and one round trip after
//! the last refusal, the GOAWAY with the last stream id follows.

use super::code::Code;
use super::core::{Core, Role};
use super::error::Ended;
use super::frame;
use super::linger::LINGER_PING;

/// The phase of the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// No shutdown.
    Not,
    /// The first GOAWAY was sent.
    Asked,
    /// The client has received it, or the timeout was reached. `ping`: a PING after a refusal is not answered
    /// yet.
    Refusing { ping: bool },
}

const HIGHEST_ID: u32 = 0x7fff_ffff;

/// Data of shutdown PINGs, to distinguish them from others.
const DRAIN_PING: [u8; 8] = *b"draining";

impl Core {
    /// Begins the shutdown; open streams continue.
    pub fn shutdown(&mut self) {
        if self.drain != Drain::Not || self.ended.is_some() {
            return;
        }
        match self.role {
            Role::Server => {
                let out = self.output.buffer();
                frame::goaway(out, HIGHEST_ID, Code::NO_ERROR);
                frame::ping(out, 0, &DRAIN_PING);
                self.drain = Drain::Asked;
            }
            // A client opens no more streams and has none to refuse.
            Role::Client => {
                self.drain = Drain::Refusing { ping: false };
                for opener in self.openers.drain(..) {
                    opener.wake();
                }
            }
        }
        self.wake_driver();
    }

    /// Whether a new stream must be refused in this phase. The last GOAWAY is then delayed by a round trip.
    pub(super) fn refuses(&mut self, id: u32) -> bool {
        let Drain::Refusing { ping } = &mut self.drain else { return false };
        let out = self.output.buffer();
        frame::rst_stream(out, id, Code::REFUSED_STREAM);
        if !std::mem::replace(ping, true) {
            frame::ping(out, 0, &DRAIN_PING);
        }
        true
    }

    pub(super) fn ping_answered(&mut self, data: &[u8]) {
        if data == DRAIN_PING {
            self.drain_round_trip();
        } else if data == LINGER_PING {
            self.end_linger();
        }
    }

    /// The shutdown PING was answered, or its timeout was reached.
    pub fn drain_round_trip(&mut self) {
        if matches!(self.drain, Drain::Asked | Drain::Refusing { .. }) {
            self.drain = Drain::Refusing { ping: false };
        }
    }

    /// Whether the answer to a shutdown PING is outstanding.
    pub fn awaits_drain(&self) -> bool {
        matches!(self.drain, Drain::Asked | Drain::Refusing { ping: true })
    }

    /// Closes the connection if the shutdown is complete.
    pub fn finish_if_done(&mut self) {
        if self.ended.is_some() || self.streams.active() > 0 {
            return;
        }
        let reason = match self.role {
            Role::Server if self.drain == (Drain::Refusing { ping: false }) => {
                "the connection was closed gracefully"
            }
            Role::Client if self.goaway.is_some() => "the peer is closing the connection",
            Role::Client if self.senders == 0 || self.drain != Drain::Not => {
                "the connection is no longer needed"
            }
            _ => return,
        };
        frame::goaway(self.output.buffer(), self.last_id, Code::NO_ERROR);
        self.end(Ended::local(Code::NO_ERROR, reason));
    }
}
