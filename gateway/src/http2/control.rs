//! What others see and decide of a connection.

use std::time::Instant;

use super::code::Code;
use super::core::Shared;
use super::error::Ended;

/// A handle on a connection, apart from its streams.
#[derive(Debug, Clone)]
pub struct Control {
    core: Shared,
}

impl Control {
    pub(super) const fn new(core: Shared) -> Self {
        Self { core }
    }

    /// Ends the connection gracefully: streams that are open go on (RFC 9113 section 6.8). A server
    /// sends GOAWAY twice, with a round trip between.
    pub fn shutdown(&self) {
        self.core.borrow_mut().shutdown();
    }

    /// Ends the connection now: open streams break off, and the peer is told the last one that was
    /// taken.
    pub fn close(&self, code: Code, reason: &'static str) {
        self.core.borrow_mut().connection_fault(code, reason);
    }

    /// The streams that are open.
    pub fn active(&self) -> usize {
        self.core.borrow().active()
    }

    /// Since when no stream is open; nothing while one is.
    pub fn idle_since(&self) -> Option<Instant> {
        let core = self.core.borrow();
        (core.active() == 0).then_some(core.idle_since)
    }

    /// How the connection ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        self.core.borrow().ended
    }
}
