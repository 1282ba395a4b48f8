//! The state of a stream.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

use super::error::StreamError;
use super::head::{Refusal, RequestHead, ResponseHead};
use crate::http::fields::Fields;

/// Smaller pieces of a body are merged if there are unread pieces before them.
const SMALL: usize = 1024;

/// The state of one direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// More data may follow.
    Open,
    /// END_STREAM was sent or received.
    Ended,
    /// It was aborted.
    Failed,
}

/// A stream. It exists as long as its handle, even after it was closed in the protocol.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    pub send: Half,
    pub recv: Half,
    /// The error that aborted it.
    pub error: Option<StreamError>,
    /// A final response head was sent or received.
    pub answered: bool,
    /// The request is malformed: the stream ends with PROTOCOL_ERROR after any response.
    pub malformed: bool,
    /// Received data is discarded.
    pub discard: bool,
    /// The response has no body, since the request was HEAD.
    pub no_body: bool,
    /// The request was an extended CONNECT (RFC 8441).
    pub connect: bool,
    /// The number of body bytes still to come according to content-length.
    pub expected: Option<u64>,
    /// May be negative (RFC 9113 section 6.9.2).
    pub send_window: i64,
    pub recv_window: i64,
    /// Received bytes that were not released yet.
    pub held: u32,
    /// Released bytes for which no WINDOW_UPDATE was sent yet.
    pub credit: u32,
    /// Bytes it may send although other streams wait as well.
    pub allowance: usize,
    /// It is in the list of streams that wait for capacity.
    pub queued: bool,
    /// The request, until it is returned to the server.
    pub request: Option<(RequestHead, Option<Refusal>)>,
    pub heads: VecDeque<ResponseHead>,
    pub body: VecDeque<Bytes>,
    /// Merged small pieces after those of the body: without merging, a peer that sends single bytes would use
    /// far more memory than its window.
    pub tail: Vec<u8>,
    /// The handle was dropped, but the stream is kept for a round trip so that the peer reads the response.
    pub lingering: bool,
    /// Offset of its first frame in the total output.
    pub begins: u64,
    pub trailers: Option<Box<Fields>>,
    /// Woken when data is received.
    pub reader: Option<Waker>,
    /// Woken when there is room to send.
    pub writer: Option<Waker>,
}

impl Stream {
    pub const fn new(id: u32, send_window: i64, recv_window: i64) -> Self {
        Self {
            id,
            send: Half::Open,
            recv: Half::Open,
            error: None,
            answered: false,
            malformed: false,
            discard: false,
            no_body: false,
            connect: false,
            expected: None,
            send_window,
            recv_window,
            held: 0,
            credit: 0,
            allowance: 0,
            queued: false,
            request: None,
            heads: VecDeque::new(),
            body: VecDeque::new(),
            tail: Vec::new(),
            lingering: false,
            begins: 0,
            trailers: None,
            reader: None,
            writer: None,
        }
    }

    /// Whether it is closed in the protocol.
    pub fn is_closed(&self) -> bool {
        self.send != Half::Open && self.recv != Half::Open
    }

    pub fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Appends a received piece of the body.
    pub fn push(&mut self, piece: Bytes) {
        if piece.len() < SMALL && !self.body.is_empty() {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.body.push_back(std::mem::take(&mut self.tail).into());
        }
        self.body.push_back(piece);
    }

    /// The next piece of the body.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = self.body.pop_front();
        if piece.is_none() && !self.tail.is_empty() {
            return Some(std::mem::take(&mut self.tail).into());
        }
        piece
    }

    /// Aborts the directions that are still open.
    pub fn fail(&mut self, error: StreamError) {
        if self.is_closed() {
            return;
        }
        if self.send == Half::Open {
            self.send = Half::Failed;
        }
        if self.recv == Half::Open {
            self.recv = Half::Failed;
            self.body.clear();
            self.tail.clear();
        }
        self.error = Some(error);
        self.wake_reader();
        self.wake_writer();
    }
}
