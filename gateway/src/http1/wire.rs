//! One HTTP/1 connection: its stream, its two buffers, and the bodies in transfer.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncReadExt, AsyncWrite};

use super::decode::Decoder;
use super::encode::Output;
use super::head::{Framing, HeadLimits};
use super::input::Input;
use crate::http::fields::Fields;
use crate::http::message::{Broken, Progress, Sink, Source};
use crate::net::Stream;

/// Initial size of a read.
pub const PIECE: usize = 8 << 10;
/// Size of a read within a large body.
pub const LARGE_PIECE: usize = 256 << 10;

/// An HTTP/1 connection.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    input: Input,
    output: Output,
    decoder: Decoder,
    trailers: Option<Fields>,
    limits: HeadLimits,
    /// The size of the next read.
    piece: usize,
    /// The peer has closed its sending direction.
    ended: bool,
    /// It is a tunnel: bytes without framing.
    switched: bool,
}

impl Wire {
    /// A connection whose bytes `first` were already received.
    pub fn new(stream: Stream, first: Vec<u8>, limits: HeadLimits) -> Self {
        Self {
            stream,
            input: Input::of(first),
            output: Output::default(),
            decoder: Decoder::Done,
            trailers: None,
            limits,
            piece: PIECE,
            ended: false,
            switched: false,
        }
    }

    /// The stream, and the buffered bytes.
    pub fn into_parts(mut self) -> (Stream, Vec<u8>) {
        let received = self.input.data().to_vec();
        self.input.consume(received.len());
        (self.stream, received)
    }

    /// Limits of heads.
    pub fn limits(&self) -> HeadLimits {
        self.limits
    }

    /// The underlying stream.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The bytes received and not yet consumed.
    pub fn received(&self) -> &[u8] {
        self.input.data()
    }

    /// The read buffer.
    pub fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    /// The write buffer.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Total number of bytes written.
    pub fn written(&self) -> u64 {
        self.output.written()
    }

    /// Whether a body was sent completely and no byte is buffered.
    pub fn is_sent(&self) -> bool {
        self.output.is_whole() && !self.output.is_pending()
    }

    /// Whether the peer has closed its sending direction.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether a received body was consumed completely.
    pub fn is_body_used(&self) -> bool {
        self.decoder.is_done()
    }

    /// Consumes a head of `head` bytes, which a body with this framing follows.
    pub fn begin_body(&mut self, head: usize, framing: Framing) {
        self.input.consume(head);
        self.decoder = Decoder::of(framing, &self.limits);
        self.trailers = None;
    }

    /// Discards the buffered part of a body.
    pub fn discard_body(&mut self) {
        while !self.decoder.is_done() && !self.input.is_empty() {
            let data = self.decoder.data(&self.input);
            if data > 0 {
                self.decoder.consume(&mut self.input, data);
                continue;
            }
            let before = self.input.data().len();
            if self.decoder.advance(&mut self.input, self.limits.max_fields).is_err()
                || (self.input.data().len() == before && self.decoder.data(&self.input) == 0)
            {
                return;
            }
        }
    }

    /// Turns the connection into a tunnel: bytes without framing; the end of one direction is forwarded as a
    /// half-close.
    pub fn switch(&mut self) {
        self.switched = true;
        self.decoder = Decoder::Close;
        self.output.begin(Framing::Close);
    }

    /// Receives bytes; returns their number, which is zero at the end of the stream.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let spare = self.input.spare(self.piece);
        let room = spare.capacity() - spare.len();
        let count = ready!(pin!(self.stream.read_buf(spare)).poll(cx))?;
        self.ended |= count == 0;
        // A read that fills its room belongs to a large body.
        if count == room {
            self.piece = LARGE_PIECE;
        }
        Poll::Ready(Ok(count))
    }

    /// The connection is idle: reads are small again.
    pub fn rest(&mut self) {
        self.piece = PIECE;
    }

    /// Ready when the peer disconnects while no data is expected. Up to `most` bytes that arrive are
    /// buffered.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<()> {
        while !self.ended && self.input.data().len() < most {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.ended { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Shuts down the sending direction.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.output.poll_flush(&mut self.stream, cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Source for Wire {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>> {
        loop {
            if self.decoder.is_done() {
                return Poll::Ready(Ok(Progress::End));
            }
            if self.decoder.data(&self.input) > 0 {
                return Poll::Ready(Ok(Progress::Data));
            }
            if !self.input.is_empty() {
                let found = self.decoder.advance(&mut self.input, self.limits.max_fields);
                self.trailers = found.map_err(Broken::Malformed)?;
                if self.decoder.is_done() || self.decoder.data(&self.input) > 0 {
                    continue;
                }
            }
            if ready!(self.poll_fill(cx)).map_err(Broken::Io)? == 0 {
                if !matches!(self.decoder, Decoder::Close) {
                    return Poll::Ready(Err(Broken::Closed));
                }
                self.decoder = Decoder::Done;
            }
        }
    }

    fn body(&self) -> &[u8] {
        &self.input.data()[..self.decoder.data(&self.input)]
    }

    fn consume(&mut self, count: usize) {
        self.decoder.consume(&mut self.input, count);
    }

    fn trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }
}

impl Sink for Wire {
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>> {
        self.output.poll_write(&mut self.stream, cx, data).map_err(Broken::Io)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.output.poll_flush(&mut self.stream, cx).map_err(Broken::Io)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>> {
        ready!(self.output.poll_finish(&mut self.stream, cx, trailers)).map_err(Broken::Io)?;
        if self.switched { self.poll_shutdown(cx).map_err(Broken::Io) } else { Poll::Ready(Ok(())) }
    }
}
