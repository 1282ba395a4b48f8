//! The upstream side of one exchange, for every HTTP version.

use std::borrow::Cow;
use std::task::{Context, Poll, ready};

use http::{Method, StatusCode, Version};

use crate::exchange::Request;
use crate::http::fields::Fields;
use crate::http::head::HeadLimits;
use crate::http::message::{Broken, Progress, Sink, Source};
use crate::http::name::Name;
use crate::http1::client::{self, NoHead, Towards};
use crate::http1::head::Framing;
use crate::http1::response::Head;
use crate::http1::wire::Wire;
use crate::http2::{self, Body, RequestLine, Sender};

/// A connection to an endpoint, or a stream on one.
#[derive(Debug)]
pub enum Backend {
    /// An HTTP/1 connection.
    Http1(Box<Wire>),
    /// An HTTP/2 connection without a stream for this request yet.
    Unopened(Sender),
    /// A stream.
    Http2(Box<Body>),
}

impl Backend {
    /// Writes the head of a request.
    ///
    /// # Errors
    ///
    /// No byte was sent, and the connection accepts no request.
    pub fn send_head(&mut self, request: &Request, towards: Towards) -> Result<(), Broken> {
        match self {
            Self::Http1(wire) => {
                client::write_head(
                    wire,
                    &request.method,
                    &request.target,
                    &request.fields,
                    request.framing,
                    towards,
                );
            }
            Self::Unopened(sender) => {
                let mut path = Vec::with_capacity(128);
                request.target.write_to(&mut path);
                let authority = request.fields.get(Name::Host);
                let mut fields = Cow::Borrowed(&request.fields);
                if towards.websocket {
                    fields.to_mut().remove(Name::WebSocketKey);
                }
                let line = RequestLine {
                    method: if towards.websocket { b"CONNECT" } else { request.method.as_str().as_bytes() },
                    scheme: Some(if towards.tls { b"https" } else { b"http" }),
                    authority,
                    path: Some(&path),
                    protocol: towards.websocket.then_some(b"websocket"),
                    content_length: match request.framing {
                        Framing::Length(length) => Some(length),
                        Framing::None | Framing::Chunked | Framing::Close => None,
                    },
                };
                let end = request.framing.is_empty() && !towards.websocket;
                let stream = sender.open(&line, &fields, end).map_err(|_| Broken::Closed)?;
                let mut body = Body::new(stream);
                if end {
                    body.set_sent();
                }
                *self = Self::Http2(Box::new(body));
            }
            Self::Http2(_) => return Err(Broken::Closed),
        }
        Ok(())
    }

    /// Waits for the head of a response. The body follows.
    ///
    /// # Errors
    ///
    /// The connection broke, or the response head is malformed.
    pub fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limits: &HeadLimits,
        fields: &mut Fields,
    ) -> Poll<Result<Head, NoHead>> {
        match self {
            Self::Http1(wire) => client::poll_head(wire, cx, method, limits, fields),
            Self::Unopened(_) => Poll::Ready(Err(NoHead::Broken(Broken::Closed, true))),
            Self::Http2(body) => {
                let head = match ready!(body.stream().poll_head(cx)) {
                    Ok(head) => head,
                    Err(error) => {
                        // A stream that the endpoint did not process counts as not sent.
                        let broken = Broken::Reset(error.code.0);
                        let silent = error.unprocessed || error.by == http2::By::Transport;
                        if error.unprocessed {
                            body.set_unprocessed();
                        }
                        return Poll::Ready(Err(NoHead::Broken(broken, silent)));
                    }
                };
                let Ok(status) = StatusCode::from_u16(head.status) else {
                    return Poll::Ready(Err(NoHead::Malformed("its status is below 100")));
                };
                http2::recycle(std::mem::replace(fields, head.fields));
                let bodiless = head.end || *method == Method::HEAD || status.is_informational();
                let framing = match head.content_length {
                    _ if bodiless => Framing::None,
                    Some(length) => Framing::Length(length),
                    None => Framing::Close,
                };
                let announced = head.content_length.filter(|_| !status.is_informational());
                let version = Version::HTTP_2;
                Poll::Ready(Ok(Head { length: 0, status, version, framing, announced }))
            }
        }
    }

    /// Total number of bytes written; for a stream, whether it was opened.
    pub fn written(&self) -> u64 {
        match self {
            Self::Http1(wire) => wire.written(),
            Self::Unopened(_) => 0,
            Self::Http2(body) => u64::from(!body.is_unprocessed()),
        }
    }
}

impl Source for Backend {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        match self {
            Self::Http1(wire) => wire.poll_body(cx),
            Self::Unopened(_) => Poll::Ready(Err(Broken::Closed)),
            Self::Http2(body) => body.poll_body(cx),
        }
    }

    fn body(&self) -> &[u8] {
        match self {
            Self::Http1(wire) => wire.body(),
            Self::Unopened(_) => &[],
            Self::Http2(body) => body.body(),
        }
    }

    fn consume(&mut self, count: usize) {
        match self {
            Self::Http1(wire) => wire.consume(count),
            Self::Unopened(_) => {}
            Self::Http2(body) => body.consume(count),
        }
    }

    fn trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Http1(wire) => Source::trailers(&mut **wire),
            Self::Unopened(_) => None,
            Self::Http2(body) => body.trailers(),
        }
    }
}

impl Sink for Backend {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        match self {
            Self::Http1(wire) => wire.poll_write(cx, data),
            Self::Unopened(_) => Poll::Ready(Err(Broken::Closed)),
            Self::Http2(body) => body.poll_write(cx, data),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1(wire) => wire.poll_flush(cx),
            Self::Unopened(_) => Poll::Ready(Err(Broken::Closed)),
            Self::Http2(body) => body.poll_flush(cx),
        }
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        match self {
            Self::Http1(wire) => wire.poll_finish(cx, trailers),
            Self::Unopened(_) => Poll::Ready(Err(Broken::Closed)),
            Self::Http2(body) => body.poll_finish(cx, trailers),
        }
    }
}
