//! A request is sent to an upstream, again where that is safe, and its response to the client.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{StatusCode, Version};

use super::Failed;
use super::downstream::Downstream;
use super::fault::{ClientFault, ResponseFault};
use super::pump::{Fault, Pump, Waits};
use super::{grpc, mirror, tunnel};
use crate::endpoint::{Endpoint, EndpointId, InFlight, Moment, Outcome, Permit, Pick};
use crate::exchange::Exchange;
use crate::http::fields::Fields;
use crate::http::hop::{self, Said};
use crate::http::message::Broken;
use crate::http::name::Name;
use crate::http::{Failure, Source};
use crate::http1::client::{self, NoHead, Towards};
use crate::http1::head::Framing;
use crate::http1::response::Head;
use crate::snapshot::{Forward, Route};
use crate::upstream::backend::Backend;
use crate::upstream::{Upstream, UpstreamError};
use crate::worker::watch::For;

/// How long the client waits for the upstream's `100 Continue` before it is told to go on, since a
/// server need not send one (RFC 9110 section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);
/// Interim responses that one response may follow.
const MAX_INTERIM: u32 = 32;

/// A connection to an endpoint with the head of the response that came on it.
struct Answered {
    backend: Backend,
    head: Head,
    /// Whether the connection may serve another request, and for how many seconds its server says.
    persistence: (bool, Option<u64>),
    /// What the fields of the connection said.
    said: Said,
    _in_flight: InFlight,
    _permit: Option<Permit>,
}

/// A request that got no response on one connection.
struct Attempt {
    failed: Failed,
    /// The endpoint broke off, and nothing of a response came.
    broke: bool,
    /// Nothing of the request was sent.
    unsent: bool,
    /// What it says of the endpoint.
    outcome: Option<Outcome>,
}

impl From<Failed> for Attempt {
    fn from(failed: Failed) -> Self {
        Self { failed, broke: false, unsent: false, outcome: None }
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
    let Some(upstream) = forward.upstream(exchange) else {
        return Err(UpstreamError::Malformed("no upstream of the route has a weight").into());
    };
    if let Some(limit) = grpc::limit(&exchange.request, route.request_timeout) {
        down.deadlines().set(For::Request, limit);
    }
    finish_request(exchange, upstream, said);
    let has_body = !exchange.request.framing.is_empty();
    let mut upload = if has_body { Pump::new(true) } else { Pump::done() };
    if !has_body {
        mirror::begin(exchange, route, forward, said, &upload);
    }
    let answered = send(exchange, route, upstream, down, said, &mut upload).await;
    exchange.received = upload.bytes;
    mirror::begin(exchange, route, forward, said, &upload);
    down.deadlines().unset(For::Check);
    let outcome = match answered {
        Ok((pick, answered)) => respond(exchange, route, upstream, pick, down, said, upload, answered).await,
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
    let Some(authority) = request.target.authority().map(str::as_bytes) else {
        // A client of HTTP/1.0 may name no host, the upstream must get one.
        fields.set(Name::Host, upstream.host().as_bytes());
        return finish_fields(exchange, said);
    };
    if fields.get(Name::Host) != Some(authority) {
        fields.set(Name::Host, authority);
    }
    finish_fields(exchange, said);
}

fn finish_fields(exchange: &mut Exchange<'_>, said: Said) {
    let request = &mut exchange.request;
    let fields = &mut request.fields;
    if !request.expects_continue {
        fields.remove(Name::Expect);
    }
    if said.takes_trailers {
        fields.add(Name::Te, b"trailers");
    }
    add_via(fields, request.version);
    fields.add(Name::RequestId, &exchange.id);
}

fn is_switching(exchange: &Exchange<'_>, said: Said) -> bool {
    said.websocket && tunnel::may_open(&exchange.request)
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
) -> Result<(Pick<'s>, Answered), Failed> {
    let worker = exchange.worker;
    let counters = upstream.counters.of(worker.index);
    let repeatable = exchange.request.method.is_idempotent() && upload.is_done();
    let retries = &upstream.settings.retries;
    let mut attempts_left = retries.attempts;
    let mut tried: Vec<EndpointId> = Vec::new();
    let mut reusing = true;
    let local = upstream.local(worker);
    let started = Moment::from(exchange.started);
    local.budget.request(started);
    let mut permit = match &upstream.cluster.circuit {
        Some(circuit) => Some(Box::pin(circuit.enter()).await.map_err(UpstreamError::Busy)?),
        None => None,
    };
    loop {
        let Some(pick) = upstream.pick(&local, exchange, &tried) else {
            return Err(UpstreamError::Malformed("there is no endpoint").into());
        };
        exchange.set_endpoint(&upstream.settings.name, &pick.endpoint.name);
        if route.endpoint_host {
            exchange.request.fields.set(Name::Host, pick.endpoint.config.authority().as_bytes());
        }
        let in_flight = local.enter(pick.index);
        let open = if reusing { upstream.reuse(worker, pick.endpoint, !repeatable) } else { None };
        let reused = open.is_some();
        let connected = match open {
            Some(backend) => {
                counters.reused.add(1);
                Ok(backend)
            }
            None => connect(exchange, upstream, pick.endpoint, down).await,
        };
        let mut attempt = match connected {
            Ok(backend) => {
                if !reused {
                    counters.connections.add(1);
                }
                match attempt(exchange, route, upstream, down, said, upload, backend).await {
                    Ok((backend, head, persistence, said)) => {
                        upstream.report(&local, pick.index, Outcome::Status(head.status.as_u16()), started);
                        let again = repeatable
                            && attempts_left > 0
                            && retries.statuses.contains(head.status.as_u16());
                        if !again || !local.budget.try_retry(Moment::now()) {
                            let answered = Answered {
                                backend,
                                head,
                                persistence,
                                said,
                                _in_flight: in_flight,
                                _permit: permit.take(),
                            };
                            return Ok((pick, answered));
                        }
                        attempts_left -= 1;
                        tried.push(pick.endpoint.id);
                        counters.retries.add(1);
                        continue;
                    }
                    Err(attempt) => attempt,
                }
            }
            Err(attempt) => attempt,
        };
        if let Some(outcome) = attempt.outcome.take().filter(|_| !reused) {
            upstream.report(&local, pick.index, outcome, Moment::now());
        }
        let again = (attempt.unsent && upload.bytes == 0) || (attempt.broke && repeatable);
        if !again || (attempts_left == 0 && !reused) || !(reused || local.budget.try_retry(Moment::now())) {
            return Err(attempt.failed);
        }
        if reused {
            // One dead connection makes the others doubtful: all may be of one restart.
            reusing = false;
        } else {
            attempts_left -= 1;
            tried.push(pick.endpoint.id);
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
) -> Result<Backend, Attempt> {
    // On the heap: it is large, and most requests find a connection.
    let mut dial = Box::pin(upstream.dial(exchange.worker, endpoint, exchange.peer));
    poll_fn(|cx| {
        down.deadlines().register(cx);
        if let Poll::Ready(dialed) = dial.as_mut().poll(cx) {
            return Poll::Ready(dialed.map_err(|error| {
                let late = matches!(error, UpstreamError::ConnectTimeout);
                let outcome = if late { Outcome::TimedOut } else { Outcome::ConnectFailed };
                Attempt { failed: error.into(), broke: false, unsent: true, outcome: Some(outcome) }
            }));
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
    mut backend: Backend,
) -> Result<(Backend, Head, (bool, Option<u64>), Said), Attempt> {
    let worker = exchange.worker;
    if let Backend::Http1(wire) = &mut backend {
        wire.output().lend(worker.buffers.take());
        wire.input().lend(worker.buffers.take());
    }
    let written = backend.written();
    let towards = Towards {
        tls: upstream.dialing.tls.is_some(),
        websocket: is_switching(exchange, said),
        key: exchange.request.connect,
        takes_trailers: said.takes_trailers,
    };
    if towards.websocket {
        tunnel::ready(exchange, upstream, down, &backend).await?;
    }
    if let Err(broken) = backend.send_head(&exchange.request, towards) {
        let failed = UpstreamError::Closed(broken).into();
        return Err(Attempt { failed, broke: true, unsent: true, outcome: None });
    }
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
    let found =
        poll_fn(|cx| waiting.poll(cx, exchange, route, upstream, down, said, upload, &mut backend)).await;
    for what in [For::Client, For::Upstream] {
        down.deadlines().unset(what);
    }
    match found {
        Ok(head) => {
            let fields = &mut exchange.response.fields;
            let persistence = client::persistence(&head, fields);
            let response_said = hop::strip(fields)
                .map_err(|_| Failed::from(UpstreamError::Malformed("its Connection field is no list")))?;
            Ok((backend, head, persistence, response_said))
        }
        Err(ended) => {
            let unsent = ended.broke && backend.written() == written;
            Err(Attempt { unsent, ..ended })
        }
    }
}

/// What came is no response that can be forwarded.
fn malformed(what: &'static str) -> Attempt {
    let failed = UpstreamError::Malformed(what).into();
    Attempt { failed, broke: false, unsent: false, outcome: Some(Outcome::Reset) }
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
        wire: &mut Backend,
    ) -> Poll<Result<Head, Attempt>> {
        down.deadlines().register(cx);
        loop {
            if let Err(failed) = self.poll_upload(cx, exchange, route, down, upload, wire) {
                return Poll::Ready(Err(failed.into()));
            }
            let fields = &mut exchange.response.fields;
            match wire.poll_head(cx, &exchange.request.method, &upstream.limits, fields) {
                Poll::Pending => break,
                Poll::Ready(Err(NoHead::Malformed(what))) => {
                    return Poll::Ready(Err(malformed(what)));
                }
                Poll::Ready(Err(NoHead::Broken(broken, silent))) => {
                    let outcome = Some(Outcome::Reset);
                    let failed = UpstreamError::Closed(broken).into();
                    return Poll::Ready(Err(Attempt { failed, broke: silent, unsent: false, outcome }));
                }
                Poll::Ready(Ok(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    if is_switching(exchange, said) {
                        return Poll::Ready(Ok(head));
                    }
                    return Poll::Ready(Err(malformed("it switches protocols unasked")));
                }
                Poll::Ready(Ok(head)) if head.status.is_informational() => {
                    self.interims += 1;
                    if self.interims > MAX_INTERIM {
                        return Poll::Ready(Err(malformed("it has too many interim responses")));
                    }
                    self.interim(exchange, down, head.status);
                }
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
            }
        }
        match self.check(cx, exchange, upstream, down, upload) {
            Some(failed) => Poll::Ready(Err(failed)),
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
        wire: &mut Backend,
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
            Poll::Ready(Err(Fault::Sink)) => {
                self.upload_broke = true;
                Ok(())
            }
            Poll::Ready(Err(Fault::Source(Broken::Malformed(_)))) => Err(ClientFault::BodyAborted.into()),
            Poll::Ready(Err(Fault::Source(_))) => Err(Failed::BrokenOff(Box::new(ClientFault::BodyAborted))),
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
    ) -> Option<Attempt> {
        if (upload.is_done() || self.upload_broke) && down.poll_gone(cx).is_ready() {
            return Some(Failed::BrokenOff(Box::new(ClientFault::Closed)).into());
        }
        // An interim response must not wait for the final one.
        if matches!(down.poll_flush(cx), Poll::Ready(Err(_))) {
            return Some(Failed::BrokenOff(Box::new(ClientFault::Closed)).into());
        }
        let deadlines = down.deadlines();
        if deadlines.has_passed(For::Request) {
            return Some(Failed::from(UpstreamError::RequestTimeout).into());
        }
        if deadlines.has_passed(For::Upstream) {
            // A try that has a time of its own may be followed by another.
            let broke = upstream.settings.retries.per_try_timeout.is_some();
            let failed = UpstreamError::ResponseTimeout.into();
            return Some(Attempt { failed, broke, unsent: false, outcome: Some(Outcome::TimedOut) });
        }
        if deadlines.has_passed(For::Client) {
            return Some(Failed::from(ClientFault::BodyTimeout).into());
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
            if is_too_slow(exchange, upload.bytes) {
                return Some(Failed::from(ClientFault::BodyRate).into());
            }
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
            let limit = upstream.settings.response_timeout;
            let limit = upstream.settings.retries.per_try_timeout.map_or(limit, |one| one.min(limit));
            down.deadlines().set_once(For::Upstream, limit);
        }
        None
    }
}

/// Whether a body of which so many bytes have come arrives more slowly than the listener allows.
fn is_too_slow(exchange: &Exchange<'_>, bytes: u64) -> bool {
    exchange.peer.listener.min_body_rate.is_some_and(|rate| {
        let elapsed = exchange.started.elapsed();
        elapsed > rate.grace && bytes < rate.bytes_per_second.saturating_mul(elapsed.as_secs())
    })
}

/// Sends the response to the client.
#[expect(clippy::too_many_arguments, reason = "the parts of an exchange are borrowed one by one")]
async fn respond<'s, D: Downstream>(
    exchange: &mut Exchange<'s>,
    route: &'s Route,
    upstream: &'s Upstream,
    pick: Pick<'s>,
    down: &mut D,
    said: Said,
    mut upload: Pump,
    answered: Answered,
) -> Result<(), Failed> {
    let Answered { mut backend, head, persistence, said: response_said, _in_flight, _permit } = answered;
    exchange.response.status = head.status;
    let switches =
        is_switching(exchange, said) && tunnel::agreed(exchange, &backend, response_said.websocket)?;
    add_via(&mut exchange.response.fields, head.version);
    for filter in &route.filters {
        filter.response(exchange);
    }
    let id = exchange.id;
    exchange.response.fields.set(Name::RequestId, &id);
    if switches {
        return Box::pin(tunnel::join(exchange, down, backend)).await;
    }
    let framing = match head.framing {
        Framing::None => head.announced.map_or(Framing::None, Framing::Length),
        Framing::Chunked | Framing::Close => down.unknown_length(),
        Framing::Length(length) => Framing::Length(length),
    };
    exchange.set_status(head.status);
    down.send_head(&mut exchange.response, framing, head.framing != Framing::None);
    let mut download = Pump::new(said.takes_trailers || exchange.request.version == Version::HTTP_2);
    let sent = transfer(exchange, route, upstream, down, &mut backend, &mut upload, &mut download).await;
    exchange.received = exchange.received.max(upload.bytes);
    exchange.sent = download.bytes;
    if let Err(Failed::BrokenOff(failure)) = &sent
        && failure.origin() == Source::Upstream
    {
        let local = upstream.local(exchange.worker);
        upstream.report(&local, pick.index, Outcome::Reset, Moment::now());
    }
    sent?;
    let (persists, hint) = persistence;
    if let Backend::Http1(wire) = backend
        && persists
        && upload.is_done()
        && wire.is_sent()
    {
        upstream.keep(exchange.worker, pick.endpoint, wire, hint);
    }
    Ok(())
}

/// Moves both bodies on until the response has ended.
async fn transfer<D: Downstream>(
    exchange: &Exchange<'_>,
    route: &Route,
    upstream: &Upstream,
    down: &mut D,
    wire: &mut Backend,
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
            Poll::Ready(Err(Fault::Sink)) => {
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
