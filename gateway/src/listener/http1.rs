//! A client's HTTP/1 connection: one exchange after another.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{StatusCode, Version};

use crate::exchange::{Exchange, Peer, Request, Response};
use crate::http::Rejection;
use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};
use crate::http::name::Name;
use crate::http1::encode::{append_field, append_framing, append_status};
use crate::http1::head::Framing;
use crate::http1::request::{self, TARGET_TOO_LONG};
use crate::http1::wire::Wire;
use crate::net::{Stream, append};
use crate::proxy;
use crate::proxy::downstream::Downstream;
use crate::snapshot::Current;
use crate::worker::Worker;
use crate::worker::watch::{Deadlines, For};

const TOO_SLOW: Rejection = Rejection::with(
    StatusCode::REQUEST_TIMEOUT,
    "header_timeout",
    "The request head did not arrive in time.",
);
/// How long an idle connection stays open when the gateway stops: a request may be in transit.
pub const DRAIN_GRACE: Duration = Duration::from_secs(2);
/// Limits for reading and discarding input after the last response. If the socket were closed with unread
/// bytes, the client's TCP stack might discard the response (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(1);

/// A client's connection.
#[derive(Debug)]
struct Client {
    wire: Wire,
    deadlines: Deadlines,
    version: Version,
    /// The client keeps the connection open.
    persists: bool,
    /// The gateway closes the connection after this exchange.
    close: bool,
    /// The current response ends with the connection.
    until_close: bool,
    aborted: bool,
    /// Maximum length of a request-target in bytes.
    max_target: usize,
    worker: Rc<Worker>,
    peer: Rc<Peer>,
}

/// The next event on a connection.
enum Next {
    Request(Box<Request>),
    Refused(Box<Request>, Rejection),
    Http2,
    End,
}

/// Serves a connection until its end. `first` was already received. If the client uses HTTP/2, the connection
/// is returned with its received bytes.
pub async fn serve(
    worker: Rc<Worker>,
    current: &Current,
    peer: Rc<Peer>,
    stream: Stream,
    first: Vec<u8>,
) -> Option<(Stream, Vec<u8>)> {
    let limits = peer.listener.head;
    let mut client = Client {
        wire: Wire::new(stream, first, limits),
        deadlines: worker.watches.add(),
        version: Version::HTTP_11,
        persists: true,
        close: false,
        until_close: false,
        aborted: false,
        max_target: peer.listener.max_request_line,
        worker: Rc::clone(&worker),
        peer: Rc::clone(&peer),
    };
    let mut fresh = true;
    loop {
        let next = client.next(&peer, fresh).await;
        fresh = false;
        match next {
            Next::End => break,
            Next::Http2 => return Some(client.wire.into_parts()),
            Next::Request(_) | Next::Refused(..) => {}
        }
        // On the heap while it lasts, so that an idle connection is small.
        Box::pin(client.exchange(current, &peer, next)).await;
        if !client.rest() {
            break;
        }
    }
    if client.aborted {
        client.break_off().await;
    } else {
        client.end().await;
    }
    None
}

/// The protocol of the received bytes.
enum Found {
    Head,
    Http2,
    End,
}

/// The client's HTTP/2 connection preface (RFC 9113 section 3.4). It differs from HTTP/1 early: no request
/// line begins with `PRI *`.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the bytes are the HTTP/2 preface; `None` if they are a part of it.
fn preface(received: &[u8]) -> Option<bool> {
    let known = received.len().min(PREFACE.len());
    (received[..known] == PREFACE[..known]).then_some(known == PREFACE.len())
}

impl Client {
    /// Reads the next request head.
    async fn next(&mut self, peer: &Peer, fresh: bool) -> Next {
        let (first, idle) = (peer.listener.header_timeout, peer.listener.idle_timeout);
        if self.wire.received().is_empty() {
            self.deadlines.set(For::Client, if fresh { first } else { idle });
        }
        let may_be_http2 = fresh && peer.listener.protocols.http2;
        let mut grace = false;
        let mut parsed = 0;
        let worker = Rc::clone(&self.worker);
        let mut request = None;
        let next = poll_fn(|cx| {
            self.deadlines.register(cx);
            loop {
                let received = self.wire.received().len();
                if received > parsed {
                    if parsed == 0 {
                        self.deadlines.set(For::Client, first);
                    }
                    parsed = received;
                    if may_be_http2 && let Some(whole) = preface(self.wire.received()) {
                        if whole {
                            return Poll::Ready(Ok(Found::Http2));
                        }
                        continue;
                    }
                    let head = request.get_or_insert_with(|| worker.heads.take_request());
                    match self.parse(head) {
                        Ok(false) => {}
                        Ok(true) => return Poll::Ready(Ok(Found::Head)),
                        Err(rejection) => return Poll::Ready(Err(rejection)),
                    }
                }
                match self.poll_receive(cx) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(Ok(Found::End)),
                    Poll::Pending => break,
                }
            }
            if (worker.is_draining() || peer.ending.get())
                && parsed == 0
                && !std::mem::replace(&mut grace, true)
            {
                self.deadlines.set(For::Client, DRAIN_GRACE.min(first));
            }
            if !self.deadlines.has_passed(For::Client) {
                return Poll::Pending;
            }
            Poll::Ready(if parsed == 0 { Ok(Found::End) } else { Err(TOO_SLOW) })
        })
        .await;
        self.deadlines.unset(For::Client);
        match next {
            Ok(Found::Head) => Next::Request(request.unwrap_or_default()),
            Ok(Found::Http2) => Next::Http2,
            Ok(Found::End) => Next::End,
            Err(rejection) => Next::Refused(request.unwrap_or_default(), rejection),
        }
    }

    /// Receives bytes. No buffer is allocated while there is no data.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.wire.input().is_allocated() {
            if self.wire.stream().waits_without_buffer() {
                ready!(self.wire.stream().poll_readable(cx))?;
            }
            let buffer = self.worker.buffers.take();
            self.wire.input().lend(buffer);
        }
        let received = self.wire.poll_fill(cx);
        if received.is_pending()
            && self.wire.stream().waits_without_buffer()
            && let Some(buffer) = self.wire.input().release()
        {
            self.worker.buffers.give(buffer);
        }
        received
    }

    /// Parses a received head; false if more bytes are needed.
    fn parse(&mut self, request: &mut Request) -> Result<bool, Rejection> {
        let limits = self.wire.limits();
        let Some(head) = request::parse(self.wire.received(), &limits, &mut request.fields)? else {
            return Ok(false);
        };
        let (start, end) = head.target;
        let target = request.fields.bytes().get(start..end).unwrap_or_default();
        if end - start > self.max_target {
            return Err(TARGET_TOO_LONG);
        }
        let field = request.fields.get(Name::Host);
        request.method = head.method;
        request.version = head.version;
        request.framing = head.framing;
        let http_10 = head.version == Version::HTTP_10;
        request.target.read_http1(request.method.as_str().as_bytes(), target, field, http_10)?;
        request.expects_continue = head.version == Version::HTTP_11
            && !head.framing.is_empty()
            && request.fields.lists(Name::Expect, b"100-continue");
        self.version = head.version;
        self.persists = match head.version {
            Version::HTTP_10 => request.fields.lists(Name::Connection, b"keep-alive"),
            _ => !request.fields.lists(Name::Connection, b"close"),
        };
        self.wire.begin_body(head.length, head.framing);
        Ok(true)
    }

    /// Answers a request.
    async fn exchange(&mut self, current: &Current, peer: &Peer, next: Next) {
        let worker = Rc::clone(&self.worker);
        let snapshot = current.get();
        self.wire.output().lend(worker.buffers.take());
        let (mut request, refused) = match next {
            Next::Request(request) => (request, None),
            Next::Refused(request, rejection) => (request, Some(rejection)),
            Next::End | Next::Http2 => return,
        };
        let mut response = worker.heads.take_response();
        let mut exchange = Exchange::begin(&worker, peer, &mut request, &mut response);
        match refused {
            None => proxy::handle(&mut exchange, &snapshot, self).await,
            Some(rejection) => {
                self.close = true;
                proxy::refuse(&mut exchange, &snapshot, self, &rejection).await;
            }
        }
        exchange.finish();
        worker.heads.give(request, response);
    }

    /// Releases buffers after an exchange; false if the connection ends.
    fn rest(&mut self) -> bool {
        if self.aborted {
            return false;
        }
        self.wire.rest();
        if let Some(buffer) = self.wire.output().release() {
            self.worker.buffers.give(buffer);
        }
        !self.close && self.persists && self.wire.is_body_used() && self.wire.is_sent()
    }

    /// Closes the connection in the middle of a response, after its received part was sent.
    async fn break_off(&mut self) {
        self.deadlines.set(For::Client, LINGER);
        poll_fn(|cx| {
            self.deadlines.register(cx);
            let flushed = self.wire.poll_flush(cx).is_ready();
            if flushed || self.deadlines.has_passed(For::Client) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if self.until_close {
            self.wire.stream().reset_at_end();
        }
    }

    /// Closes the connection without losing the response.
    async fn end(&mut self) {
        let unread = !self.wire.is_body_used() || !self.wire.received().is_empty() || self.close;
        self.deadlines.set(For::Client, LINGER);
        let mut left = if unread { LINGER_BYTES } else { 0 };
        let mut shut = false;
        poll_fn(|cx| {
            self.deadlines.register(cx);
            if self.deadlines.has_passed(For::Client) {
                return Poll::Ready(());
            }
            if !shut {
                match self.wire.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            while left > 0 && !self.wire.has_ended() {
                let input = self.wire.input();
                let held = input.data().len();
                input.consume(held);
                match ready!(self.wire.poll_fill(cx)) {
                    Ok(count) => left = left.saturating_sub(count),
                    Err(_) => break,
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Source for Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        self.wire.poll_body(cx)
    }

    fn body(&self) -> &[u8] {
        self.wire.body()
    }

    fn consume(&mut self, count: usize) {
        self.wire.consume(count);
    }

    fn trailers(&mut self) -> Option<Fields> {
        Source::trailers(&mut self.wire)
    }
}

impl Sink for Client {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        self.wire.poll_write(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.wire.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        self.wire.poll_finish(cx, trailers)
    }
}

impl Downstream for Client {
    fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    fn unknown_length(&self) -> Framing {
        if self.version == Version::HTTP_10 { Framing::Close } else { Framing::Chunked }
    }

    fn send_head(&mut self, response: &mut Response, framing: Framing, has_body: bool) {
        let switching = response.status == StatusCode::SWITCHING_PROTOCOLS;
        // The rest of the request body would be taken for the next request.
        self.until_close = framing == Framing::Close && has_body;
        self.close |= !self.persists
            || !self.wire.is_body_used()
            || self.until_close
            || self.worker.is_draining()
            || self.peer.ending.get();
        let date = self.worker.clock.http_date();
        let output = self.wire.output();
        let out = output.head();
        append_status(out, response.status);
        response.fields.write_lines(out);
        if !response.fields.has(Name::Date) && !switching {
            append_field(out, b"date", &date);
        }
        append_framing(out, framing);
        if self.close && !switching {
            append(out, b"connection: close\r\n");
        } else if self.version == Version::HTTP_10 {
            append(out, b"connection: keep-alive\r\n");
        }
        append(out, b"\r\n");
        output.begin(if has_body { framing } else { Framing::None });
    }

    fn send_interim(&mut self, status: StatusCode, fields: &Fields) {
        if self.version != Version::HTTP_11 {
            return;
        }
        let out = self.wire.output().head();
        append_status(out, status);
        fields.write_lines(out);
        append(out, b"\r\n");
    }

    fn discard_body(&mut self) {
        self.wire.discard_body();
    }

    fn close_after(&mut self) {
        self.close = true;
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Limits the pipelined requests that are buffered.
        let most = self.wire.limits().max_bytes;
        self.wire.poll_gone(cx, most)
    }

    fn abort(&mut self, _at_fault: crate::http::Source) {
        self.aborted = true;
    }

    fn is_early(&self) -> bool {
        !self.wire.received().is_empty()
    }

    fn switch(&mut self) {
        self.close = true;
        self.wire.switch();
    }
}
