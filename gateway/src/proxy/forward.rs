//! A request is sent to an upstream, again where that is safe, and its response to the client.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{StatusCode, Version};

use super::Failed;
use super::downstream::Downstream;
use super::fault::{ClientFault, ResponseFault};
use super::pump::{Fault, Pump, Waits};
use super::tunnel;
use crate::exchange::Exchange;
use crate::http::fields::Fields;
use crate::http::hop::{self, Said};
use crate::http::message::Broken;
use crate::http::name::Name;
use crate::http::Failure;
use crate::http1::client::{self, NoHead};
use crate::http1::head::Framing;
use crate::http1::response::Head;
use crate::http1::wire::Wire;
use crate::snapshot::{Forward, Route};
use crate::upstream::{Endpoint, Upstream, UpstreamError};
use crate::worker::watch::For;

/// How long the client waits for the upstream's `100 Continue` before it is told to go on, since a
/// server need not send one (RFC 9110 section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);
/// Interim responses that one response may follow.
const MAX_INTERIM: u32 = 32;

/// A connection to an endpoint with the head of the response that came on it.
struct Answered {
    wire: Box<Wire>,
    head: Head,
    /// Whether the connection may serve another request, and for how many seconds its server says.
    persistence: (bool, Option<u64>),
    /// What the fields of the connection said.
    said: Said,
}

/// A request that got no response on one connection.
struct Attempt {
    failed: Failed,
    /// The endpoint broke off, and nothing of a response came.
    broke: bool,
    /// Nothing of the request was sent.
    unsent: bool,
}

impl From<Failed> for Attempt {
    fn from(failed: Failed) -> Self {
        Self { failed, broke: false, unsent: false }
    }
}

/// Forwards the request.
pub(super) async fn forward<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s Route,
    forward: &'s Forward,
    said: Said,
    down: &mut D,
) -> Result<(), Failed> {
    let upstream = forward.upstream(exchange);
    if let Some(limit) = route.request_timeout {
        down.deadlines().set(For::Request, limit);
    }
    finish_request(exchange, upstream, said);
    let has_body = !exchange.request.framing.is_empty();
    let mut upload = if has_body { Pump::new(true) } else { Pump::done() };
    let answered = send(exchange, route, upstream, down, said, &mut upload).await;
    exchange.received = upload.bytes;
    down.deadlines().unset(For::Check);
    let outcome = match answered {
        Ok((endpoint, answered)) => {
            respond(exchange, route, upstream, endpoint, down, said, upload, answered).await
        }
        Err(failed) => Err(failed),
    };
    for what in [For::Client, For::Upstream, For::Request] {
        down.deadlines().unset(what);
    }
    outcome
}

/// Adds what only the gateway can say.
fn finish_request(exchange: &mut Exchange<'_>, upstream: &Upstream, said: Said) {
    let request = &mut exchange.request;
    let fields = &mut request.fields;
    let authority = request.target.authority.as_bytes();
    if authority.is_empty() {
        // A client of HTTP/1.0 may name no host, the upstream must get one.
        fields.set(Name::Host, upstream.host().as_bytes());
    } else if fields.get(Name::Host) != Some(authority) {
        fields.set(Name::Host, authority);
    }
    if !request.expects_continue {
        fields.remove(Name::Expect);
    }
    add_via(fields, request.version);
    fields.add(Name::RequestId, &exchange.id);
    if is_switching(exchange, said) {
        exchange.request.fields.push(b"connection", b"upgrade");
        exchange.request.fields.push(b"upgrade", b"websocket");
    } else if said.takes_trailers {
        exchange.request.fields.push(b"te", b"trailers");
        exchange.request.fields.push(b"connection", b"te");
    }
}

fn is_switching(exchange: &Exchange<'_>, said: Said) -> bool {
    said.websocket && exchange.request.version == Version::HTTP_11 && exchange.request.framing.is_empty()
}

/// Adds the gateway to the `Via` of a message received in `version` (RFC 9110 section 7.6.3).
fn add_via(fields: &mut Fields, version: Version) {
    let entry: &[u8] = match version {
        Version::HTTP_2 => b"2 gateway",
        Version::HTTP_10 => b"1.0 gateway",
        _ => b"1.1 gateway",
    };
    fields.add(Name::Via, entry);
}

/// Sends the request until a response head is there.
///
/// It is sent again, to another endpoint if there is one, when nothing of it was sent, or when the
/// connection broke without an answer, the method is idempotent and there is no body (RFC 9110
/// section 9.2.2).
async fn send<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s Route,
    upstream: &'s Upstream,
    down: &mut D,
    said: Said,
    upload: &mut Pump,
) -> Result<(&'s Endpoint, Answered), Failed> {
    let worker = exchange.worker;
    let counters = upstream.counters.of(worker.index);
    let repeatable = exchange.request.method.is_idempotent() && upload.is_done();
    let mut attempts_left = upstream.settings.retries.attempts;
    let mut tried: Vec<u64> = Vec::new();
    let mut from_pool = true;
    loop {
        let Some(endpoint) = upstream.pick(worker, exchange, &tried) else {
            return Err(UpstreamError::Malformed("there is no endpoint").into());
        };
        exchange.set_endpoint(&upstream.settings.name, Cow::Borrowed(&endpoint.label));
        let pooled = if from_pool { upstream.take_idle(worker, endpoint, !repeatable) } else { None };
        let reused = pooled.is_some();
        let connected = match pooled {
            Some(wire) => {
                counters.reused.add(1);
                Ok(wire)
            }
            None => connect(exchange, upstream, endpoint, down).await,
        };
        let attempt = match connected {
            Ok(mut wire) => {
                if !reused {
                    counters.connections.add(1);
                }
                wire.output().lend(worker.buffers.take());
                wire.input().lend(worker.buffers.take());
                match attempt(exchange, route, upstream, down, said, upload, wire).await {
                    Ok(answered) => {
                        upstream.succeeded(worker, endpoint, answered.head.status);
                        return Ok((endpoint, answered));
                    }
                    Err(attempt) => attempt,
                }
            }
            Err(attempt) => attempt,
        };
        if !attempt.unsent && !attempt.broke {
            return Err(attempt.failed);
        }
        if !reused {
            upstream.failed(worker, endpoint);
        }
        let again = (attempt.unsent && upload.bytes == 0) || (attempt.broke && repeatable);
        if !again || (attempts_left == 0 && !reused) {
            return Err(attempt.failed);
        }
        if reused {
            // One dead connection makes the others doubtful: all may be of one restart.
            from_pool = false;
        } else {
            attempts_left -= 1;
            tried.push(endpoint.id);
        }
        counters.retries.add(1);
    }
}

/// Opens a connection to an endpoint.
async fn connect<D: Downstream>(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    endpoint: &Endpoint,
    down: &mut D,
) -> Result<Box<Wire>, Attempt> {
    let unsent = |failed: Failed| Attempt { failed, broke: false, unsent: true };
    let mut dial = std::pin::pin!(upstream.dial(endpoint, exchange.peer));
    poll_fn(|cx| {
        down.deadlines().register(cx);
        if let Poll::Ready(dialed) = dial.as_mut().poll(cx) {
            return Poll::Ready(dialed.map_err(|error| unsent(error.into())));
        }
        if down.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failed::BrokenOff(Box::new(ClientFault::Closed)).into()));
        }
        if down.deadlines().has_passed(For::Request) {
            return Poll::Ready(Err(Failed::from(UpstreamError::RequestTimeout).into()));
        }
        Poll::Pending
    })
    .await
}

/// Sends the request on one connection and waits for the head of its response.
async fn attempt<D: Downstream>(
    exchange: &mut Exchange<'_>,
    route: &Route,
    upstream: &Upstream,
    down: &mut D,
    said: Said,
    upload: &mut Pump,
    mut wire: Box<Wire>,
) -> Result<Answered, Attempt> {
    let written = wire.written();
    let request = &exchange.request;
    client::write_head(&mut wire, &request.method, &request.target, &request.fields, request.framing);
    let mut waiting = Waiting {
        held: exchange.request.expects_continue && !upload.is_done(),
        continued: false,
        interims: 0,
        refused: None,
        upload_broke: false,
        moved: 0,
    };
    if waiting.held {
        down.deadlines().set(For::Check, CONTINUE_TIMEOUT);
    }
    let found = poll_fn(|cx| waiting.poll(cx, exchange, route, upstream, down, said, upload, &mut wire)).await;
    for what in [For::Client, For::Upstream] {
        down.deadlines().unset(what);
    }
    match found {
        Ok(head) => {
            let fields = &mut exchange.response.fields;
            let persistence = client::persistence(&head, fields);
            let response_said = hop::strip(fields)
                .map_err(|_| Failed::from(UpstreamError::Malformed("its Connection field is no list")))?;
            Ok(Answered { wire, head, persistence, said: response_said })
        }
        Err((failed, broke)) => {
            let unsent = broke && wire.written() == written;
            Err(Attempt { failed, broke, unsent })
        }
    }
}

/// What is known while the head of a response is awaited.
struct Waiting {
    /// The body waits for `100 Continue`.
    held: bool,
    /// The client was told to go on.
    continued: bool,
    interims: u32,
    /// A filter refused a piece of the body.
    refused: Option<Box<dyn Failure>>,
    /// The endpoint takes no more of the body; it may have answered already.
    upload_broke: bool,
    /// How much of the body was sent when a deadline was last set.
    moved: u64,
}

impl Waiting {
    #[expect(clippy::too_many_arguments, reason = "the parts of an exchange are borrowed one by one")]
    fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
        route: &Route,
        upstream: &Upstream,
        down: &mut D,
        said: Said,
        upload: &mut Pump,
        wire: &mut Wire,
    ) -> Poll<Result<Head, (Failed, bool)>> {
        down.deadlines().register(cx);
        loop {
            if let Err(failed) = self.poll_upload(cx, exchange, route, down, upload, wire) {
                return Poll::Ready(Err((failed, false)));
            }
            let fields = &mut exchange.response.fields;
            match client::poll_head(wire, cx, &exchange.request.method, &upstream.limits, fields) {
                Poll::Pending => break,
                Poll::Ready(Err(NoHead::Malformed(what))) => {
                    return Poll::Ready(Err((UpstreamError::Malformed(what).into(), false)));
                }
                Poll::Ready(Err(NoHead::Broken(broken, silent))) => {
                    return Poll::Ready(Err((UpstreamError::Closed(broken).into(), silent)));
                }
                Poll::Ready(Ok(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    if is_switching(exchange, said) {
                        return Poll::Ready(Ok(head));
                    }
                    let unasked = UpstreamError::Malformed("it switches protocols unasked");
                    return Poll::Ready(Err((unasked.into(), false)));
                }
                Poll::Ready(Ok(head)) if head.status.is_informational() => {
                    self.interims += 1;
                    if self.interims > MAX_INTERIM {
                        let many = UpstreamError::Malformed("it has too many interim responses");
                        return Poll::Ready(Err((many.into(), false)));
                    }
                    self.interim(exchange, down, head.status);
                }
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
            }
        }
        match self.check(cx, exchange, upstream, down, upload) {
            Some(failed) => Poll::Ready(Err((failed, false))),
            None => Poll::Pending,
        }
    }

    fn interim<D: Downstream>(&mut self, exchange: &mut Exchange<'_>, down: &mut D, status: StatusCode) {
        if status == StatusCode::CONTINUE {
            self.held = false;
            if exchange.request.expects_continue && !std::mem::replace(&mut self.continued, true) {
                down.send_interim(status, &Fields::new());
            }
            return;
        }
        if hop::strip(&mut exchange.response.fields).is_ok() {
            down.send_interim(status, &exchange.response.fields);
        }
    }

    fn poll_upload<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange<'_>,
        route: &Route,
        down: &mut D,
        upload: &mut Pump,
        wire: &mut Wire,
    ) -> Result<(), Failed> {
        use crate::http::message::Sink;
        // A client may go on without having waited.
        self.held &= down.body().is_empty();
        if upload.is_done() || self.held {
            // Broken connections show where the response is awaited.
            self.upload_broke |= matches!(Sink::poll_flush(wire, cx), Poll::Ready(Err(_)));
            return Ok(());
        }
        if self.upload_broke {
            return Ok(());
        }
        let refused = &mut self.refused;
        let moved = upload.poll(cx, down, wire, |so_far, piece| {
            exchange.received = so_far;
            for filter in &route.data_filters {
                if let Err(failure) = route.filters[*filter].request_data(exchange, piece) {
                    *refused = Some(failure);
                    return Err(Broken::Closed);
                }
            }
            Ok(())
        });
        if let Some(failure) = self.refused.take() {
            return Err(Failed::Told(failure));
        }
        match moved {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(Fault::Sink(_))) => {
                self.upload_broke = true;
                Ok(())
            }
            Poll::Ready(Err(Fault::Source(Broken::Malformed(_)))) => Err(ClientFault::BodyAborted.into()),
            Poll::Ready(Err(Fault::Source(_))) => {
                Err(Failed::BrokenOff(Box::new(ClientFault::BodyAborted)))
            }
        }
    }

    /// Looks at the deadlines and at the client; a failure ends the attempt.
    fn check<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Exchange<'_>,
        upstream: &Upstream,
        down: &mut D,
        upload: &Pump,
    ) -> Option<Failed> {
        if (upload.is_done() || self.upload_broke) && down.poll_gone(cx).is_ready() {
            return Some(Failed::BrokenOff(Box::new(ClientFault::Closed)));
        }
        // An interim response must not wait for the final one.
        if matches!(down.poll_flush(cx), Poll::Ready(Err(_))) {
            return Some(Failed::BrokenOff(Box::new(ClientFault::Closed)));
        }
        let deadlines = down.deadlines();
        if deadlines.has_passed(For::Request) {
            return Some(UpstreamError::RequestTimeout.into());
        }
        if deadlines.has_passed(For::Upstream) {
            return Some(UpstreamError::ResponseTimeout.into());
        }
        if deadlines.has_passed(For::Client) {
            return Some(ClientFault::BodyTimeout.into());
        }
        if self.held && deadlines.has_passed(For::Check) {
            deadlines.unset(For::Check);
            self.held = false;
            if exchange.request.expects_continue && !std::mem::replace(&mut self.continued, true) {
                down.send_interim(StatusCode::CONTINUE, &Fields::new());
            }
            cx.waker().wake_by_ref();
            return None;
        }
        if upload.bytes != self.moved {
            self.moved = upload.bytes;
            down.deadlines().unset(For::Client);
            down.deadlines().unset(For::Upstream);
        }
        let on_client = !upload.is_done() && !self.held && upload.waits == Waits::Source;
        if on_client && !self.upload_broke {
            down.deadlines().unset(For::Upstream);
            down.deadlines().set_once(For::Client, exchange.peer.listener.body_timeout);
        } else {
            down.deadlines().unset(For::Client);
            down.deadlines().set_once(For::Upstream, upstream.settings.response_timeout);
        }
        None
    }
}

/// Sends the response to the client.
#[expect(clippy::too_many_arguments, reason = "the parts of an exchange are borrowed one by one")]
async fn respond<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s Route,
    upstream: &'s Upstream,
    endpoint: &'s Endpoint,
    down: &mut D,
    said: Said,
    mut upload: Pump,
    answered: Answered,
) -> Result<(), Failed> {
    let Answered { mut wire, head, persistence, said: response_said } = answered;
    exchange.response.status = head.status;
    add_via(&mut exchange.response.fields, head.version);
    for filter in &route.filters {
        filter.response(exchange);
    }
    let id = exchange.id;
    exchange.response.fields.set(Name::RequestId, &id);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if !response_said.websocket {
            return Err(UpstreamError::Malformed("it switches to another protocol than websocket").into());
        }
        return tunnel::join(exchange, down, wire).await;
    }
    let framing = match head.framing {
        Framing::None => head.announced.map_or(Framing::None, Framing::Length),
        Framing::Chunked | Framing::Close => down.unknown_length(),
        Framing::Length(length) => Framing::Length(length),
    };
    exchange.set_status(head.status);
    down.send_head(&exchange.response, framing, head.framing != Framing::None);
    let mut download = Pump::new(said.takes_trailers || exchange.request.version == Version::HTTP_2);
    let sent = transfer(exchange, route, upstream, down, &mut wire, &mut upload, &mut download).await;
    exchange.received = exchange.received.max(upload.bytes);
    exchange.sent = download.bytes;
    sent?;
    let (persists, hint) = persistence;
    if persists && upload.is_done() && wire.is_sent() {
        upstream.keep_idle(exchange.worker, endpoint, wire, hint);
    }
    Ok(())
}

/// Moves both bodies on until the response has ended.
async fn transfer<D: Downstream>(
    exchange: &Exchange<'_>,
    route: &Route,
    upstream: &Upstream,
    down: &mut D,
    wire: &mut Wire,
    upload: &mut Pump,
    download: &mut Pump,
) -> Result<(), Failed> {
    let broken_off = |failure: Box<dyn Failure>| Failed::BrokenOff(failure);
    let mut moved = 0;
    let mut uploading = !upload.is_done();
    poll_fn(|cx| {
        down.deadlines().register(cx);
        if uploading {
            // The response has begun: what becomes of the request body changes nothing any more.
            uploading = upload.poll(cx, down, wire, |_, _| Ok(())).is_pending();
        }
        let polled = download.poll(cx, wire, down, |_, piece| {
            for filter in &route.response_filters {
                route.filters[*filter].response_data(exchange, piece);
            }
            Ok(())
        });
        match polled {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(Fault::Source(broken))) => {
                return Poll::Ready(Err(broken_off(Box::new(ResponseFault::Aborted(broken)))));
            }
            Poll::Ready(Err(Fault::Sink(_))) => {
                return Poll::Ready(Err(broken_off(Box::new(ClientFault::Closed))));
            }
            Poll::Pending => {}
        }
        let deadlines = down.deadlines();
        if deadlines.has_passed(For::Request) {
            return Poll::Ready(Err(broken_off(Box::new(ResponseFault::RequestTimeout))));
        }
        if deadlines.has_passed(For::Upstream) {
            return Poll::Ready(Err(broken_off(Box::new(ResponseFault::Timeout))));
        }
        if deadlines.has_passed(For::Client) {
            return Poll::Ready(Err(broken_off(Box::new(ClientFault::Closed))));
        }
        if download.bytes != moved {
            moved = download.bytes;
            deadlines.unset(For::Client);
            deadlines.unset(For::Upstream);
        }
        match download.waits {
            Waits::Source => {
                deadlines.unset(For::Client);
                deadlines.set_once(For::Upstream, upstream.settings.body_timeout);
                if !uploading && down.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(broken_off(Box::new(ClientFault::Closed))));
                }
            }
            Waits::Sink => {
                deadlines.unset(For::Upstream);
                deadlines.set_once(For::Client, exchange.peer.listener.body_timeout);
            }
        }
        Poll::Pending
    })
    .await
}
