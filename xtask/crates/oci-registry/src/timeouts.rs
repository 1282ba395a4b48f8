//! Time limits of HTTP exchanges.

use std::time::Duration;

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Finding the host, connecting and agreeing on TLS.
    pub connect: Duration,
    /// Between two pieces of data, in either direction.
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
