//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Handler;
use super::connection::Connection;
use super::stream::Stream;
use super::uptake::{Streams, Watched};
use super::wire::{LAST_CHANCE, Patience, Wire};
use crate::http::guard::Guard;
use crate::settings::Listener;

/// What a client that speaks HTTP/2 sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// When the system begins to ask a silent peer whether it is still there.
const KEEPALIVE: Duration = Duration::from_mins(1);
/// Requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Streams a client may reset before they were handled (CVE-2023-44487).
const MAX_PENDING_RESETS: usize = 20;
/// Streams the gateway may have to reset for a client's faults (CVE-2025-8671).
const MAX_LOCAL_RESETS: usize = 256;
/// How much of a body the gateway takes in before it has passed it on.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
const SEND_BUFFER: usize = 256 << 10;

/// Serves a connection until its end. Faults of the client end it silently.
pub async fn serve<H: Handler>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    listener: &Listener,
    connection: Arc<Connection>,
    handler: Arc<H>,
    drain: watch::Receiver<bool>,
) {
    let opened = open(stream, tls, &connection, drain.clone());
    let Ok(Ok(Some((stream, http2, first)))) = tokio::time::timeout(listener.header_timeout, opened).await
    else {
        return;
    };
    let mut guard = if http2 { Guard::open() } else { Guard::new(listener.head) };
    guard.input().extend_from_slice(&first);
    let patience = Patience {
        header: listener.header_timeout,
        idle: listener.idle_timeout,
        write: listener.body_timeout,
    };
    let wire = TokioIo::new(Wire::new(stream, guard, Arc::clone(&connection), patience));
    if http2 {
        serve_http2(wire, listener, connection, handler, drain).await;
    } else {
        serve_http1(wire, listener, connection, handler, drain).await;
    }
}

/// Brings the connection to where HTTP begins: the stream, whether it is HTTP/2, and bytes
/// received already. Nothing if the gateway stops before that.
async fn open(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: &Connection,
    mut drain: watch::Receiver<bool>,
) -> io::Result<Option<(Stream, bool, BytesMut)>> {
    stream.set_nodelay(true)?;
    // So that a tunnel to a vanished client ends some day.
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    if let Some(tls) = tls {
        debug_assert!(connection.tls);
        let stream = tls.accept(stream).await?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        return Ok(Some((Stream::Tls(Box::new(stream)), http2, BytesMut::new())));
    }
    let mut stream = stream;
    let mut first = BytesMut::with_capacity(4096);
    loop {
        // HTTP/1 differs from the preface early: no request line begins with `PRI *`.
        let known = first.len().min(PREFACE.len());
        if first[..known] != PREFACE[..known] {
            return Ok(Some((Stream::Plain(stream), false, first)));
        }
        if known == PREFACE.len() {
            return Ok(Some((Stream::Plain(stream), true, first)));
        }
        let last_chance = async {
            let _ = drain.wait_for(|&drain| drain).await;
            tokio::time::sleep(LAST_CHANCE).await;
        };
        let received = tokio::select! {
            received = stream.read_buf(&mut first) => received?,
            () = last_chance, if first.is_empty() => 0,
        };
        if received == 0 {
            return Ok(None);
        }
    }
}

async fn serve_http1<H: Handler>(
    wire: TokioIo<Wire>,
    listener: &Listener,
    connection: Arc<Connection>,
    handler: Arc<H>,
    mut drain: watch::Receiver<bool>,
) {
    let shared = Arc::clone(&connection);
    let service = service_fn(move |request| answer(&shared, &handler, request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // The wire keeps the time, and tells the client when it is up.
        .header_read_timeout(None)
        // The guard keeps the limits; these must only not be lower.
        .max_headers(listener.head.max_fields)
        .max_buf_size(listener.head.max_bytes + (16 << 10))
        .serve_connection(wire, service)
        .with_upgrades();
    let mut served = pin!(served);
    tokio::select! {
        // A broken connection is the client's affair.
        _ = served.as_mut() => return,
        _ = drain.wait_for(|&drain| drain) => {}
    }
    connection.drain();
    served.as_mut().graceful_shutdown();
    let _ = served.await;
}

async fn serve_http2<H: Handler>(
    wire: TokioIo<Wire>,
    listener: &Listener,
    connection: Arc<Connection>,
    handler: Arc<H>,
    mut drain: watch::Receiver<bool>,
) {
    let shared = Arc::clone(&connection);
    let service = service_fn(move |request| {
        shared.begin();
        let answer = answer(&shared, &handler, request);
        async move { answer.await.map(|response| response.map(Watched)) }
    });
    let streams = Streams { connection: Arc::clone(&connection), limit: listener.body_timeout };
    let header_bytes = u32::try_from(listener.head.max_bytes).unwrap_or(u32::MAX);
    let served = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_LOCAL_RESETS)
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(wire, service);
    let mut served = pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = drain.wait_for(|&drain| drain) => {}
        () = idle(&connection, listener.idle_timeout) => {}
    }
    connection.drain();
    served.as_mut().graceful_shutdown();
    // The client gets the chance to end as well, but not more than that.
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            () = tokio::time::sleep(listener.header_timeout) => {
                if connection.idle_since().is_some() {
                    return;
                }
            }
        }
    }
}

/// Waits until no request has been in flight for so long.
async fn idle(connection: &Connection, limit: Duration) {
    loop {
        let deadline = match connection.idle_since() {
            Some(since) if since.elapsed() >= limit => return,
            Some(since) => since + limit,
            None => tokio::time::Instant::now() + limit,
        };
        tokio::time::sleep_until(deadline).await;
    }
}

fn answer<H: Handler>(
    connection: &Arc<Connection>,
    handler: &Arc<H>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<H::Body>, Infallible>> + Send + use<H> {
    let connection = Arc::clone(connection);
    let handler = Arc::clone(handler);
    let in_flight = connection.in_flight();
    async move { Ok(handler.handle(connection, in_flight, request).await) }
}
