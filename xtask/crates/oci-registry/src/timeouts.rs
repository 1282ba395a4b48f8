//! Time limits of HTTP exchanges.

use std::time::Duration;

/// Time limits of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// DNS, TCP connect and TLS handshake together.
    pub connect: Duration,
    /// Between two reads or writes, in either direction.
    pub idle: Duration,
}

impl Timeouts {
    /// How long a body may take before its pace counts, and the head of an answer in all.
    pub(super) fn transfer(&self) -> Duration {
        self.idle.saturating_mul(2)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), idle: Duration::from_mins(1) }
    }
}
