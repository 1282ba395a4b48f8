//! Client TLS for connections to endpoints.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::roots;
use crate::endpoint::{Address, EndpointConfig, Protocol};
use crate::tls::{pem, provider, unfit_processor};

/// Maximum number of resumable sessions, for all endpoints of an upstream.
const MAX_SESSIONS: usize = 256;

/// Trusted certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// The system's certificate authorities.
    #[default]
    System,
    /// Only the authorities in this PEM file.
    File(PathBuf),
}

/// Client TLS settings of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientTlsConfig {
    /// Trusted certificate authorities.
    pub roots: Roots,
    /// PEM files: the gateway's client certificate with its intermediate certificates, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A file for client TLS cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientTlsError {
    /// The authorities.
    Roots(String),
    /// The certificate.
    Certificate(String),
    /// The key, or a key that does not match the certificate.
    Key(String),
    /// The processor does not support TLS.
    Processor(String),
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Roots(text) | Self::Certificate(text) | Self::Key(text) | Self::Processor(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for ClientTlsError {}

/// Client TLS of an upstream. All workers share its sessions.
#[derive(Debug)]
pub struct ClientTls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    auto: Arc<ClientConfig>,
    /// The certificate authorities from the file.
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Every file that cannot be used.
    pub fn load(config: &ClientTlsConfig) -> Result<Self, Vec<ClientTlsError>> {
        let mut errors = Vec::new();
        errors.extend(unfit_processor().map(ClientTlsError::Processor));
        let mut note = |error| errors.push(error);
        let roots = match &config.roots {
            Roots::System => roots::system(),
            Roots::File(path) => pem::authorities(path),
        };
        let roots = roots.map_err(|text| note(ClientTlsError::Roots(text))).ok();
        let identity = config.identity.as_ref().map(|(certificate, key)| {
            let certificates =
                pem::certificates(certificate).map_err(|text| note(ClientTlsError::Certificate(text))).ok();
            let private = pem::private_key(key).map_err(|text| note(ClientTlsError::Key(text))).ok();
            Some((certificates?, private?))
        });
        let (Some(roots), true) = (roots, errors.is_empty()) else { return Err(errors) };
        let identity: Option<Identity> = identity.flatten();
        let roots = Arc::new(roots);
        let shown = identity.as_ref().map(|(certificates, key)| (certificates.clone(), key.clone_key()));
        let built = build(Arc::clone(&roots), shown).map_err(|error| {
            let file = config.identity.as_ref().map(|(_, key)| key.display().to_string()).unwrap_or_default();
            vec![ClientTlsError::Key(format!(
                "'{file}' and its certificate cannot be used: {error}; make a new pair"
            ))]
        })?;
        let with = |protocols: &[&[u8]]| {
            let mut config = built.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Self {
            http1: with(&[b"http/1.1"]),
            http2: with(&[b"h2"]),
            auto: with(&[b"h2", b"http/1.1"]),
            roots,
            identity,
        })
    }

    /// Whether both were made from files with the same contents.
    pub fn is_same(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots && self.identity == other.identity
    }

    /// Performs the handshake on a connected stream; also returns the negotiated HTTP version.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        endpoint: &EndpointConfig,
        protocol: Protocol,
        stream: S,
    ) -> io::Result<(TlsStream<S>, Protocol)> {
        let host = match (&endpoint.server_name, &endpoint.address) {
            (Some(name), _) => name,
            (None, Address::Host { host, .. }) => host,
            (None, Address::Unix(_)) => {
                return Err(invalid("a Unix socket has no name to verify; set a server name"));
            }
        };
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| invalid("the server name is neither a DNS name nor an address"))?;
        let config = match protocol {
            Protocol::Http1 => &self.http1,
            Protocol::Http2 => &self.http2,
            Protocol::Auto => &self.auto,
        };
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        let agreed = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            // RFC 9113 section 3.2: without ALPN there is no HTTP/2 over TLS.
            _ if protocol == Protocol::Http2 => {
                return Err(io::Error::other("the server does not offer HTTP/2 (ALPN \"h2\")"));
            }
            _ => Protocol::Http1,
        };
        Ok((stream, agreed))
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

type Identity = (Vec<rustls::pki_types::CertificateDer<'static>>, rustls::pki_types::PrivateKeyDer<'static>);

fn build(roots: Arc<RootCertStore>, identity: Option<Identity>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((certificates, key)) => builder.with_client_auth_cert(certificates, key)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(MAX_SESSIONS);
    Ok(config)
}
