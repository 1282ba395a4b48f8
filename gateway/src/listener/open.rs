//! A connection from its first byte to where HTTP begins.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{http1, http2};
use crate::exchange::Peer;
use crate::net::Stream;
use crate::settings::Listener;
use crate::worker::Worker;

/// When the system begins to ask a silent peer whether it is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);

/// Serves a connection until its end. Faults of the client end it without a message.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
) {
    let local = stream.local_addr().ok();
    let peer = Rc::new(Peer::new(Arc::clone(&listener), address, local, tls.is_some()));
    if prepare(&stream).is_err() {
        return;
    }
    let Some(tls) = tls else {
        let stream = Stream::Tcp(stream);
        let other = http1::serve(Rc::clone(&worker), Rc::clone(&peer), stream, Vec::new()).await;
        if let Some((stream, first)) = other {
            // HTTP/2 by prior knowledge (RFC 9113 section 3.3).
            http2::serve(worker, peer, stream, first).await;
        }
        return;
    };
    let handshake = TlsAcceptor::from(tls).accept(stream);
    let Ok(Ok(stream)) = tokio::time::timeout(listener.header_timeout, handshake).await else {
        return;
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Stream::Tls(Box::new(stream.into()));
    if http2 {
        http2::serve(worker, peer, stream, Vec::new()).await;
    } else {
        http1::serve(worker, peer, stream, Vec::new()).await;
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // So that a tunnel to a vanished client ends some day.
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))
}
