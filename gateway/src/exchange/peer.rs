//! The peer of a client connection.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use crate::proxy_protocol::Proxied;
use crate::settings::Listener;
use crate::settings::network::unmapped;
use crate::tls::Certificate;

/// Properties of a client connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The listener that accepted it.
    pub listener: Arc<Listener>,
    /// The address as text; IPv4-mapped addresses as IPv4.
    pub text: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// The content of the PROXY header for connections to endpoints.
    pub proxied: Proxied,
    /// The first parameters of the peer's element in `Forwarded` (RFC 7239 section 4).
    pub forwarded: String,
    /// Set to true when the connection must close because its listener was removed or changed.
    pub ending: Rc<Cell<bool>>,
    /// The client certificate, verified in the handshake.
    pub certificate: Option<Arc<ShownCertificate>>,
}

/// A client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// The parsed certificate.
    pub certificate: Certificate,
    /// The certificate in DER (X.690).
    pub der: Vec<u8>,
}

impl Peer {
    /// The peer at an address; `local` is the local address of the connection.
    pub fn new(listener: Arc<Listener>, address: SocketAddr, local: Option<SocketAddr>, tls: bool) -> Self {
        let ip = unmapped(address.ip());
        let trusted = listener.trusted_proxies.iter().any(|network| network.contains(ip));
        let scheme = if tls { "https" } else { "http" };
        let forwarded = match ip {
            IpAddr::V4(v4) => format!("for={v4};proto={scheme}"),
            IpAddr::V6(v6) => format!("for=\"[{v6}]\";proto={scheme}"),
        };
        let proxied =
            local.map_or(Proxied::Local, |destination| Proxied::Ip { source: address, destination });
        Self {
            listener,
            text: ip.to_string(),
            tls,
            trusted,
            proxied,
            forwarded,
            ending: Rc::default(),
            certificate: None,
        }
    }

    /// The scheme of the client's requests: `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}
