//! The steps from an endpoint to a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsStream;

use super::connect::connect;
use super::dns::Resolver;
use super::error::{DialError, Step};
use super::tls::ClientTls;
use crate::endpoint::{Address, Endpoint, Protocol, Scheme};
use crate::net::Stream;
use crate::proxy_protocol::{self, Proxied, Version};

/// Connection settings of an upstream's endpoints. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DialSettings {
    /// Resolves names; shared by the process.
    pub resolver: Arc<Resolver>,
    /// Client TLS for endpoints with scheme `https`; required if there are any.
    pub tls: Option<Arc<ClientTls>>,
    /// The version of the PROXY header to send, if any.
    pub proxy_header: Option<Version>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Dialed {
    /// The byte stream.
    pub stream: Stream,
    /// The HTTP version: [`Protocol::Http1`] or [`Protocol::Http2`], never `Auto`.
    pub protocol: Protocol,
    /// The connected address; `None` for a Unix socket.
    pub address: Option<SocketAddr>,
}

/// Opens a connection.
///
/// `client` is sent in the PROXY header, if one is configured; such a connection belongs to this client and
/// is not shared.
///
/// # Errors
///
/// [`DialError`] with the failed step, at the deadline at the latest.
pub async fn dial(
    endpoint: &Endpoint,
    settings: &DialSettings,
    client: &Proxied,
    deadline: Instant,
) -> Result<Dialed, DialError> {
    dial_as(endpoint, endpoint.config.protocol, settings, client, deadline).await
}

/// Like [`dial`], with a different HTTP version than the endpoint's.
pub(crate) async fn dial_as(
    endpoint: &Endpoint,
    protocol: Protocol,
    settings: &DialSettings,
    client: &Proxied,
    deadline: Instant,
) -> Result<Dialed, DialError> {
    let attempt = Attempt { endpoint, protocol, settings, client, deadline };
    match &endpoint.config.address {
        Address::Unix(path) => {
            let stream = attempt.within(Step::Connect, None, UnixStream::connect(path)).await?;
            attempt.finish(stream, None, Stream::Unix, Stream::TlsUnix).await
        }
        Address::Host { host, port } => {
            let resolving = settings.resolver.resolve(host, deadline);
            let addresses = attempt.within(Step::Resolve, None, resolving).await?;
            let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect();
            let (stream, address) = connect(addresses, deadline)
                .await
                .map_err(|(address, cause)| attempt.error(Step::Connect, Some(address), cause))?;
            attempt.finish(stream, Some(address), Stream::Tcp, Stream::Tls).await
        }
    }
}

#[derive(Clone, Copy)]
struct Attempt<'a> {
    endpoint: &'a Endpoint,
    protocol: Protocol,
    settings: &'a DialSettings,
    client: &'a Proxied,
    deadline: Instant,
}

impl Attempt<'_> {
    fn error(self, step: Step, address: Option<SocketAddr>, cause: io::Error) -> DialError {
        DialError { endpoint: self.endpoint.name.clone(), address, step, cause }
    }

    async fn within<T>(
        self,
        step: Step,
        address: Option<SocketAddr>,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, DialError> {
        let done = timeout_at(self.deadline, work).await.unwrap_or_else(|_| Err(late()));
        done.map_err(|cause| self.error(step, address, cause))
    }

    /// Sends the PROXY header and performs the TLS handshake on a connected stream.
    async fn finish<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        mut stream: S,
        address: Option<SocketAddr>,
        plain: impl FnOnce(S) -> Stream,
        tls: impl FnOnce(Box<TlsStream<S>>) -> Stream,
    ) -> Result<Dialed, DialError> {
        if let Some(version) = self.settings.proxy_header {
            let mut header = Vec::new();
            proxy_protocol::write(version, self.client, &mut header);
            self.within(Step::ProxyHeader, address, stream.write_all(&header)).await?;
        }
        if self.endpoint.config.scheme == Scheme::Http {
            // Without ALPN nothing announces that a server supports HTTP/2.
            let protocol = match self.protocol {
                Protocol::Http2 => Protocol::Http2,
                Protocol::Http1 | Protocol::Auto => Protocol::Http1,
            };
            return Ok(Dialed { stream: plain(stream), protocol, address });
        }
        let Some(tls_settings) = &self.settings.tls else {
            let cause =
                io::Error::new(io::ErrorKind::InvalidInput, "TLS is not configured for this upstream");
            return Err(self.error(Step::Handshake, address, cause));
        };
        let handshake = tls_settings.connect(&self.endpoint.config, self.protocol, stream);
        let (stream, protocol) = self.within(Step::Handshake, address, handshake).await?;
        Ok(Dialed { stream: tls(Box::new(stream.into())), protocol, address })
    }
}

pub(super) fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
