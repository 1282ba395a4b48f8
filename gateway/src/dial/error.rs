//! Why a connection to an endpoint was not made.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// What was being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding the addresses of a name.
    Resolve,
    /// Connecting to an address.
    Connect,
    /// Writing the PROXY header.
    ProxyHeader,
    /// The TLS handshake.
    Handshake,
}

/// A connection to an endpoint was not made.
#[derive(Debug)]
pub struct DialError {
    /// The endpoint: `host:port` or `unix:/path`.
    pub endpoint: String,
    /// The address on which it failed last, where there is one.
    pub address: Option<SocketAddr>,
    /// What was being done.
    pub step: Step,
    /// Why it failed; of kind `TimedOut` if the deadline came first.
    pub cause: io::Error,
}

impl DialError {
    /// Whether the deadline came before an answer.
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
