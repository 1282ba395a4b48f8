//! Errors of connections to endpoints.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// The step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Resolving the name.
    Resolve,
    /// Connecting to an address.
    Connect,
    /// Sending the PROXY header.
    ProxyHeader,
    /// The TLS handshake.
    Handshake,
}

/// A connection to an endpoint failed.
#[derive(Debug)]
pub struct DialError {
    /// The endpoint: `host:port` or `unix:/path`.
    pub endpoint: String,
    /// The last address tried, if there is one.
    pub address: Option<SocketAddr>,
    /// The step that failed.
    pub step: Step,
    /// The cause; its kind is `TimedOut` if the deadline was reached.
    pub cause: io::Error,
}

impl DialError {
    /// Whether the deadline was reached.
    pub fn timed_out(&self) -> bool {
        self.cause.kind() == io::ErrorKind::TimedOut
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.endpoint)?;
        match self.step {
            Step::Resolve => f.write_str("the name was not resolved")?,
            Step::Connect => f.write_str("no connection")?,
            Step::ProxyHeader => f.write_str("the PROXY header was not sent")?,
            Step::Handshake => f.write_str("the TLS handshake failed")?,
        }
        if let Some(address) = self.address
            && address.to_string() != self.endpoint
        {
            write!(f, " ({address})")?;
        }
        let cause = self.cause.to_string();
        if cause.contains("CaUsedAsEndEntity") {
            return f.write_str(
                ": its certificate is that of an authority (CA:TRUE), which is not taken for a server; give it one \
                 with CA:FALSE",
            );
        }
        write!(f, ": {cause}")
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
