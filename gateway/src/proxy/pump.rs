//! One direction of an exchange: a body copied from where it is received to where it is sent.

use std::task::{Context, Poll, ready};

use crate::http::fields::Fields;
use crate::http::hop;
use crate::http::message::{Broken, Progress, Sink, Source};

/// How far a body has come.
#[derive(Debug)]
pub struct Pump {
    state: State,
    /// What was taken from the source so far.
    pub bytes: u64,
    /// What was shown to the observer so far.
    shown: u64,
    /// Whose turn it is while nothing moves.
    pub waits: Waits,
    trailers: Option<Fields>,
    /// The receiver takes no trailers.
    drops_trailers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Copy,
    Finish,
    Done,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The sender of the body.
    Source,
    /// Its receiver.
    Sink,
}

/// Which side broke.
#[derive(Debug)]
pub enum Fault {
    /// The sender of the body.
    Source(Broken),
    /// Its receiver.
    Sink,
}

impl Pump {
    /// A body from its beginning.
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

    /// A body that is not there.
    pub fn done() -> Self {
        Self { state: State::Done, ..Self::new(false) }
    }

    /// Whether all was sent.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Begins again, with a source that gives the same bytes once more. They are not shown again.
    pub fn rewind(&mut self) {
        self.bytes = 0;
        self.state = State::Copy;
        self.waits = Waits::Source;
    }

    /// Whether trailers were received.
    pub fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Moves the body on. `observe` sees each piece before it is sent, and may refuse it.
    ///
    /// # Errors
    ///
    /// One side broke, or the piece was refused with the given fault.
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
                        // What was taken must not wait for what comes next.
                        if sink.poll_flush(cx).map_err(|_| Fault::Sink)?.is_pending() {
                            self.waits = Waits::Sink;
                        }
                        return Poll::Pending;
                    }
                }
            }
            // Data may have come with the head, or while a connection was made: each byte is shown once.
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
