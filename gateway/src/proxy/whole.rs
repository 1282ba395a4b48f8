//! In-memory bodies: a complete one as a source, and a discarded one as a sink.

use std::task::{Context, Poll};

use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};

/// A complete body in memory.
pub struct Body {
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    /// A body of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// Starts again from the first byte.
    pub fn rewind(&mut self) {
        self.at = 0;
    }
}

impl Source for Body {
    fn poll_body(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        Poll::Ready(Ok(if self.body().is_empty() { Progress::End } else { Progress::Data }))
    }

    fn body(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }

    fn trailers(&mut self) -> Option<Fields> {
        None
    }
}

/// Accepts at most this number of bytes and discards them.
pub struct Discard(pub usize);

impl Sink for Discard {
    fn poll_write(&mut self, _cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        if data.len() > self.0 {
            return Poll::Ready(Err(Broken::Closed));
        }
        self.0 -= data.len();
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>, _trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }
}
