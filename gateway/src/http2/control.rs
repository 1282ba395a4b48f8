//! Observation and control of a connection from outside its driver.

use std::time::Instant;

use super::code::Code;
use super::core::Shared;
use super::error::Ended;

/// A handle of a connection, separate from its streams.
#[derive(Debug, Clone)]
pub struct Control {
    core: Shared,
}

impl Control {
    pub(super) const fn new(core: Shared) -> Self {
        Self { core }
    }

    /// Closes the connection gracefully: open streams continue (RFC 9113 section 6.8). A server sends GOAWAY
    /// twice, one round trip apart.
    pub fn shutdown(&self) {
        self.core.borrow_mut().shutdown();
    }

    /// Closes the connection immediately: open streams are aborted, and GOAWAY names the last accepted one.
    pub fn close(&self, code: Code, reason: &'static str) {
        self.core.borrow_mut().connection_fault(code, reason);
    }

    /// The number of open streams.
    pub fn active(&self) -> usize {
        self.core.borrow().active()
    }

    /// Time since which no stream is open; `None` while one is.
    pub fn idle_since(&self) -> Option<Instant> {
        let core = self.core.borrow();
        (core.active() == 0).then_some(core.idle_since)
    }

    /// The reason why the connection ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        self.core.borrow().ended
    }
}
