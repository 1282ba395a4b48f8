//! Active probes: asks each endpoint from time to time whether it is well.

mod http1;
mod http2;
mod judge;
mod run;

use std::time::Duration;

use crate::endpoint::Statuses;

pub use run::{Change, ProbeTarget, run};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKind {
    /// A GET over the protocol that the endpoint speaks.
    Http {
        /// The path, with its query if any.
        path: String,
        /// The Host field; without it, the endpoint's server name or address.
        host: Option<String>,
        /// The statuses of a healthy endpoint.
        expected: Statuses,
    },
    /// A connection, with the TLS handshake where the endpoint has TLS.
    Connect,
}

/// How the endpoints of an upstream are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// What is asked.
    pub kind: ProbeKind,
    /// The time from the beginning of one probe to that of the next.
    pub interval: Duration,
    /// The time for one probe, from the name's resolution to the status.
    pub timeout: Duration,
    /// Successes in a row after which an endpoint that is down is up.
    pub healthy_threshold: u32,
    /// Failures in a row after which an endpoint that is up is down.
    pub unhealthy_threshold: u32,
}
