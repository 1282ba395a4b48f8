//! Active health checks: periodic probes of each endpoint.

mod http1;
mod http2;
mod judge;
mod run;

use std::time::Duration;

use crate::endpoint::Statuses;

pub use run::{Change, ProbeTarget, run};

/// The kind of probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A GET with the endpoint's HTTP version.
    Http {
        /// The path and query.
        path: String,
        /// The Host field; default: the endpoint's server name or address.
        host: Option<String>,
        /// The statuses of a healthy endpoint.
        expected: Statuses,
    },
    /// A connection, with the TLS handshake if the endpoint uses TLS.
    Connect,
}

/// Probe settings of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The kind of probe.
    pub kind: ProbeKind,
    /// The time from the start of one probe to the start of the next.
    pub interval: Duration,
    /// Timeout of one probe, from name resolution to the status.
    pub timeout: Duration,
    /// Consecutive successes that mark an endpoint up.
    pub healthy_threshold: u32,
    /// Consecutive failures that mark an endpoint down.
    pub unhealthy_threshold: u32,
}
