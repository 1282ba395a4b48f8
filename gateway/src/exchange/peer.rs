//! The other end of a client's connection.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use crate::proxy_protocol::Proxied;
use crate::settings::Listener;
use crate::settings::network::unmapped;
use crate::tls::Certificate;

/// What is known of a client's connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The listener that accepted it.
    pub listener: Arc<Listener>,
    /// The address in text, IPv4 in its own form.
    pub text: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether the peer is a proxy that may speak for clients.
    pub trusted: bool,
    /// What the PROXY header of a connection to an endpoint says.
    pub proxied: Proxied,
    /// The begin of its element in `Forwarded` (RFC 7239 section 4).
    pub forwarded: String,
    /// Becomes true when the connection is to end, since its listener was removed or changed.
    pub ending: Rc<Cell<bool>>,
    /// The certificate that the client showed, verified in the handshake.
    pub certificate: Option<Arc<ShownCertificate>>,
}

/// A certificate that a client showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// What it says.
    pub certificate: Certificate,
    /// The certificate itself (X.690).
    pub der: Vec<u8>,
}

impl Peer {
    /// The peer at an address; `local` is where it connected to.
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

    /// `http` or `https`, as the client speaks it.
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}
