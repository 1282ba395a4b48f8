//! The body of a request on its way to the upstream: how long it may be and how slow.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::http::{Failure, Source, headers};
use crate::observe::exchange::Exchange;

/// How long the body waits for the upstream's `100 Continue` before it is sent anyway, since a
/// server need not send one (RFC 9110 section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

/// What can go wrong with a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// It is longer than allowed.
    TooLarge,
    /// The client paused for too long.
    Timeout,
    /// It is malformed, or the client went away in the middle of it.
    Aborted,
}

impl std::fmt::Display for BodyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for BodyFault {}

impl Failure for BodyFault {
    fn origin(&self) -> Source {
        Source::Downstream
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Aborted => StatusCode::BAD_REQUEST,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "body_too_large",
            Self::Timeout => "body_timeout",
            Self::Aborted => "body_aborted",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::TooLarge => "The request body is too large.",
            Self::Timeout => "The request body did not arrive in time.",
            Self::Aborted => "The request body is malformed or incomplete.",
        }
    }

    fn retry_safe(&self) -> bool {
        false
    }
}

/// How far a request body has come, for whoever waits for the response.
#[derive(Debug)]
pub struct Upload(Mutex<State>);

#[derive(Debug)]
struct State {
    last_progress: Instant,
    /// It is for the client to go on, not for the upstream.
    awaits_client: bool,
    /// It is for the upstream to say `100 Continue`.
    held: bool,
    waker: Option<Waker>,
    fault: Option<BodyFault>,
}

impl Upload {
    fn new(held: bool) -> Self {
        Self(Mutex::new(State {
            last_progress: Instant::now(),
            awaits_client: false,
            held,
            waker: None,
            fault: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the body last moved; now, as long as the client has to go on.
    pub fn last_progress(&self) -> Instant {
        let state = self.state();
        if state.awaits_client { Instant::now() } else { state.last_progress }
    }

    /// The waiting begins anew, as with another attempt.
    pub fn restart(&self) {
        self.state().last_progress = Instant::now();
    }

    /// The upstream wants the body.
    pub fn release(&self) {
        let waker = {
            let mut state = self.state();
            state.held = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What went wrong with the body, if anything did.
    pub fn fault(&self) -> Option<BodyFault> {
        self.state().fault
    }
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The longest body in bytes.
    pub max_bytes: u64,
    /// The longest pause of the client.
    pub pause: Duration,
}

/// A request body that counts, limits and times what it passes on.
#[derive(Debug)]
pub struct RequestBody {
    inner: Option<Incoming>,
    limits: BodyLimits,
    left: u64,
    timer: Option<Pin<Box<Sleep>>>,
    upload: Arc<Upload>,
    exchange: Arc<Exchange>,
}

impl RequestBody {
    /// Wraps what the listener received.
    ///
    /// `expects_continue` tells that the client waits for `100 Continue`: the body is then not
    /// asked for before the upstream asks for it.
    pub fn new(inner: Incoming, limits: BodyLimits, expects_continue: bool, exchange: Arc<Exchange>) -> Self {
        let inner = Some(inner).filter(|inner| !inner.is_end_stream());
        let held = expects_continue && inner.is_some();
        Self {
            inner,
            limits,
            left: limits.max_bytes,
            timer: None,
            upload: Arc::new(Upload::new(held)),
            exchange,
        }
    }

    /// Whether there is no body, so that the request can be sent again from its head alone.
    pub fn is_empty(&self) -> bool {
        self.inner.is_none()
    }

    /// A second body of the same request, if it has none.
    pub fn replay(&self) -> Option<Self> {
        self.is_empty().then(|| Self {
            inner: None,
            limits: self.limits,
            left: self.left,
            timer: None,
            upload: Arc::clone(&self.upload),
            exchange: Arc::clone(&self.exchange),
        })
    }

    /// The progress of the body.
    pub fn upload(&self) -> Arc<Upload> {
        Arc::clone(&self.upload)
    }

    /// The longest body allowed, in bytes.
    pub fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    fn fault(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.inner = None;
        self.upload.state().fault = Some(fault);
        self.exchange.fail(&fault);
        Poll::Ready(Some(Err(fault)))
    }

    /// Whether the timer, set to `after` if it is not yet set, has run out.
    fn elapsed(&mut self, after: Duration, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let held = {
            let mut state = this.upload.state();
            if state.held {
                state.waker = Some(cx.waker().clone());
            }
            state.held
        };
        if held {
            if !this.elapsed(CONTINUE_TIMEOUT, cx) {
                return Poll::Pending;
            }
            this.upload.state().held = false;
            this.timer = None;
        }
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(inner).poll_frame(cx);
        {
            let mut state = this.upload.state();
            state.awaits_client = polled.is_pending();
            if polled.is_ready() {
                state.last_progress = Instant::now();
            }
        }
        let frame = match polled {
            Poll::Pending => {
                if this.elapsed(this.limits.pause, cx) {
                    return this.fault(BodyFault::Timeout);
                }
                return Poll::Pending;
            }
            Poll::Ready(frame) => frame,
        };
        this.timer = None;
        match frame {
            None => {
                this.inner = None;
                Poll::Ready(None)
            }
            Some(Err(_)) => this.fault(BodyFault::Aborted),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    let length = data.len() as u64;
                    if length > this.left {
                        return this.fault(BodyFault::TooLarge);
                    }
                    this.left -= length;
                    this.exchange.add_received(data.len());
                    Poll::Ready(Some(Ok(Frame::data(data))))
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    headers::clean_trailers(&mut trailers);
                    Poll::Ready(Some(Ok(Frame::trailers(trailers))))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // Nobody reads the client any more: it is not the one to wait for.
        self.upload.state().awaits_client = false;
    }
}
