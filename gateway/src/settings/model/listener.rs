//! Listeners: addresses, protocols and limits for client connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::http::head::HeadLimits;
use crate::settings::Place;
use crate::settings::network::Network;
use crate::tls::MinVersion;

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// The address to bind; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The allowed protocols.
    pub protocols: Protocols,
    /// Certificates and client authentication, if it uses TLS.
    pub tls: Option<Tls>,
    /// The peers that begin each connection with a PROXY protocol header; `None` if no peer does.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Maximum time from the first byte of a request to the end of its head; also for the first request of a
    /// connection, its PROXY protocol header and its TLS handshake.
    pub header_timeout: Duration,
    /// Maximum idle time of a connection between requests.
    pub idle_timeout: Duration,
    /// Maximum pause of a client within a request body or while it reads a response.
    pub body_timeout: Duration,
    /// Maximum time of an exchange or a tunnel without a byte in either direction; `None` for no limit.
    pub stream_timeout: Option<Duration>,
    /// Minimum rate of a request body; `None` for no limit.
    pub min_body_rate: Option<BodyRate>,
    /// Limits of a request head.
    pub head: HeadLimits,
    /// Maximum length of a request line of HTTP/1, or of `:path` in HTTP/2, in bytes.
    pub max_request_line: usize,
    /// Maximum length of a request body in bytes.
    pub max_body_bytes: u64,
    /// Maximum number of connections over all threads.
    pub max_connections: usize,
    /// Maximum number of connections of one client address over all threads; `None` for no limit.
    pub max_connections_per_client: Option<usize>,
    /// The limits of HTTP/2.
    pub http2: Http2,
    /// Trusted proxies, from which `X-Forwarded-*` and `Forwarded` are accepted.
    pub trusted_proxies: Vec<Network>,
}

impl Listener {
    /// The settings that apply to open connections: all except the certificates, without the places in the
    /// file.
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

    /// Whether a connection opened with these settings may continue with `other`.
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

/// TLS settings of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificates; SNI selects one. Not empty in settings without problems.
    pub certificates: Vec<Certificate>,
    /// Index in `certificates` of the one for clients that send no SNI or an unknown name.
    pub default: usize,
    /// Minimum TLS version.
    pub min_version: MinVersion,
    /// Client authentication.
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
    /// Its place in the settings.
    pub place: Place,
}

/// Client authentication of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// Clients are not asked for a certificate.
    None,
    /// Clients are asked; one without a certificate is accepted, one with an invalid certificate is not. The
    /// file contains the certificates of the authorities in PEM.
    Optional(NamedFile),
    /// Only clients with a certificate signed by one of these authorities are accepted.
    Required(NamedFile),
}

/// The PROXY protocol, versions 1 and 2, on incoming connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyProtocol {
    /// The peers that must send the header. Connections of other peers are closed.
    pub trusted: Vec<Network>,
}

/// Minimum rate of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRate {
    /// The average since the head of the request, in bytes per second.
    pub bytes_per_second: u64,
    /// How long a body may be slower at its start.
    pub grace: Duration,
}

/// The limits of HTTP/2 (RFC 9113).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Maximum number of concurrent streams of a connection, `SETTINGS_MAX_CONCURRENT_STREAMS`.
    pub max_streams: u32,
    /// The flow-control window of a stream in bytes, `SETTINGS_INITIAL_WINDOW_SIZE`.
    pub stream_window: u32,
    /// The flow-control window of a connection in bytes.
    pub connection_window: u32,
    /// The interval of the next three limits.
    pub flood_interval: Duration,
    /// Maximum number of streams that a client may reset within the interval, or cause the gateway to reset.
    pub max_resets: u32,
    /// Maximum number of PING frames within the interval.
    pub max_pings: u32,
    /// Maximum number of SETTINGS frames within the interval.
    pub max_settings: u32,
    /// Maximum number of CONTINUATION frames of one header block.
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
