//! WebSocket: the handshake for each pair of HTTP versions, and the tunnel that follows.
//!
//! HTTP/1.1 upgrades a connection (RFC 6455 section 4), HTTP/2 opens a stream with extended CONNECT (RFC
//! 8441). For routes and filters the request is a GET in both.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use http::{Method, StatusCode, Version};

use super::Failed;
use super::downstream::Downstream;
use super::pump::{Fault, Pump};
use crate::exchange::fault::{ClientFault, ResponseFault};
use crate::exchange::{Exchange, Request};
use crate::http::name::Name;
use crate::http::{Failure, websocket};
use crate::http1::head::Framing;
use crate::upstream::backend::Backend;
use crate::upstream::{Upstream, UpstreamError};
use crate::worker::watch::For;

/// How long one direction may be idle after the other has ended.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// Whether a request that asks for a WebSocket may open one.
pub(super) fn may_open(request: &Request) -> bool {
    let is_client_able = request.connect.is_some() || request.version == Version::HTTP_11;
    is_client_able && request.method == Method::GET && request.framing.is_empty()
}

/// Waits until the endpoint's support for extended CONNECT is known, if it is needed.
///
/// # Errors
///
/// The endpoint does not support it, or did not announce it in time; or the request has no valid key.
pub(super) async fn ready<D: Downstream>(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    down: &mut D,
    backend: &Backend,
) -> Result<(), Failed> {
    let Backend::Unopened(sender) = backend else { return Ok(()) };
    let request = &exchange.request;
    if request.connect.is_none() && request.fields.all(Name::WebSocketKey).count() != 1 {
        return Err(ClientFault::NoKey.into());
    }
    down.deadlines().set(For::Upstream, upstream.settings.response_timeout);
    poll_fn(|cx| {
        down.deadlines().register(cx);
        // An ended connection fails when the stream is opened.
        if sender.poll_ready(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if down.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Failed::BrokenOff(Box::new(ClientFault::Closed))));
        }
        if down.deadlines().has_passed(For::Request) {
            return Poll::Ready(Err(UpstreamError::RequestTimeout.into()));
        }
        if down.deadlines().has_passed(For::Upstream) {
            return Poll::Ready(Err(UpstreamError::ResponseTimeout.into()));
        }
        Poll::Pending
    })
    .await?;
    down.deadlines().unset(For::Upstream);
    if sender.connect_protocol() == Some(false) { Err(UpstreamError::NoWebSocket.into()) } else { Ok(()) }
}

/// Checks whether the endpoint accepts the WebSocket. If so, the head of the response is converted to the
/// client's HTTP version. `upgraded`: the response named the protocol.
///
/// # Errors
///
/// The response is neither a refusal nor a valid handshake.
pub(super) fn agreed(
    exchange: &mut Exchange<'_>,
    backend: &Backend,
    upgraded: bool,
) -> Result<bool, UpstreamError> {
    let (request, response) = (&exchange.request, &mut exchange.response);
    let switching = response.status == StatusCode::SWITCHING_PROTOCOLS;
    match backend {
        Backend::Http1(_) if switching => {
            if !upgraded {
                return Err(UpstreamError::Malformed("it switches to another protocol than websocket"));
            }
            if let Some(key) = &request.connect {
                let expected = websocket::accept(key.as_bytes());
                let mut found = response.fields.all(Name::WebSocketAccept);
                if found.next() != Some(&expected) || found.next().is_some() {
                    let what = "its Sec-WebSocket-Accept does not answer the Sec-WebSocket-Key";
                    return Err(UpstreamError::Malformed(what));
                }
            }
        }
        Backend::Http1(_) if request.connect.is_some() && response.status.is_success() => {
            // For the client a 2xx would mean that the tunnel is open.
            return Err(UpstreamError::Malformed("it succeeds without switching to websocket"));
        }
        Backend::Http2(_) if response.status.is_success() => {}
        _ => return Ok(false),
    }
    let is_client_http1 = request.connect.is_none();
    let key = request.fields.get(Name::WebSocketKey).filter(|_| is_client_http1);
    let accept = key.map(websocket::accept);
    if is_client_http1 {
        response.status = StatusCode::SWITCHING_PROTOCOLS;
        response.fields.push(b"connection", b"upgrade");
        response.fields.push(b"upgrade", b"websocket");
    } else {
        response.status = StatusCode::OK;
        response.fields.remove(Name::WebSocketAccept);
    }
    if let (Backend::Http2(_), Some(accept)) = (backend, accept) {
        response.fields.set(Name::WebSocketAccept, &accept);
    }
    Ok(true)
}

/// Connects client and upstream until both directions have ended.
pub(super) async fn join<D: Downstream>(
    exchange: &mut Exchange<'_>,
    down: &mut D,
    mut backend: Backend,
) -> Result<(), Failed> {
    if down.is_early() {
        return Err(ClientFault::SwitchEarly.into());
    }
    exchange.set_status(exchange.response.status);
    down.send_head(exchange.response, Framing::Close, true);
    down.switch();
    down.deadlines().unset(For::Request);
    if let Backend::Http1(wire) = &mut backend {
        wire.switch();
    }
    let (mut up, mut back) = (Pump::new(false), Pump::new(false));
    let silence = exchange.peer.listener.stream_timeout;
    let mut moved = 0;
    let ended = poll_fn(|cx| {
        down.deadlines().register(cx);
        let ups = up.poll(cx, down, &mut backend, |_, _| Ok(()));
        let backs = back.poll(cx, &mut backend, down, |_, _| Ok(()));
        let half_closed = up.is_done() || back.is_done();
        let broken: Option<Box<dyn Failure>> = match (ups, backs) {
            (Poll::Ready(Err(Fault::Source(_))), _) | (_, Poll::Ready(Err(Fault::Sink))) => {
                Some(Box::new(ClientFault::Closed))
            }
            (_, Poll::Ready(Err(Fault::Source(broken)))) => Some(Box::new(ResponseFault::Aborted(broken))),
            (Poll::Ready(Err(Fault::Sink)), _) => {
                Some(Box::new(ResponseFault::Aborted(crate::http::message::Broken::Closed)))
            }
            _ => None,
        };
        if let Some(broken) = broken {
            // A side that has ended its direction may disconnect.
            return Poll::Ready(if half_closed { Ok(()) } else { Err(broken) });
        }
        if up.is_done() && back.is_done() {
            return Poll::Ready(Ok(()));
        }
        if up.bytes + back.bytes != moved {
            moved = up.bytes + back.bytes;
            down.deadlines().unset(For::Upstream);
            down.deadlines().unset(For::Client);
        }
        if half_closed {
            down.deadlines().set_once(For::Client, HALF_CLOSED);
        }
        if let Some(silence) = silence {
            down.deadlines().set_once(For::Upstream, silence);
        }
        if down.deadlines().has_passed(For::Client) {
            return Poll::Ready(Ok(()));
        }
        if down.deadlines().has_passed(For::Upstream) {
            return Poll::Ready(Err(Box::new(ResponseFault::Silence)));
        }
        Poll::Pending
    })
    .await;
    exchange.received = up.bytes;
    exchange.sent = back.bytes;
    ended.map_err(Failed::BrokenOff)
}
