//! Requests received on a server connection.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Driver;
use super::head::{Refusal, RequestHead};
use super::stream::Stream;

/// Capacity that an idle connection keeps for requests.
const KEPT: usize = 64;

/// A request and its stream.
#[derive(Debug)]
pub struct Request {
    /// The head.
    pub head: RequestHead,
    /// If set, the request must be refused, or its stream dropped.
    pub refused: Option<Refusal>,
    /// The stream of the request body and of the response.
    pub stream: Stream,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// The next request of a client; `None` when the connection has ended. This also writes frames for the
    /// streams, so it must be called until then.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<Request>> {
        loop {
            if let Some(request) = self.take_request() {
                return Poll::Ready(Some(request));
            }
            let done = self.poll_drive(cx);
            // Requests that were reset in the meantime are skipped; their frames still must be written.
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
            // The stream was reset in the meantime.
            core.drop_stream(key);
        }
    }
}
