//! The bodies of a stream, as a source and a sink for the proxy.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::error::StreamError;
use super::stream::{BodyEvent, Stream};
use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};

/// A stream with the current piece of its body.
#[derive(Debug)]
pub struct Body {
    stream: Stream,
    piece: Bytes,
    trailers: Option<Fields>,
    received: bool,
    sent: bool,
    unprocessed: bool,
}

impl Body {
    /// The bodies of a stream.
    pub const fn new(stream: Stream) -> Self {
        Self { stream, piece: Bytes::new(), trailers: None, received: false, sent: false, unprocessed: false }
    }

    /// The stream.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Records that the sent head ended this side of the stream.
    pub fn set_sent(&mut self) {
        self.sent = true;
    }

    /// Records that the peer did not process the request (RFC 9113 section 8.7).
    pub fn set_unprocessed(&mut self) {
        self.unprocessed = true;
    }

    /// Whether the peer did not process the request.
    pub const fn is_unprocessed(&self) -> bool {
        self.unprocessed
    }
}

fn broken(error: StreamError) -> Broken {
    Broken::Reset(error.code.0)
}

impl Source for Body {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        loop {
            if !self.piece.is_empty() {
                return Poll::Ready(Ok(Progress::Data));
            }
            if self.received {
                return Poll::Ready(Ok(Progress::End));
            }
            match ready!(self.stream.poll_body(cx)).map_err(broken)? {
                BodyEvent::Data(piece) => self.piece = piece,
                BodyEvent::Trailers(trailers) => self.trailers = Some(trailers),
                BodyEvent::End => self.received = true,
            }
        }
    }

    fn body(&self) -> &[u8] {
        &self.piece
    }

    fn consume(&mut self, count: usize) {
        self.piece.advance(count.min(self.piece.len()));
        self.stream.release(count);
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }
}

impl Sink for Body {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        self.stream.poll_send(cx, data, false).map_err(broken)
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // The driver of the connection writes buffered frames.
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        if self.sent {
            return Poll::Ready(Ok(()));
        }
        match trailers {
            Some(trailers) if !trailers.is_empty() => self.stream.send_trailers(trailers).map_err(broken)?,
            _ => {
                ready!(self.stream.poll_send(cx, &[], true)).map_err(broken)?;
            }
        }
        self.sent = true;
        Poll::Ready(Ok(()))
    }
}
