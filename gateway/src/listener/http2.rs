//! A client's HTTP/2 connection: concurrent exchanges, each on a stream.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{Method, StatusCode, Version};

use crate::exchange::{Exchange, Peer, Request, Response};
use crate::http::Rejection;
use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};
use crate::http::name::Name;
use crate::http::target::Pseudo;
use crate::http::websocket::Key;
use crate::http1::encode::append_number;
use crate::http1::head::Framing;
use crate::http1::request::{TARGET_TOO_LONG, TOO_LARGE};
use crate::http2::{self, Body, Code, Floods, Refusal, RequestHead, Settings};
use crate::net::Stream;
use crate::proxy;
use crate::proxy::downstream::Downstream;
use crate::settings::Listener;
use crate::snapshot::{Current, WorkerSnapshot};
use crate::worker::Worker;
use crate::worker::watch::{Deadlines, For};

const METHOD: Rejection = Rejection::bad("method", "The method is malformed.");
const PROTOCOL: Rejection =
    Rejection::with(StatusCode::NOT_IMPLEMENTED, "protocol", "The only protocol supported is websocket.");
const CONNECT_LENGTH: Rejection =
    Rejection::bad("connect_length", "A CONNECT request has no body, so no Content-Length.");

/// Serves a connection until its end. `first` was already received.
pub async fn serve(worker: Rc<Worker>, current: Rc<Current>, peer: Rc<Peer>, stream: Stream, first: Vec<u8>) {
    let mut driver = http2::serve(stream, &first, Rc::new(settings(&peer.listener)));
    let control = driver.control();
    let deadlines = worker.watches.add();
    let idle = peer.listener.idle_timeout;
    deadlines.set(For::Client, idle);
    let mut draining = false;
    loop {
        let request = poll_fn(|cx| {
            deadlines.register(cx);
            if let Poll::Ready(request) = driver.poll_request(cx) {
                return Poll::Ready(request);
            }
            if (worker.is_draining() || peer.ending.get()) && !std::mem::replace(&mut draining, true) {
                control.shutdown();
                cx.waker().wake_by_ref();
            }
            if deadlines.has_passed(For::Client) {
                let rested = control.idle_since().map(|since| since.elapsed()).unwrap_or_default();
                if rested >= idle {
                    control.shutdown();
                    cx.waker().wake_by_ref();
                }
                deadlines.set(For::Client, idle.saturating_sub(rested).max(idle / 8));
            }
            Poll::Pending
        })
        .await;
        let Some(request) = request else {
            return;
        };
        let snapshot = current.get();
        let exchange = serve_stream(Rc::clone(&worker), snapshot, Rc::clone(&peer), request);
        // Boxed: tokio moves the future of a task several times.
        tokio::task::spawn_local(Box::pin(exchange));
    }
}

fn settings(listener: &Listener) -> Settings {
    let limits = &listener.http2;
    Settings {
        header_list_bytes: listener.head.max_bytes,
        fields: listener.head.max_fields,
        field_block_bytes: 16 * listener.head.max_bytes.max(16 << 10),
        continuations: usize::try_from(limits.max_continuations).unwrap_or(usize::MAX),
        concurrent_streams: limits.max_streams,
        stream_window: limits.stream_window,
        connection_window: limits.connection_window,
        connect_protocol: true,
        floods: Floods {
            interval: limits.flood_interval,
            resets: limits.max_resets,
            settings: limits.max_settings,
            pings: limits.max_pings,
            ..Floods::default()
        },
        ..Settings::default()
    }
}

/// One stream of a client.
#[derive(Debug)]
struct Client {
    body: Body,
    deadlines: Deadlines,
    worker: Rc<Worker>,
    is_tunnel: bool,
}

async fn serve_stream(
    worker: Rc<Worker>,
    snapshot: Rc<WorkerSnapshot>,
    peer: Rc<Peer>,
    incoming: http2::Request,
) {
    let http2::Request { head, refused, stream } = incoming;
    let mut client = Client {
        body: Body::new(stream),
        deadlines: worker.watches.add(),
        worker: Rc::clone(&worker),
        is_tunnel: false,
    };
    let mut request = worker.heads.take_request();
    let max_target = peer.listener.max_request_line;
    let read = read(&mut request, head, client.body.stream().is_received(), max_target, || worker.nonce());
    let mut response = worker.heads.take_response();
    let mut exchange = Exchange::begin(&worker, &peer, &mut request, &mut response);
    let malformed = matches!(refused, Some(Refusal::Malformed(_)));
    let refused = match refused {
        Some(Refusal::HeadTooLarge) => Some(TOO_LARGE),
        Some(Refusal::Malformed(_)) => Some(Rejection::bad("stream_malformed", "The request is malformed.")),
        None => read.err(),
    };
    match refused {
        None => proxy::handle(&mut exchange, &snapshot, &mut client).await,
        Some(rejection) => proxy::refuse(&mut exchange, &snapshot, &mut client, &rejection).await,
    }
    exchange.finish();
    worker.heads.give(request, response);
    if malformed {
        client.body.stream().reset(Code::PROTOCOL_ERROR);
    }
    // If the response is complete and the request is not, the codec resets the stream after a round trip, so
    // that the client receives the response (RFC 9113 section 8.1).
}

/// Converts a head to a request. `ended`: no body follows; `nonce` is for the key of a WebSocket.
fn read(
    request: &mut Request,
    mut head: RequestHead,
    ended: bool,
    max_target: usize,
    nonce: impl FnOnce() -> [u8; 16],
) -> Result<(), Rejection> {
    let read = read_line(request, &head, ended, max_target, nonce);
    // Also those of a refused request: they show whether it is gRPC.
    http2::recycle(std::mem::replace(&mut request.fields, std::mem::take(&mut head.fields)));
    read?;
    if request.connect.is_some() {
        for handshake in [Name::WebSocketKey, Name::WebSocketAccept] {
            request.fields.remove(handshake);
        }
    }
    request.expects_continue =
        !request.framing.is_empty() && request.fields.lists(Name::Expect, b"100-continue");
    Ok(())
}

/// Reads the equivalents of HTTP/1's request line and Host, and the framing of the body.
fn read_line(
    request: &mut Request,
    head: &RequestHead,
    ended: bool,
    max_target: usize,
    nonce: impl FnOnce() -> [u8; 16],
) -> Result<(), Rejection> {
    request.version = Version::HTTP_2;
    request.method = Method::from_bytes(head.method()).map_err(|_| METHOD)?;
    request.framing = match head.content_length() {
        Some(length) => Framing::Length(length),
        None if ended => Framing::None,
        None => Framing::Chunked,
    };
    if head.path().is_some_and(|path| path.len() > max_target) {
        return Err(TARGET_TOO_LONG);
    }
    request.target.read_http2(&Pseudo {
        method: head.method(),
        scheme: head.scheme(),
        authority: head.authority(),
        path: head.path(),
        protocol: head.protocol(),
        host: head.fields.get(Name::Host),
    })?;
    if let Some(protocol) = head.protocol() {
        if !protocol.eq_ignore_ascii_case(b"websocket") {
            return Err(PROTOCOL);
        }
        if head.content_length().is_some() {
            return Err(CONNECT_LENGTH);
        }
        // Routes, filters and upstreams treat it as the equivalent HTTP/1.1 request.
        request.method = Method::GET;
        request.framing = Framing::None;
        request.connect = Some(Key::new(nonce()));
    }
    Ok(())
}

impl Source for Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        self.body.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        self.body.body()
    }

    fn consume(&mut self, count: usize) {
        self.body.consume(count);
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.body.trailers()
    }
}

impl Sink for Client {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        self.body.poll_write(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.body.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        self.body.poll_finish(cx, trailers)
    }
}

impl Downstream for Client {
    fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    fn unknown_length(&self) -> Framing {
        Framing::Close
    }

    fn send_head(&mut self, response: &mut Response, framing: Framing, has_body: bool) {
        if let Framing::Length(length) = framing {
            response.fields.write(Name::ContentLength, |out| append_number(out, length));
        }
        if !response.fields.has(Name::Date) {
            response.fields.add(Name::Date, &self.worker.clock.http_date());
        }
        let end = !has_body || framing.is_empty();
        // A broken stream shows when the body is written.
        if self.body.stream().send_head(response.status.as_u16(), &response.fields, end).is_ok() && end {
            self.body.set_sent();
        }
    }

    fn send_interim(&mut self, status: StatusCode, fields: &Fields) {
        // As for the head.
        let _ = self.body.stream().send_interim(status.as_u16(), fields);
    }

    fn discard_body(&mut self) {}

    fn close_after(&mut self) {}

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.body.stream().poll_reset(cx).map(|_| ())
    }

    fn abort(&mut self, at_fault: crate::http::Source) {
        let code = match at_fault {
            crate::http::Source::Downstream => Code::CANCEL,
            // RFC 9113 section 8.5.
            _ if self.is_tunnel => Code::CONNECT_ERROR,
            crate::http::Source::Upstream => Code::INTERNAL_ERROR,
        };
        self.body.stream().reset(code);
    }

    fn is_early(&self) -> bool {
        // The bytes of a stream always belong to its request.
        false
    }

    fn switch(&mut self) {
        self.is_tunnel = true;
    }
}
