//! The graceful end of a connection (RFC 9113 section 6.8).
//!
//! A server first sends GOAWAY with the highest id there is, so that no request is lost that is on
//! its way, and a PING. Until the answer, requests are taken as before. After it, a client that
//! still opens streams gets REFUSED_STREAM, which clients retry. When all streams have ended, and a
//! round trip after the last refusal, the GOAWAY with the last stream follows.

use super::code::Code;
use super::core::{Core, Role};
use super::error::Ended;
use super::frame;
use super::linger::LINGER_PING;

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// The connection goes on.
    Not,
    /// The first GOAWAY was sent.
    Asked,
    /// The client has seen it, or had the time. `ping`: a refusal is on its way.
    Refusing { ping: bool },
}

const HIGHEST_ID: u32 = 0x7fff_ffff;

/// The PINGs of the end are told apart by their data from those of users.
const DRAIN_PING: [u8; 8] = *b"draining";

impl Core {
    /// Begins the end; streams that are open go on.
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
            // A client opens no more streams; it has nothing to refuse.
            Role::Client => {
                self.drain = Drain::Refusing { ping: false };
                for opener in self.openers.drain(..) {
                    opener.wake();
                }
            }
        }
        self.wake_driver();
    }

    /// Refuses a new stream if the end has come so far. The last GOAWAY then waits for a round trip.
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

    /// A PING of the end was answered, or had the time.
    pub fn drain_round_trip(&mut self) {
        if matches!(self.drain, Drain::Asked | Drain::Refusing { .. }) {
            self.drain = Drain::Refusing { ping: false };
        }
    }

    /// Whether an answer to a PING of the end is awaited.
    pub fn awaits_drain(&self) -> bool {
        matches!(self.drain, Drain::Asked | Drain::Refusing { ping: true })
    }

    /// Ends the connection where everything is done.
    pub fn finish_if_done(&mut self) {
        if self.ended.is_some() || self.streams.active() > 0 {
            return;
        }
        let reason = match self.role {
            Role::Server if self.drain == (Drain::Refusing { ping: false }) => {
                "the connection was closed gracefully"
            }
            Role::Client if self.goaway.is_some() => "the peer closes the connection",
            Role::Client if self.senders == 0 || self.drain != Drain::Not => {
                "the connection is no longer needed"
            }
            _ => return,
        };
        frame::goaway(self.output.buffer(), self.last_id, Code::NO_ERROR);
        self.end(Ended::local(Code::NO_ERROR, reason));
    }
}
