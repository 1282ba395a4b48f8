//! Sending of heads, bodies and trailers.

use std::task::{Context, Poll};

use super::code::Code;
use super::core::Core;
use super::error::{By, StreamError};
use super::frame::{self, HEADER, flag, kind};
use super::head::RequestLine;
use super::hpack::encode;
use super::state::{Half, Stream};
use super::streams::Key;
use crate::http::fields::Fields;
use crate::http::name::Name;
use crate::http1::encode::append_number;

/// Maximum size of a DATA frame, even if the peer allows more, so that streams alternate.
const MAX_DATA: usize = 16_384;

/// Minimum number of bytes that a waiting stream may send.
const MIN_SHARE: usize = 1024;

const fn local(code: Code, reason: &'static str) -> StreamError {
    StreamError { by: By::Local, code, reason, unprocessed: false }
}

const GONE: StreamError = local(Code::INTERNAL_ERROR, "the stream no longer exists");
const ENDED: StreamError = local(Code::INTERNAL_ERROR, "this side of the stream was already ended");

impl Stream {
    /// Whether data can be sent.
    fn sendable(&self) -> Result<(), StreamError> {
        match self.send {
            Half::Open => Ok(()),
            Half::Ended => Err(ENDED),
            Half::Failed => Err(self.error.unwrap_or(GONE)),
        }
    }
}

impl Core {
    /// Sends the head of a response, final or interim.
    pub fn send_response(
        &mut self,
        key: Key,
        status: u16,
        fields: &Fields,
        end: bool,
    ) -> Result<(), StreamError> {
        let stream = self.streams.get(key).ok_or(GONE)?;
        stream.sendable()?;
        if stream.answered {
            return Err(local(Code::INTERNAL_ERROR, "a second response on a stream"));
        }
        let id = stream.id;
        if status >= 200 {
            stream.answered = true;
        }
        let encoder = &mut self.encoder;
        self.output.headers(id, end, self.peer.frame_bytes, |out| {
            encoder.begin(out);
            encode::status(out, status);
            write_fields(out, fields, false);
        });
        self.sent(key, end);
        Ok(())
    }

    /// Sends the head of a request.
    pub fn send_request(&mut self, key: Key, line: &RequestLine<'_>, fields: &Fields, end: bool) {
        let Some(stream) = self.streams.get(key) else { return };
        let id = stream.id;
        stream.no_body = line.method == b"HEAD";
        stream.connect = line.protocol.is_some();
        stream.begins = self.output.total() + u64::try_from(self.output.len()).unwrap_or(0);
        let encoder = &mut self.encoder;
        self.output.headers(id, end, self.peer.frame_bytes, |out| {
            encoder.begin(out);
            encode::method(out, line.method);
            if let Some(scheme) = line.scheme {
                encode::scheme(out, scheme);
            }
            if let Some(authority) = line.authority {
                encode::authority(out, authority);
            }
            if let Some(path) = line.path {
                encode::path(out, path);
            }
            if let Some(protocol) = line.protocol {
                encode::protocol(out, protocol);
            }
            write_fields(out, fields, line.authority.is_some());
            if let Some(length) = line.content_length {
                let mut digits = Vec::with_capacity(20);
                append_number(&mut digits, length);
                encode::field(out, Name::ContentLength, b"content-length", &digits);
            }
        });
        self.sent(key, end);
    }

    /// Sends trailers, which end the stream.
    pub fn send_trailers(&mut self, key: Key, fields: &Fields) -> Result<(), StreamError> {
        let stream = self.streams.get(key).ok_or(GONE)?;
        stream.sendable()?;
        let id = stream.id;
        let encoder = &mut self.encoder;
        self.output.headers(id, true, self.peer.frame_bytes, |out| {
            encoder.begin(out);
            write_fields(out, fields, true);
        });
        self.sent(key, true);
        Ok(())
    }

    fn sent(&mut self, key: Key, end: bool) {
        if end && let Some(stream) = self.streams.get(key) {
            stream.send = Half::Ended;
            self.settle(key);
        }
        self.wake_driver();
    }

    /// Sends as much of a body as the windows and the output allow; `end` follows the last byte.
    pub fn poll_send(
        &mut self,
        key: Key,
        cx: &Context<'_>,
        data: &[u8],
        end: bool,
    ) -> Poll<Result<usize, StreamError>> {
        let room = self.room();
        let connection = usize::try_from(self.send_window).unwrap_or(0);
        let most = self.peer.frame_bytes.min(MAX_DATA);
        let Some(stream) = self.streams.get(key) else { return Poll::Ready(Err(GONE)) };
        stream.sendable()?;
        let (id, window) = (stream.id, usize::try_from(stream.send_window).unwrap_or(0));
        let share = if stream.allowance > 0 { stream.allowance } else { room };
        let len = data.len().min(window).min(connection).min(share);
        if len == 0 && !data.is_empty() {
            stream.writer = Some(cx.waker().clone());
            if window > 0 && !stream.queued {
                stream.queued = true;
                self.waiting.push_back(key);
            }
            return Poll::Pending;
        }
        stream.allowance = stream.allowance.saturating_sub(len);
        let bytes = i64::try_from(len).unwrap_or(0);
        stream.send_window -= bytes;
        self.send_window -= bytes;
        let end = end && len == data.len();
        let mut rest = data.get(..len).unwrap_or_default();
        let out = self.output.buffer();
        out.reserve(len + HEADER * (len / most + 1));
        loop {
            let (piece, behind) = rest.split_at(rest.len().min(most));
            let last = if end && behind.is_empty() { flag::END_STREAM } else { 0 };
            if !piece.is_empty() || last != 0 {
                frame::header(out, piece.len(), kind::DATA, last, id);
                out.extend_from_slice(piece);
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        // Clients respond to data with WINDOW_UPDATE and, to measure the bandwidth, PING (gRPC).
        self.rates.window_updates.earn(u32::try_from(len / 64 + 1).unwrap_or(1));
        self.rates.pings.earn(u32::try_from(len / 1024 + 1).unwrap_or(1));
        self.sent(key, end);
        Poll::Ready(Ok(len))
    }

    /// Room in the output buffer for all streams together.
    fn room(&self) -> usize {
        self.settings.output_bytes.saturating_sub(self.output.len())
    }

    /// Wakes streams that wait for capacity, with an equal share each.
    pub fn wake_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let room = self.room().min(usize::try_from(self.send_window).unwrap_or(0));
        if room == 0 {
            return;
        }
        let share = (room / self.waiting.len()).max(MIN_SHARE);
        while let Some(key) = self.waiting.pop_front() {
            if let Some(stream) = self.streams.get(key) {
                stream.queued = false;
                stream.allowance = share;
                stream.wake_writer();
            }
        }
        self.waiting = std::collections::VecDeque::new();
    }
}

/// Writes the fields, except those that HTTP/2 forbids (RFC 9113 section 8.2.2).
fn write_fields(out: &mut Vec<u8>, fields: &Fields, without_host: bool) {
    for field in fields.iter() {
        match field.known {
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::TransferEncoding
            | Name::Upgrade
            | Name::Http2Settings => {}
            Name::Te if field.value != b"trailers" => {}
            Name::Host if without_host => {}
            known => encode::field(out, known, field.name, field.value),
        }
    }
}
