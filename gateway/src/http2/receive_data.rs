//! DATA: receive-side flow control (RFC 9113 sections 5.2 and 6.1).

use bytes::Bytes;

use super::code::Code;
use super::core::{Core, FIRST_WINDOW};
use super::error::{Fault, calm, protocol};
use super::frame::{self, Head, flag};
use super::recent::Past;
use super::state::Half;
use super::streams::Key;

impl Core {
    /// Start of a DATA frame. `padding` includes its length byte.
    pub fn data(&mut self, head: Head, padding: usize) -> Result<(), Fault> {
        let id = head.stream;
        if id == 0 || self.is_idle(id) {
            return Err(protocol("a DATA frame on an idle stream or on none"));
        }
        let len = i64::try_from(head.len).unwrap_or(i64::MAX);
        self.recv_window -= len;
        if self.recv_window < 0 {
            let reason = "more data than the connection's window";
            return Err(Fault::Connection(Code::FLOW_CONTROL_ERROR, reason));
        }
        let padding = u32::try_from(padding).unwrap_or(0);
        self.give_back(padding);
        let content = u64::try_from(head.len).unwrap_or(0) - u64::from(padding);
        if content == 0
            && !head.has(flag::END_STREAM)
            && self.rates.empty_data.exceeds(self.settings.floods.interval)
        {
            return Err(calm("too many DATA frames without data"));
        }
        match self.data_on_stream(id, len, padding, content) {
            Err(Fault::Stream(id, code, reason)) => self.stream_fault(id, code, reason),
            done => done,
        }
    }

    fn data_on_stream(&mut self, id: u32, len: i64, padding: u32, content: u64) -> Result<(), Fault> {
        let closed = Fault::Stream(id, Code::STREAM_CLOSED, "a DATA frame on a closed stream");
        let Some(key) = self.streams.find(id) else {
            return match self.recent.past(id) {
                Past::Reset | Past::Forgotten => Ok(()),
                Past::Closed | Past::Never => Err(closed),
            };
        };
        let client = self.role == super::core::Role::Client;
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.recv != Half::Open {
            return Err(closed);
        }
        if client && !stream.answered {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR, "a DATA frame before the response"));
        }
        stream.recv_window -= len;
        if stream.recv_window < 0 {
            let reason = "more data than the stream's window";
            return Err(Fault::Stream(id, Code::FLOW_CONTROL_ERROR, reason));
        }
        if let Some(left) = &mut stream.expected {
            let Some(rest) = left.checked_sub(content) else {
                let reason = "a body longer than its content-length";
                return Err(Fault::Stream(id, Code::PROTOCOL_ERROR, reason));
            };
            *left = rest;
        }
        stream.credit += padding;
        Ok(())
    }

    /// The last byte of a DATA frame with END_STREAM was received.
    pub fn data_end(&mut self, id: u32) -> Result<(), Fault> {
        match self.received_end(id) {
            Err(Fault::Stream(id, code, reason)) => self.stream_fault(id, code, reason),
            done => done,
        }
    }

    /// A piece of the content of a DATA frame. The stream may have been closed in the meantime.
    pub fn data_piece(&mut self, id: u32, piece: Bytes) {
        let len = u32::try_from(piece.len()).unwrap_or(0);
        if let Some(key) = self.streams.find(id)
            && let Some(stream) = self.streams.get(key)
            && stream.recv == Half::Open
            && !stream.discard
        {
            stream.held += len;
            stream.push(piece);
            stream.wake_reader();
        } else {
            self.give_back(len);
        }
    }

    /// The caller consumed received bytes: the peer may send as many more.
    pub fn release(&mut self, key: Key, bytes: usize) {
        let window = self.settings.stream_window;
        let Some(stream) = self.streams.get(key) else { return };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(stream.held);
        stream.held -= bytes;
        stream.credit += bytes;
        if stream.recv == Half::Open && stream.credit >= window / 2 {
            let (id, credit) = (stream.id, std::mem::take(&mut stream.credit));
            stream.recv_window += i64::from(credit);
            frame::window_update(self.output.buffer(), id, credit);
            self.wake_driver();
        }
        self.give_back(bytes);
    }

    /// Returns bytes to the connection's receive window.
    pub fn give_back(&mut self, bytes: u32) {
        self.credit += bytes;
        if self.credit >= self.settings.connection_window.max(FIRST_WINDOW) / 2 && self.ended.is_none() {
            let credit = std::mem::take(&mut self.credit);
            self.recv_window += i64::from(credit);
            frame::window_update(self.output.buffer(), 0, credit);
            self.wake_driver();
        }
    }
}
