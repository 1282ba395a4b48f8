//! Mirrored requests. The client's exchange neither waits for them nor fails with them.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{Method, StatusCode};

use super::pump::{Fault, Pump};
use super::whole::{Body, Discard};
use crate::endpoint::{InFlight, Moment, Outcome};
use crate::exchange::{Exchange, Peer, Request};
use crate::http::fields::Fields;
use crate::http::hop::HopOptions;
use crate::http::message::Sink;
use crate::http::name::Name;
use crate::http1::client::{NoHead, Towards, persistence};
use crate::http1::head::Framing;
use crate::snapshot::{Forward, Route};
use crate::upstream::backend::Backend;
use crate::upstream::{Upstream, UpstreamError};
use crate::worker::Worker;

/// Maximum number of mirrored requests in flight per worker; further ones are not sent.
const MAX_IN_FLIGHT: usize = 64;
/// Maximum number of response bytes that are read; with more the connection is closed.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Sends a copy of the request, if it is mirrored and its body was copied completely.
pub fn begin(
    exchange: &mut Exchange<'_>,
    route: &Route,
    forward: &Forward,
    hop_options: HopOptions,
    upload: &Pump,
) {
    let (Some(copied), Some(upstream)) = (exchange.copied.take(), &forward.mirror) else { return };
    let counters = upstream.counters.of(exchange.worker.index);
    let body = copied.whole(upload.bytes).filter(|_| upload.is_done());
    // A tunnel cannot be mirrored.
    let is_tunnel = hop_options.websocket || exchange.request.method == Method::CONNECT;
    let copy =
        body.filter(|_| !is_tunnel).and_then(|body| Copy::of(exchange, route, upstream, hop_options, body));
    let Some(copy) = copy else {
        counters.mirrors_skipped.add(1);
        return;
    };
    tokio::task::spawn_local(copy.run());
}

/// A mirrored request.
struct Copy {
    worker: Rc<Worker>,
    upstream: Arc<Upstream>,
    peer: Peer,
    request: Request,
    body: Body,
    endpoint: usize,
    towards: Towards,
    _in_flight: InFlight,
    _slot: Slot,
}

/// One of the mirrored requests in flight.
struct Slot(Rc<Worker>);

impl Slot {
    fn take(worker: &Rc<Worker>) -> Option<Self> {
        let taken = &worker.mirrors;
        (taken.get() < MAX_IN_FLIGHT).then(|| taken.set(taken.get() + 1))?;
        Some(Self(Rc::clone(worker)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let taken: &Cell<usize> = &self.0.mirrors;
        taken.set(taken.get() - 1);
    }
}

/// The end of a mirrored request.
enum End {
    Answered(StatusCode),
    /// It failed, with the outcome to report for the endpoint, if any.
    Failed(Option<Outcome>),
    /// It was not sent.
    Skipped,
}

/// The reason why there was no response.
enum Failed {
    /// The connection broke before any byte of a response.
    Silent,
    /// The response was aborted or is malformed.
    Broken,
}

impl Copy {
    fn of(
        exchange: &Exchange<'_>,
        route: &Route,
        upstream: &Arc<Upstream>,
        hop_options: HopOptions,
        body: Vec<u8>,
    ) -> Option<Self> {
        let worker = exchange.worker.shared()?;
        let slot = Slot::take(&worker)?;
        let local = upstream.local(&worker);
        let pick = upstream.pick(&local, exchange, &[])?;
        let own = &exchange.request;
        let mut request = Request {
            method: own.method.clone(),
            version: own.version,
            target: own.target.clone(),
            fields: own.fields.clone(),
            framing: match own.framing {
                Framing::None => Framing::None,
                _ => Framing::Length(body.len() as u64),
            },
            expects_continue: false,
            connect: None,
        };
        request.fields.remove(Name::Expect);
        if route.endpoint_host {
            request.fields.set(Name::Host, pick.endpoint.config.authority().as_bytes());
        }
        Some(Self {
            peer: exchange.peer.clone(),
            request,
            body: Body::new(body),
            endpoint: pick.index,
            towards: Towards {
                tls: upstream.dialing.tls.is_some(),
                websocket: false,
                key: None,
                takes_trailers: hop_options.takes_trailers,
            },
            _in_flight: local.enter(pick.index),
            _slot: slot,
            upstream: Arc::clone(upstream),
            worker,
        })
    }

    async fn run(mut self) {
        let settings = &self.upstream.settings;
        let limit = settings.connect_timeout + settings.response_timeout;
        let (upstream, worker) = (Arc::clone(&self.upstream), Rc::clone(&self.worker));
        let end = tokio::time::timeout(limit, self.send()).await;
        let counters = upstream.counters.of(worker.index);
        let outcome = match end.unwrap_or(End::Failed(Some(Outcome::TimedOut))) {
            End::Answered(status) => {
                counters.mirrors_answered.add(1);
                Some(Outcome::Status(status.as_u16()))
            }
            End::Failed(outcome) => {
                counters.mirrors_failed.add(1);
                outcome
            }
            End::Skipped => {
                counters.mirrors_skipped.add(1);
                None
            }
        };
        if let Some(outcome) = outcome {
            upstream.report(&upstream.local(&worker), self.endpoint, outcome, Moment::now());
        }
    }

    /// Sends the copy and reads its response.
    async fn send(&mut self) -> End {
        let (upstream, worker) = (Arc::clone(&self.upstream), Rc::clone(&self.worker));
        let permit = upstream.cluster.circuit.as_ref().map(|circuit| circuit.try_enter());
        let (Some(endpoint), false) =
            (upstream.cluster.endpoints.get(self.endpoint), matches!(permit, Some(None)))
        else {
            return End::Skipped;
        };
        let counters = upstream.counters.of(worker.index);
        let repeatable = self.request.method.is_idempotent();
        if let Some(open) = upstream.reuse(&worker, endpoint, !repeatable) {
            counters.reused.add(1);
            match self.exchange(open).await {
                Ok(status) => return End::Answered(status),
                // The connection may have been closed while it was idle.
                Err(Failed::Silent) if repeatable => self.body.rewind(),
                Err(Failed::Silent) => return End::Failed(None),
                Err(Failed::Broken) => return End::Failed(Some(Outcome::Reset)),
            }
        }
        let fresh = match upstream.dial(&worker, endpoint, &self.peer).await {
            Ok(fresh) => fresh,
            Err(UpstreamError::ConnectTimeout) => return End::Failed(Some(Outcome::TimedOut)),
            Err(_) => return End::Failed(Some(Outcome::ConnectFailed)),
        };
        counters.connections.add(1);
        match self.exchange(fresh).await {
            Ok(status) => End::Answered(status),
            Err(_) => End::Failed(Some(Outcome::Reset)),
        }
    }

    /// Sends the copy on one connection and discards the response.
    async fn exchange(&mut self, mut backend: Backend) -> Result<StatusCode, Failed> {
        let (upstream, worker) = (&self.upstream, &self.worker);
        if let Backend::Http1(wire) = &mut backend {
            wire.output().lend(worker.buffers.take());
            wire.input().lend(worker.buffers.take());
        }
        backend.send_head(&self.request, self.towards).map_err(|_| Failed::Silent)?;
        let body = &mut self.body;
        let mut upload = if self.request.framing.is_empty() { Pump::done() } else { Pump::new(false) };
        let mut fields = Fields::new();
        let head = poll_fn(|cx| {
            // A failure here shows when the response is read; a server may respond before it has read
            // everything.
            if upload.poll(cx, body, &mut backend, |_, _| Ok(())).is_ready() {
                let _ = Sink::poll_flush(&mut backend, cx);
            }
            loop {
                let limits = &upstream.limits;
                match backend.poll_head(cx, &self.request.method, limits, &mut fields) {
                    Poll::Ready(Ok(head)) if head.status.is_informational() => {}
                    other => return other,
                }
            }
        })
        .await;
        let head = head.map_err(|no_head| match no_head {
            NoHead::Broken(_, true) => Failed::Silent,
            NoHead::Broken(_, false) | NoHead::Malformed(_) => Failed::Broken,
        })?;
        let (persists, hint) = persistence(&head, &fields);
        let mut rest = Discard(MAX_RESPONSE_BYTES);
        let mut download = Pump::new(false);
        let read = poll_fn(|cx| download.poll(cx, &mut backend, &mut rest, |_, _| Ok(()))).await;
        match read {
            Err(Fault::Source(_)) => return Err(Failed::Broken),
            // Longer than the limit: the connection is closed.
            Err(Fault::Sink) => return Ok(head.status),
            Ok(()) => {}
        }
        if let (Backend::Http1(wire), Some(endpoint)) =
            (backend, upstream.cluster.endpoints.get(self.endpoint))
            && persists
            && upload.is_done()
            && wire.is_sent()
        {
            upstream.keep(worker, endpoint, wire, hint);
        }
        Ok(head.status)
    }
}
