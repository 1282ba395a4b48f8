//! One direction of an exchange: copies a body from its source to its sink.

use std::task::{Context, Poll, ready};

use crate::http::fields::Fields;
use crate::http::hop;
use crate::http::message::{Broken, Progress, Sink, Source};

/// The progress of a body.
#[derive(Debug)]
pub struct Pump {
    state: State,
    /// Number of bytes consumed from the source.
    pub bytes: u64,
    /// Number of bytes passed to the observer.
    shown: u64,
    /// The side that the transfer waits for.
    pub waits: Waits,
    trailers: Option<Fields>,
    /// The receiver accepts no trailers.
    drops_trailers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Copy,
    Finish,
    Done,
}

/// The side that a transfer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The sender of the body.
    Source,
    /// The receiver of the body.
    Sink,
}

/// The side that broke.
#[derive(Debug)]
pub enum Fault {
    /// The sender of the body.
    Source(Broken),
    /// The receiver of the body.
    Sink,
}

impl Pump {
    /// The transfer of a body from its start.
    pub fn new(takes_trailers: bool) -> Self {
        Self {
            state: State::Copy,
            bytes: 0,
            shown: 0,
            waits: Waits::Source,
            trailers: None,
            drops_trailers: !takes_trailers,
        }
    }

    /// The completed transfer of an empty body.
    pub fn done() -> Self {
        Self { state: State::Done, ..Self::new(false) }
    }

    /// Whether the transfer is complete.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Starts again, with a source that returns the same bytes again. They are not passed to the observer
    /// again.
    pub fn rewind(&mut self) {
        self.bytes = 0;
        self.state = State::Copy;
        self.waits = Waits::Source;
    }

    /// Whether trailers were received.
    pub fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Continues the transfer. `observe` gets each piece before it is sent, and may refuse it.
    ///
    /// # Errors
    ///
    /// One side broke, or `observe` refused a piece.
    pub fn poll<A: Source, B: Sink>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut A,
        sink: &mut B,
        mut observe: impl FnMut(u64, &[u8]) -> Result<(), Broken>,
    ) -> Poll<Result<(), Fault>> {
        while self.state == State::Copy {
            if source.body().is_empty() {
                self.waits = Waits::Source;
                match source.poll_body(cx) {
                    Poll::Ready(Ok(Progress::Data)) => {}
                    Poll::Ready(Ok(Progress::End)) => {
                        self.trailers = source.trailers().filter(|_| !self.drops_trailers).map(cleaned);
                        self.state = State::Finish;
                        continue;
                    }
                    Poll::Ready(Err(broken)) => return Poll::Ready(Err(Fault::Source(broken))),
                    Poll::Pending => {
                        // Sent data must not wait for data that follows.
                        if sink.poll_flush(cx).map_err(|_| Fault::Sink)?.is_pending() {
                            self.waits = Waits::Sink;
                        }
                        return Poll::Pending;
                    }
                }
            }
            // Data may have arrived with the head, or while a connection was opened: each byte is observed
            // once.
            let body = source.body();
            let before = usize::try_from(self.shown - self.bytes).unwrap_or(usize::MAX);
            if let Some(piece) = body.get(before..).filter(|piece| !piece.is_empty()) {
                observe(self.shown, piece).map_err(Fault::Source)?;
                self.shown += piece.len() as u64;
            }
            self.waits = Waits::Sink;
            let count = ready!(sink.poll_write(cx, source.body())).map_err(|_| Fault::Sink)?;
            source.consume(count);
            self.bytes += count as u64;
        }
        if self.state == State::Finish {
            self.waits = Waits::Sink;
            ready!(sink.poll_finish(cx, self.trailers.as_ref())).map_err(|_| Fault::Sink)?;
            self.state = State::Done;
        }
        Poll::Ready(Ok(()))
    }
}

fn cleaned(mut trailers: Fields) -> Fields {
    hop::clean_trailers(&mut trailers);
    trailers
}
