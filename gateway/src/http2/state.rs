//! What is known of a stream.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::Bytes;

use super::error::StreamError;
use super::head::{Refusal, RequestHead, ResponseHead};
use crate::http::fields::Fields;

/// Pieces of a body below this size are gathered while others wait before them.
const SMALL: usize = 1024;

/// One direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// More may come.
    Open,
    /// END_STREAM was sent or received.
    Ended,
    /// It broke off.
    Failed,
}

/// A stream. It lives as long as the handle of its user, also when the protocol is done with it.
#[derive(Debug)]
pub(super) struct Stream {
    pub id: u32,
    pub send: Half,
    pub recv: Half,
    /// Why it broke off.
    pub error: Option<StreamError>,
    /// A final response head was sent or received.
    pub answered: bool,
    /// The request is malformed: the stream ends with PROTOCOL_ERROR, whatever is answered.
    pub malformed: bool,
    /// What is received is thrown away.
    pub discard: bool,
    /// The response has no body, since the request was HEAD.
    pub no_body: bool,
    /// The request was an extended CONNECT (RFC 8441).
    pub connect: bool,
    /// The bytes of the body that the content-length still promises.
    pub expected: Option<u64>,
    /// May be negative (RFC 9113 section 6.9.2).
    pub send_window: i64,
    pub recv_window: i64,
    /// Received bytes that the user has not given back.
    pub held: u32,
    /// Bytes given back that the peer was not told of.
    pub credit: u32,
    /// Bytes it may send though others wait as well.
    pub allowance: usize,
    /// It stands in the list of those that wait for room.
    pub queued: bool,
    /// The request, until it is handed over.
    pub request: Option<(RequestHead, Option<Refusal>)>,
    pub heads: VecDeque<ResponseHead>,
    pub body: VecDeque<Bytes>,
    /// Small pieces behind those of the body, gathered: a peer that sends single bytes would
    /// otherwise hold far more memory than its window says.
    pub tail: Vec<u8>,
    /// The user's handle is gone, but the peer has the time of a round trip to read the response.
    pub lingering: bool,
    /// Where its first frame stands among all bytes sent.
    pub begins: u64,
    pub trailers: Option<Box<Fields>>,
    /// Wakes who waits for what is received.
    pub reader: Option<Waker>,
    /// Wakes who waits for room to send.
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

    /// Whether the protocol is done with it.
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

    /// A piece of the body was received.
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

    /// Breaks off what is still open.
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
