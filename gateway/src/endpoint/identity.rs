//! Identity and settings of an endpoint.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::balance::hash_key;
use super::moment::Moment;
use super::state::EndpointState;

/// The id of an endpoint in this process. Ids are never reused, so that a pooled connection belongs to the
/// endpoint for which it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(u64);

impl EndpointId {
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// HTTP in the clear or over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// The HTTP version an endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only: by ALPN over TLS, by prior knowledge in the clear (RFC 9113 section 3.3).
    Http2,
    /// What ALPN selects over TLS, HTTP/2 preferred; HTTP/1.1 in the clear.
    Auto,
}

/// Address of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A name or an IP address, and a port. IPv6 addresses have no brackets.
    Host {
        /// The name or IP address.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => match host.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{port}"),
                _ => write!(f, "{host}:{port}"),
            },
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Settings of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// HTTP in the clear or over TLS.
    pub scheme: Scheme,
    /// Its address.
    pub address: Address,
    /// The name for SNI and certificate verification; default: the host of the address.
    pub server_name: Option<String>,
    /// The HTTP version.
    pub protocol: Protocol,
    /// Its weight relative to the other endpoints; 0 for no requests.
    pub weight: u32,
    /// Its zone: requests go to the lowest number with enough healthy endpoints.
    pub priority: u8,
}

impl EndpointConfig {
    /// An HTTP/1.1 endpoint in the clear with weight 1 in zone 0.
    pub fn new(address: Address) -> Self {
        Self {
            scheme: Scheme::Http,
            address,
            server_name: None,
            protocol: Protocol::Http1,
            weight: 1,
            priority: 0,
        }
    }

    /// The host in its requests, with the port if it is not the scheme's default (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        let standard = if self.scheme == Scheme::Https { 443 } else { 80 };
        match &self.address {
            Address::Host { host, port } if *port == standard => {
                if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                }
            }
            Address::Host { .. } => self.address.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Whether both can share connections.
    pub(super) fn same_connection(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.address == other.address
            && self.server_name == other.server_name
            && self.protocol == other.protocol
    }
}

/// One server of an upstream.
#[derive(Debug)]
pub struct Endpoint {
    /// Its id in this process.
    pub id: EndpointId,
    /// Its settings.
    pub config: EndpointConfig,
    /// The address as text: `host:port` or `unix:/path`.
    pub name: String,
    /// Its health, shared by all workers.
    pub state: Arc<EndpointState>,
    /// Its position for the consistent hash; equal in every process with the same settings.
    pub(super) hash: u64,
}

impl Endpoint {
    /// An endpoint outside an upstream, for the gateway's own connections.
    pub fn alone(config: EndpointConfig) -> Self {
        let name = config.address.to_string();
        let state = Arc::new(EndpointState::new(Moment::START));
        Self { id: EndpointId::next(), hash: hash_key(name.as_bytes()), name, config, state }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, EndpointConfig, Scheme};

    #[test]
    fn authorities() {
        let table = [
            (Scheme::Http, "a.example", 80, "a.example"),
            (Scheme::Http, "a.example", 443, "a.example:443"),
            (Scheme::Https, "a.example", 443, "a.example"),
            (Scheme::Https, "::1", 443, "[::1]"),
            (Scheme::Http, "::1", 8080, "[::1]:8080"),
        ];
        for (scheme, host, port, expected) in table {
            let config = EndpointConfig::new(Address::Host { host: host.to_owned(), port });
            assert_eq!(EndpointConfig { scheme, ..config }.authority(), expected, "{host}:{port}");
        }
        let socket = EndpointConfig::new(Address::Unix("/run/a.sock".into()));
        assert_eq!(socket.authority(), "localhost");
    }

    #[test]
    fn addresses_as_text() {
        let host = |host: &str| Address::Host { host: host.to_owned(), port: 80 }.to_string();
        assert_eq!(host("a.example"), "a.example:80");
        assert_eq!(host("10.0.0.1"), "10.0.0.1:80");
        assert_eq!(host("::1"), "[::1]:80");
        assert_eq!(Address::Unix("/run/a.sock".into()).to_string(), "unix:/run/a.sock");
    }
}
