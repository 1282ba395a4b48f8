//! The handle of a stream.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::code::Code;
use super::core::Shared;
use super::error::StreamError;
use super::head::ResponseHead;
use super::state::{self, Half};
use super::streams::Key;
use crate::http::fields::Fields;

/// A request with its response. If dropped before both are complete, the stream is reset.
#[derive(Debug)]
pub struct Stream {
    core: Shared,
    key: Key,
}

/// An event of a received body.
#[derive(Debug)]
pub enum BodyEvent {
    /// A piece of data. [`Stream::release`] allows the peer to send as many bytes more.
    Data(Bytes),
    /// The trailers; only [`BodyEvent::End`] follows.
    Trailers(Fields),
    /// The message is complete.
    End,
}

impl Stream {
    pub(super) const fn new(core: Shared, key: Key) -> Self {
        Self { core, key }
    }

    fn with<R>(&self, act: impl FnOnce(&mut state::Stream) -> R) -> Option<R> {
        self.core.borrow_mut().streams.get(self.key).map(act)
    }

    /// The id of the stream.
    pub fn id(&self) -> u32 {
        self.with(|stream| stream.id).unwrap_or_default()
    }

    /// The next head of the response: any number of interim ones (1xx), then the final one.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    pub fn poll_head(&self, cx: &Context<'_>) -> Poll<Result<ResponseHead, StreamError>> {
        self.with(|stream| match (stream.heads.pop_front(), stream.error) {
            (Some(head), _) => Poll::Ready(Ok(head)),
            (None, Some(error)) => Poll::Ready(Err(error)),
            (None, None) => wait(stream, cx),
        })
        .unwrap_or(Poll::Pending)
    }

    /// The next event of the received body.
    ///
    /// # Errors
    ///
    /// The error of the stream.
    pub fn poll_body(&self, cx: &Context<'_>) -> Poll<Result<BodyEvent, StreamError>> {
        self.with(|stream| {
            if let Some(piece) = stream.pop() {
                return Poll::Ready(Ok(BodyEvent::Data(piece)));
            }
            if let Some(trailers) = stream.trailers.take() {
                return Poll::Ready(Ok(BodyEvent::Trailers(*trailers)));
            }
            match (stream.recv, stream.error) {
                (Half::Ended, _) => Poll::Ready(Ok(BodyEvent::End)),
                (_, Some(error)) => Poll::Ready(Err(error)),
                _ if stream.discard => Poll::Ready(Ok(BodyEvent::End)),
                _ => wait(stream, cx),
            }
        })
        .unwrap_or(Poll::Pending)
    }

    /// Whether the peer has ended its side and everything was read. A short body may have arrived with its
    /// head.
    pub fn is_received(&self) -> bool {
        self.with(|stream| stream.recv == Half::Ended && stream.body.is_empty() && stream.trailers.is_none())
            .unwrap_or(true)
    }

    /// Releases consumed bytes of the body, so that the peer may send more.
    pub fn release(&self, bytes: usize) {
        self.core.borrow_mut().release(self.key, bytes);
    }

    /// Waits until the stream fails. It replaces a waiting [`Stream::poll_head`] or [`Stream::poll_body`] of
    /// another task.
    pub fn poll_reset(&self, cx: &Context<'_>) -> Poll<StreamError> {
        self.with(|stream| stream.error.map_or_else(|| wait(stream, cx), Poll::Ready))
            .unwrap_or(Poll::Pending)
    }

    /// Sends the final head of the response; `end`: without a body.
    ///
    /// # Errors
    ///
    /// The stream failed, or the final head was already sent.
    pub fn send_head(&self, status: u16, fields: &Fields, end: bool) -> Result<(), StreamError> {
        self.core.borrow_mut().send_response(self.key, status, fields, end)
    }

    /// Sends an interim head (1xx, but not 101).
    ///
    /// # Errors
    ///
    /// As for [`Stream::send_head`].
    pub fn send_interim(&self, status: u16, fields: &Fields) -> Result<(), StreamError> {
        self.core.borrow_mut().send_response(self.key, status, fields, false)
    }

    /// Sends trailers, which end this side of the stream.
    ///
    /// # Errors
    ///
    /// The stream failed, or this side was already ended.
    pub fn send_trailers(&self, fields: &Fields) -> Result<(), StreamError> {
        self.core.borrow_mut().send_trailers(self.key, fields)
    }

    /// Sends as much of a body as the flow-control windows and the output buffer allow, and returns how much;
    /// `end` ends this side of the stream after the last byte.
    ///
    /// # Errors
    ///
    /// The stream failed, or this side was already ended.
    pub fn poll_send(&self, cx: &Context<'_>, data: &[u8], end: bool) -> Poll<Result<usize, StreamError>> {
        self.core.borrow_mut().poll_send(self.key, cx, data, end)
    }

    /// Resets the stream.
    pub fn reset(&self, code: Code) {
        self.core.borrow_mut().reset(self.key, code, "the stream was dropped");
    }
}

fn wait<T>(stream: &mut state::Stream, cx: &Context<'_>) -> Poll<T> {
    if !stream.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
        stream.reader = Some(cx.waker().clone());
    }
    Poll::Pending
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.core.borrow_mut().drop_stream(self.key);
    }
}

/// Opens streams on a connection.
#[derive(Debug)]
pub struct Sender {
    core: Shared,
}

impl Sender {
    pub(super) fn new(core: Shared) -> Self {
        core.borrow_mut().senders += 1;
        Self { core }
    }

    pub(super) const fn core(&self) -> &Shared {
        &self.core
    }

    pub(super) fn stream(&self, key: Key) -> Stream {
        Stream::new(Rc::clone(&self.core), key)
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.core))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut core = self.core.borrow_mut();
        core.senders -= 1;
        if core.senders == 0 {
            core.wake_driver();
        }
    }
}
