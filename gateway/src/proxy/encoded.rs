//! Compression of a response body on the way to the client.

use std::task::{Context, Poll, ready};

use crate::http::coding::Encoder;
use crate::http::fields::Fields;
use crate::http::message::{Broken, Sink};

/// Number of bytes that are encoded at a time; other requests of the worker wait meanwhile.
const PIECE: usize = 16 << 10;

/// Encodes what is written and passes it on. Each flush sends everything written so far, so that a stream of
/// events is not delayed.
pub(super) struct Encoded<'a, D> {
    pub down: &'a mut D,
    pub encoder: &'a mut Encoder,
    /// Number of bytes passed on.
    pub sent: &'a mut u64,
}

impl<D: Sink> Encoded<'_, D> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.encoder.output().is_empty() {
            let count = ready!(self.down.poll_write(cx, self.encoder.output()))?;
            self.encoder.consume(count);
            *self.sent += count as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl<D: Sink> Sink for Encoded<'_, D> {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        ready!(self.poll_drain(cx))?;
        let count = data.len().min(PIECE);
        self.encoder.write(&data[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.encoder.flush();
        ready!(self.poll_drain(cx))?;
        self.down.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        self.encoder.finish();
        ready!(self.poll_drain(cx))?;
        self.down.poll_finish(cx, trailers)
    }
}
