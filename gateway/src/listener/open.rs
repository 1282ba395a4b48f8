//! A connection from its first byte to the start of HTTP.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{http1, http2};
use crate::exchange::{Peer, ShownCertificate};
use crate::net::Stream;
use crate::proxy_protocol::{self, MAX_HEADER, Parsed, Proxied};
use crate::settings::Listener;
use crate::snapshot::Current;
use crate::tls::peer_certificate;
use crate::worker::Worker;

/// Idle time after which TCP keepalive probes are sent.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// An accepted connection.
#[derive(Debug)]
pub struct Accepted {
    /// Its stream.
    pub stream: TcpStream,
    /// The peer's address.
    pub address: SocketAddr,
    /// The listener.
    pub listener: Arc<Listener>,
    /// TLS, if the listener uses it.
    pub tls: Option<Arc<ServerConfig>>,
    /// Set to true when the connection must close before the gateway stops.
    pub ending: Rc<Cell<bool>>,
}

/// Serves a connection until its end. Faults of the client close it without a message.
pub async fn serve(worker: Rc<Worker>, current: Rc<Current>, accepted: Accepted) {
    let Accepted { mut stream, address, listener, tls, ending } = accepted;
    if prepare(&stream).is_err() {
        return;
    }
    let mut addresses = (address, stream.local_addr().ok());
    if let Some(proxy) = &listener.proxy_protocol {
        if !proxy.trusted.iter().any(|network| network.contains(address.ip())) {
            return;
        }
        let header = tokio::time::timeout(listener.header_timeout, read_proxy_header(&mut stream));
        match header.await {
            Ok(Ok(Proxied::Ip { source, destination })) => addresses = (source, Some(destination)),
            Ok(Ok(Proxied::Local | Proxied::Unix)) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
    let mut peer = Peer::new(Arc::clone(&listener), addresses.0, addresses.1, tls.is_some());
    peer.ending = ending;
    let (stream, speaks_http2) = match tls {
        None => (Stream::Tcp(stream), !listener.protocols.http1),
        Some(tls) => {
            let handshake = TlsAcceptor::from(tls).accept(stream);
            let Ok(Ok(stream)) = tokio::time::timeout(listener.header_timeout, handshake).await else {
                return;
            };
            peer.certificate = peer_certificate(stream.get_ref().1)
                .map(|(certificate, der)| Arc::new(ShownCertificate { certificate, der: der.to_vec() }));
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Stream::Tls(Box::new(stream.into())), http2 || !listener.protocols.http1)
        }
    };
    let peer = Rc::new(peer);
    if speaks_http2 {
        return http2::serve(worker, current, peer, stream, Vec::new()).await;
    }
    let other = http1::serve(Rc::clone(&worker), &current, Rc::clone(&peer), stream, Vec::new()).await;
    if let Some((stream, first)) = other {
        // HTTP/2 by prior knowledge (RFC 9113 section 3.3).
        http2::serve(worker, current, peer, stream, first).await;
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Closes tunnels to clients that vanished.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}

/// Reads the PROXY header and no byte after it.
async fn read_proxy_header(stream: &mut TcpStream) -> io::Result<Proxied> {
    let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
    let mut peeked = vec![0; MAX_HEADER];
    let mut known = 0;
    loop {
        stream.readable().await?;
        let count = stream.peek(&mut peeked).await?;
        match proxy_protocol::parse(&peeked[..count]) {
            Parsed::Done(length, proxied) => {
                stream.read_exact(&mut peeked[..length]).await?;
                return Ok(proxied);
            }
            Parsed::Invalid(reason) => return Err(invalid(reason)),
            Parsed::NeedMore if count == 0 || count == MAX_HEADER => return Err(invalid("it is incomplete")),
            Parsed::NeedMore => {}
        }
        if count == known {
            // Peeked bytes stay in the socket, so that it does not report new data.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        known = count;
    }
}
