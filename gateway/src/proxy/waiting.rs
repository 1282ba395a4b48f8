//! The wait for the head of a response, while the request body is sent.

use std::task::{Context, Poll};

use http::StatusCode;

use super::Failed;
use super::attempt::{NoResponse, is_switching};
use super::downstream::Downstream;
use super::forward::{Forwarding, Stopped};
use super::pump::{Fault, Waits};
use crate::endpoint::Outcome;
use crate::exchange::Exchange;
use crate::exchange::fault::ClientFault;
use crate::http::fields::Fields;
use crate::http::hop;
use crate::http::message::{Broken, Sink};
use crate::http1::client::NoHead;
use crate::http1::response::Head;
use crate::upstream::UpstreamError;
use crate::upstream::backend::Backend;
use crate::worker::watch::For;

/// Maximum number of interim responses before the final one.
const MAX_INTERIM: u32 = 32;

/// State of the wait for the head of a response.
#[derive(Default)]
pub(super) struct Waiting {
    /// The body waits for `100 Continue`.
    held: bool,
    /// The body is a gRPC stream, which may pause.
    streams: bool,
    /// The client was told to continue.
    continued: bool,
    interims: u32,
    /// The endpoint reads no more of the body; it may have responded already.
    upload_broke: bool,
    /// Number of body bytes sent when the deadline was last set.
    moved: u64,
}

/// The upstream's response is malformed and cannot be forwarded.
fn malformed(what: &'static str) -> NoResponse {
    let failed = UpstreamError::Malformed(what).into();
    NoResponse { failed, broke: false, unsent: false, outcome: Some(Outcome::Reset) }
}

fn client_closed() -> Failed {
    Failed::BrokenOff(Box::new(ClientFault::Closed))
}

impl Waiting {
    /// The state before anything was received. A `held` body waits for `100 Continue`; a body that `streams`
    /// may pause for the listener's stream timeout.
    pub fn new(held: bool, streams: bool) -> Self {
        Self { held, streams, ..Self::default() }
    }

    /// Continues the transfer of the request body and checks for the head of the final response.
    pub fn poll<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        forwarding: &mut Forwarding<'_, '_, D>,
        backend: &mut Backend,
    ) -> Poll<Result<Head, NoResponse>> {
        forwarding.down.deadlines().register(cx);
        loop {
            if let Err(failed) = self.poll_upload(cx, forwarding, backend) {
                return Poll::Ready(Err(failed.into()));
            }
            let Forwarding { exchange, upstream, .. } = forwarding;
            let fields = &mut exchange.response.fields;
            match backend.poll_head(cx, &exchange.request.method, &upstream.limits, fields) {
                Poll::Pending => break,
                Poll::Ready(Err(NoHead::Malformed(what))) => {
                    return Poll::Ready(Err(malformed(what)));
                }
                Poll::Ready(Err(NoHead::Broken(broken, silent))) => {
                    let outcome = Some(Outcome::Reset);
                    let failed = UpstreamError::Closed(broken).into();
                    return Poll::Ready(Err(NoResponse { failed, broke: silent, unsent: false, outcome }));
                }
                Poll::Ready(Ok(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                    if is_switching(exchange, forwarding.hop_options) {
                        return Poll::Ready(Ok(head));
                    }
                    return Poll::Ready(Err(malformed("it switches protocols without a request to do so")));
                }
                Poll::Ready(Ok(head)) if head.status.is_informational() => {
                    self.interims += 1;
                    if self.interims > MAX_INTERIM {
                        return Poll::Ready(Err(malformed("it has too many interim responses")));
                    }
                    self.interim(forwarding, head.status);
                }
                Poll::Ready(Ok(head)) => return Poll::Ready(Ok(head)),
            }
        }
        match self.check(cx, forwarding) {
            Some(failed) => Poll::Ready(Err(failed)),
            None => Poll::Pending,
        }
    }

    fn interim<D: Downstream>(&mut self, forwarding: &mut Forwarding<'_, '_, D>, status: StatusCode) {
        if status == StatusCode::CONTINUE {
            return self.go_on(forwarding);
        }
        let fields = &mut forwarding.exchange.response.fields;
        if hop::strip(fields).is_ok() {
            forwarding.down.send_interim(status, fields);
        }
    }

    /// Releases the body, and sends `100 Continue` once to a client that waits for it.
    fn go_on<D: Downstream>(&mut self, forwarding: &mut Forwarding<'_, '_, D>) {
        self.held = false;
        let waits = forwarding.exchange.request.expects_continue;
        if waits && !std::mem::replace(&mut self.continued, true) {
            forwarding.down.send_interim(StatusCode::CONTINUE, &Fields::new());
        }
    }

    fn poll_upload<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        forwarding: &mut Forwarding<'_, '_, D>,
        backend: &mut Backend,
    ) -> Result<(), Failed> {
        // A client may send the body without waiting (RFC 9110 section 10.1.1).
        self.held = self.held && forwarding.down.poll_body(cx).is_pending();
        if forwarding.upload.is_done() || self.held {
            // A broken connection shows when the response is read.
            self.upload_broke |= matches!(Sink::poll_flush(backend, cx), Poll::Ready(Err(_)));
            return Ok(());
        }
        if self.upload_broke {
            return Ok(());
        }
        match forwarding.poll_upload(cx, backend) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(Stopped::Refused(failure))) => Err(Failed::Told(failure)),
            Poll::Ready(Err(Stopped::Broken(Fault::Sink))) => {
                self.upload_broke = true;
                Ok(())
            }
            Poll::Ready(Err(Stopped::Broken(Fault::Source(Broken::Malformed(_))))) => {
                Err(ClientFault::BodyAborted.into())
            }
            Poll::Ready(Err(Stopped::Broken(Fault::Source(_)))) => {
                Err(Failed::BrokenOff(Box::new(ClientFault::BodyAborted)))
            }
        }
    }

    /// Checks the deadlines and the client; a failure ends the attempt.
    fn check<D: Downstream>(
        &mut self,
        cx: &mut Context<'_>,
        forwarding: &mut Forwarding<'_, '_, D>,
    ) -> Option<NoResponse> {
        let Forwarding { exchange, route, upstream, down, upload, .. } = forwarding;
        if (upload.is_done() || self.upload_broke) && down.poll_gone(cx).is_ready() {
            return Some(client_closed().into());
        }
        // An interim response must not wait for the final one.
        if matches!(down.poll_flush(cx), Poll::Ready(Err(_))) {
            return Some(client_closed().into());
        }
        let one_try = route.per_try_timeout.or(upstream.settings.retries.per_try_timeout);
        let deadlines = down.deadlines();
        if deadlines.has_passed(For::Request) {
            return Some(Failed::from(UpstreamError::RequestTimeout).into());
        }
        if deadlines.has_passed(For::Upstream) {
            // An attempt with its own timeout may be followed by another.
            let broke = one_try.is_some();
            let failed = UpstreamError::ResponseTimeout.into();
            return Some(NoResponse { failed, broke, unsent: false, outcome: Some(Outcome::TimedOut) });
        }
        if deadlines.has_passed(For::Client) {
            return Some(Failed::from(ClientFault::BodyTimeout).into());
        }
        if self.held && deadlines.has_passed(For::Check) {
            deadlines.unset(For::Check);
            self.go_on(forwarding);
            cx.waker().wake_by_ref();
            return None;
        }
        if upload.bytes != self.moved {
            if !self.streams && is_too_slow(exchange, upload.bytes) {
                return Some(Failed::from(ClientFault::BodyRate).into());
            }
            self.moved = upload.bytes;
            deadlines.unset(For::Client);
            deadlines.unset(For::Upstream);
        }
        let on_client = !upload.is_done() && !self.held && upload.waits == Waits::Source;
        if on_client && !self.upload_broke {
            deadlines.unset(For::Upstream);
            let listener = &exchange.peer.listener;
            let pause = if self.streams { listener.stream_timeout } else { Some(listener.body_timeout) };
            if let Some(pause) = pause {
                deadlines.set_once(For::Client, pause);
            }
        } else {
            deadlines.unset(For::Client);
            let limit = upstream.settings.response_timeout;
            deadlines.set_once(For::Upstream, one_try.map_or(limit, |one_try| one_try.min(limit)));
        }
        None
    }
}

/// Whether the body's rate, with `bytes` received, is below the listener's minimum.
fn is_too_slow(exchange: &Exchange<'_>, bytes: u64) -> bool {
    exchange.peer.listener.min_body_rate.is_some_and(|rate| {
        let elapsed = exchange.started.elapsed();
        elapsed > rate.grace && bytes < rate.bytes_per_second.saturating_mul(elapsed.as_secs())
    })
}
