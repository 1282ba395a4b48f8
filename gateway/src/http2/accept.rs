//! The requests of a server's connection.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Driver;
use super::head::{Refusal, RequestHead};
use super::stream::Stream;

/// The places for requests that a connection keeps when it has none.
const KEPT: usize = 64;

/// A request, with the stream that it came on.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: RequestHead,
    /// The request is to be answered by a refusal, or its stream dropped.
    pub refused: Option<Refusal>,
    /// Where the body comes from and the response goes.
    pub stream: Stream,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The next request of a client, or nothing when the connection is over. This also writes what
    /// the streams send, so it is to be called until then.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        loop {
            if let Some(request) = self.take_request() {
                return Poll::Ready(Some(request));
            }
            let done = self.poll_drive(cx);
            // Requests that were reset meanwhile are not handed over; their frames are to be written.
            if self.core().borrow().accepted.is_empty() {
                return done.map(|()| None);
            }
        }
    }

    fn take_request(&mut self) -> Option<Request> {
        loop {
            let mut core = self.core().borrow_mut();
            let Some(key) = core.accepted.pop_front() else {
                if core.accepted.capacity() > KEPT {
                    core.accepted = VecDeque::new();
                }
                return None;
            };
            let stream = core.streams.get(key).filter(|stream| stream.error.is_none());
            if let Some((head, refused)) = stream.and_then(|stream| stream.request.take()) {
                drop(core);
                return Some(Request { head, refused, stream: Stream::new(Rc::clone(self.core()), key) });
            }
            // It was reset meanwhile.
            core.drop_stream(key);
        }
    }
}
