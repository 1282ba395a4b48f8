//! The body of a response on its way to the client: how long it may pause and how long it may
//! take in all.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::http::{Failure, Source, headers};
use crate::observe::exchange::{Ending, Exchange};

/// Why a response broke off after its head was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFault {
    /// The upstream broke off, or what it sent is malformed.
    Aborted,
    /// The upstream paused for too long.
    Timeout,
    /// The request took longer than its route allows.
    RequestTimeout,
}

impl std::fmt::Display for ResponseFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.public())
    }
}

impl std::error::Error for ResponseFault {}

impl Failure for ResponseFault {
    fn origin(&self) -> Source {
        Source::Upstream
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Aborted => StatusCode::BAD_GATEWAY,
            Self::Timeout | Self::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Aborted => "response_aborted",
            Self::Timeout => "response_body_timeout",
            Self::RequestTimeout => "request_timeout",
        }
    }

    fn public(&self) -> &'static str {
        match self {
            Self::Aborted => "The response broke off.",
            Self::Timeout | Self::RequestTimeout => "The response did not arrive in time.",
        }
    }

    fn retry_safe(&self) -> bool {
        false
    }
}

/// A response body that counts and times what it passes on, and ends the exchange with its own
/// end.
#[derive(Debug)]
pub struct ResponseBody<G> {
    inner: Inner,
    deadline: Option<Pin<Box<Sleep>>>,
    exchange: Arc<Exchange>,
    /// Dropped with the body: the exchange ends, and with it what the listener keeps of it.
    _ending: Option<Ending>,
    _guard: Option<G>,
}

#[derive(Debug)]
enum Inner {
    Local(Option<Bytes>),
    Upstream { body: Incoming, pause: Duration, timer: Option<Pin<Box<Sleep>>> },
    Done,
}

impl<G> ResponseBody<G> {
    /// A body the gateway makes itself.
    pub fn local(bytes: Bytes, exchange: Arc<Exchange>, ending: Ending, guard: G) -> Self {
        let bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        Self {
            inner: Inner::Local(bytes),
            deadline: None,
            exchange,
            _ending: Some(ending),
            _guard: Some(guard),
        }
    }

    /// No body; the exchange goes on, as after `101 Switching Protocols`.
    pub fn none(exchange: Arc<Exchange>) -> Self {
        Self { inner: Inner::Done, deadline: None, exchange, _ending: None, _guard: None }
    }

    /// A body from an upstream, that may pause for `pause` and must end by `deadline`.
    pub fn upstream(
        body: Incoming,
        pause: Duration,
        deadline: Option<Instant>,
        exchange: Arc<Exchange>,
        ending: Ending,
        guard: G,
    ) -> Self {
        Self {
            inner: Inner::Upstream { body, pause, timer: None },
            deadline: deadline.map(|at| Box::pin(tokio::time::sleep_until(at))),
            exchange,
            _ending: Some(ending),
            _guard: Some(guard),
        }
    }

    fn fault(&mut self, fault: ResponseFault) -> Poll<Option<Result<Frame<Bytes>, ResponseFault>>> {
        self.inner = Inner::Done;
        self.exchange.fail(&fault);
        Poll::Ready(Some(Err(fault)))
    }
}

impl<G: Unpin> Body for ResponseBody<G> {
    type Data = Bytes;
    type Error = ResponseFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseFault>>> {
        let this = &mut *self;
        if let Some(deadline) = &mut this.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return this.fault(ResponseFault::RequestTimeout);
        }
        let frame = match &mut this.inner {
            Inner::Done => return Poll::Ready(None),
            Inner::Local(bytes) => {
                let bytes = bytes.take();
                this.inner = Inner::Done;
                return Poll::Ready(bytes.map(|bytes| {
                    this.exchange.add_sent(bytes.len());
                    Ok(Frame::data(bytes))
                }));
            }
            Inner::Upstream { body, pause, timer } => match Pin::new(body).poll_frame(cx) {
                Poll::Ready(frame) => {
                    *timer = None;
                    frame
                }
                Poll::Pending => {
                    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(*pause)));
                    if timer.as_mut().poll(cx).is_ready() {
                        return this.fault(ResponseFault::Timeout);
                    }
                    return Poll::Pending;
                }
            },
        };
        match frame {
            None => {
                this.inner = Inner::Done;
                Poll::Ready(None)
            }
            Some(Err(_)) => this.fault(ResponseFault::Aborted),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    this.exchange.add_sent(data.len());
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
        match &self.inner {
            Inner::Done => true,
            Inner::Local(bytes) => bytes.is_none(),
            Inner::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Done | Inner::Local(None) => SizeHint::with_exact(0),
            Inner::Local(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Inner::Upstream { body, .. } => body.size_hint(),
        }
    }
}

impl<G> Drop for ResponseBody<G> {
    fn drop(&mut self) {
        if let Inner::Upstream { body, .. } = &self.inner
            && !body.is_end_stream()
        {
            self.exchange.fail_with(Source::Downstream, "client_closed");
        }
    }
}
