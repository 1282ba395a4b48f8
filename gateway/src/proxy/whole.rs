//! Both ends of a body in memory: one that is there as a whole, and one that is thrown away.

use std::task::{Context, Poll};

use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};

/// A body that is there as a whole.
pub struct Body {
    bytes: Vec<u8>,
    at: usize,
}

impl Body {
    /// All of a body.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    /// Sends it from its beginning once more.
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

/// Takes so many bytes at the most and keeps none.
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
