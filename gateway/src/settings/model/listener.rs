//! Listeners: where the gateway accepts requests, and within which limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::http::head::HeadLimits;
use crate::settings::Place;
use crate::settings::network::Network;
use crate::tls::MinVersion;

/// A place where the gateway accepts requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// The address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The protocols clients may speak.
    pub protocols: Protocols,
    /// Certificates and client authentication, if it speaks TLS.
    pub tls: Option<Tls>,
    /// The peers that begin each connection with a PROXY protocol header; none if no peer does.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// The longest time from the first byte of a request to the end of its head; also for the
    /// first request of a connection, its PROXY protocol header and its TLS handshake.
    pub header_timeout: Duration,
    /// The longest time a connection may rest between requests.
    pub idle_timeout: Duration,
    /// The longest time a client may pause within a request body or in taking a response.
    pub body_timeout: Duration,
    /// The longest time an exchange or a tunnel may pass without a byte in either direction; none
    /// for no limit.
    pub stream_timeout: Option<Duration>,
    /// The least rate at which a request body must arrive; none for no limit.
    pub min_body_rate: Option<BodyRate>,
    /// What a request head may measure.
    pub head: HeadLimits,
    /// The longest request line of HTTP/1, or `:path` of HTTP/2, in bytes.
    pub max_request_line: usize,
    /// The longest request body in bytes.
    pub max_body_bytes: u64,
    /// The most connections at a time over all threads.
    pub max_connections: usize,
    /// The most connections at a time of one client address over all threads; none for no limit.
    pub max_connections_per_client: Option<usize>,
    /// The limits of HTTP/2.
    pub http2: Http2,
    /// Peers whose `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<Network>,
}

impl Listener {
    /// What an open connection has of the listener: all but its certificates, and without the places
    /// in the file.
    fn of_connections(&self) -> Self {
        let mut listener = self.clone();
        if let Some(tls) = &mut listener.tls {
            tls.certificates.clear();
            tls.default = 0;
            if let ClientAuth::Optional(file) | ClientAuth::Required(file) = &mut tls.client_auth {
                file.place = Place::default();
            }
        }
        listener.max_connections = 0;
        listener.max_connections_per_client = None;
        listener
    }

    /// Whether a connection that was opened under these settings may go on under others.
    pub fn suits(&self, other: &Self) -> bool {
        self.of_connections() == other.of_connections()
    }
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: String::new(),
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            protocols: Protocols { http1: true, http2: true },
            tls: None,
            proxy_protocol: None,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            stream_timeout: Some(Duration::from_hours(1)),
            min_body_rate: Some(BodyRate { bytes_per_second: 64, grace: Duration::from_secs(30) }),
            head: HeadLimits { max_bytes: 16 << 10, max_fields: 64 },
            max_request_line: 8 << 10,
            max_body_bytes: 10 << 20,
            max_connections: 10_000,
            max_connections_per_client: None,
            http2: Http2::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// The protocols of a listener. With TLS the client chooses one by ALPN (RFC 7301); without TLS it
/// uses HTTP/2 by prior knowledge (RFC 9113 section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// HTTP/1.0 and HTTP/1.1.
    pub http1: bool,
    /// HTTP/2.
    pub http2: bool,
}

/// How a listener speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates; SNI chooses among them. With settings free of problems, at least one.
    pub certificates: Vec<Certificate>,
    /// The place in `certificates` of the one for clients that send no SNI or an unknown name.
    pub default: usize,
    /// The oldest version offered.
    pub min_version: MinVersion,
    /// Whether clients authenticate themselves with a certificate.
    pub client_auth: ClientAuth,
}

/// A certificate chain with its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate chain in PEM, the server's own first.
    pub certificate: NamedFile,
    /// The private key in PEM.
    pub key: NamedFile,
}

/// A file that the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The file.
    pub path: PathBuf,
    /// Where the settings name it.
    pub place: Place,
}

/// Whether the clients of a listener authenticate themselves with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They are asked; one that sends no certificate is accepted, one with a wrong certificate is
    /// not. The file holds the certificates of the authorities in PEM.
    Optional(NamedFile),
    /// Only those with a certificate of one of these authorities are accepted.
    Required(NamedFile),
}

/// The PROXY protocol, versions 1 and 2, on incoming connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The peers that must send the header. Connections of other peers are closed.
    pub trusted: Vec<Network>,
}

/// The least rate at which a body must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRate {
    /// The average since the head of the request, in bytes per second.
    pub bytes_per_second: u64,
    /// How long a body may be slower at its begin.
    pub grace: Duration,
}

/// The limits of HTTP/2 (RFC 9113).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// The most concurrent streams of a connection, `SETTINGS_MAX_CONCURRENT_STREAMS`.
    pub max_streams: u32,
    /// The flow-control window of a stream in bytes, `SETTINGS_INITIAL_WINDOW_SIZE`.
    pub stream_window: u32,
    /// The flow-control window of a connection in bytes.
    pub connection_window: u32,
    /// The time over which the next three limits count.
    pub flood_interval: Duration,
    /// The most streams that a client may reset within the interval, or cause the gateway to reset.
    pub max_resets: u32,
    /// The most PING frames within the interval.
    pub max_pings: u32,
    /// The most SETTINGS frames within the interval.
    pub max_settings: u32,
    /// The most CONTINUATION frames of one header block.
    pub max_continuations: u32,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            max_streams: 128,
            stream_window: 256 << 10,
            connection_window: 1 << 20,
            flood_interval: Duration::from_secs(10),
            max_resets: 500,
            max_pings: 100,
            max_settings: 50,
            max_continuations: 32,
        }
    }
}
