//! Parser of received bytes into frames.
//!
//! DATA is passed on as it arrives, also in parts of a frame; other frames are buffered until they are
//! complete.

use bytes::{Buf, Bytes, BytesMut};

use super::core::{Core, Role};
use super::error::{Fault, frame_size, protocol};
use super::frame::{HEADER, Head, MAX_PAYLOAD, PREFACE, flag, kind};
use super::pool::{self, READ};

/// From this size on a piece of a body shares the read buffer instead of a copy; a smaller piece would keep a
/// much larger buffer in memory.
const SHARED: usize = 8 * 1024;

/// Minimum room before a read; with less, the buffer grows.
const MIN_ROOM: usize = 8 * 1024;

/// The read buffer.
#[derive(Debug)]
pub(super) struct Input {
    buffer: BytesMut,
    /// Number of consumed bytes.
    at: usize,
    /// The missing part of the client's preface.
    preface: &'static [u8],
    /// The peer's first SETTINGS have not arrived yet (RFC 9113 section 3.4).
    first: bool,
    data: Option<Data>,
}

/// The missing part of a DATA frame.
#[derive(Debug)]
struct Data {
    id: u32,
    content: usize,
    padding: usize,
    end: bool,
}

impl Input {
    pub fn new(role: Role, already_read: &[u8]) -> Self {
        let buffer = if already_read.is_empty() { BytesMut::new() } else { BytesMut::from(already_read) };
        let preface: &[u8] = if role == Role::Server { PREFACE } else { b"" };
        Self { buffer, at: 0, preface, first: true, data: None }
    }

    /// The buffer, with room for a read.
    pub fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() == 0 {
            self.buffer = pool::take_input();
        } else if self.buffer.capacity() - self.buffer.len() < MIN_ROOM {
            self.buffer.reserve(READ);
        }
        &mut self.buffer
    }

    /// No more data is available now: memory is released except for buffered bytes.
    pub fn rest(&mut self) {
        if self.buffer.capacity() == 0 {
            return;
        }
        if self.buffer.is_empty() {
            pool::give_input(std::mem::take(&mut self.buffer));
        } else if self.buffer.len() < READ / 8 && self.buffer.capacity() > READ / 2 {
            let small = BytesMut::from(&self.buffer[..]);
            pool::give_input(std::mem::replace(&mut self.buffer, small));
        }
    }

    /// Discards the buffer.
    pub fn discard(&mut self) {
        self.buffer.clear();
        self.at = 0;
    }

    /// Passes all complete frames to the connection.
    pub fn process(&mut self, core: &mut Core) -> Result<(), Fault> {
        let done = self.frames(core);
        if self.at == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.advance(self.at);
        }
        self.at = 0;
        done
    }

    fn frames(&mut self, core: &mut Core) -> Result<(), Fault> {
        if !self.preface.is_empty() && !self.take_preface()? {
            return Ok(());
        }
        while core.ended.is_none() {
            if self.data.is_some() {
                if !self.take_data(core)? {
                    break;
                }
                continue;
            }
            let Some((head, behind)) =
                self.buffer.get(self.at..).and_then(<[u8]>::split_first_chunk::<HEADER>)
            else {
                break;
            };
            let head = Head::read(*head);
            if head.len > MAX_PAYLOAD {
                return Err(frame_size("a frame larger than SETTINGS_MAX_FRAME_SIZE"));
            }
            if core.continued.is_some() && head.kind != kind::CONTINUATION {
                return Err(protocol("a frame within a field block"));
            }
            if self.first && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
                return Err(protocol("a first frame other than SETTINGS"));
            }
            if head.kind == kind::DATA {
                let padded = head.has(flag::PADDED);
                let padding = match (padded, behind.first()) {
                    (false, _) => 0,
                    (true, _) if head.len == 0 => return Err(frame_size("a padded frame without a length")),
                    (true, Some(&padding)) => usize::from(padding) + 1,
                    (true, None) => break,
                };
                let Some(content) = head.len.checked_sub(padding) else {
                    return Err(protocol("padding that is longer than its frame"));
                };
                core.data(head, padding)?;
                self.at += HEADER + usize::from(padded);
                let padding = padding.saturating_sub(1);
                self.data = Some(Data { id: head.stream, content, padding, end: head.has(flag::END_STREAM) });
                continue;
            }
            let Some(payload) = behind.get(..head.len) else { break };
            core.frame(head, payload)?;
            self.first = false;
            self.at += HEADER + head.len;
        }
        Ok(())
    }

    /// Whether the preface is complete.
    fn take_preface(&mut self) -> Result<bool, Fault> {
        let len = self.preface.len().min(self.buffer.len() - self.at);
        let (expected, rest) = self.preface.split_at(len);
        if self.buffer.get(self.at..self.at + len) != Some(expected) {
            return Err(protocol("a connection without the HTTP/2 preface"));
        }
        self.preface = rest;
        self.at += len;
        Ok(rest.is_empty())
    }

    /// Passes on the received part of a DATA frame; returns whether the frame is complete.
    fn take_data(&mut self, core: &mut Core) -> Result<bool, Fault> {
        let Some(data) = &mut self.data else { return Ok(true) };
        let ready = data.content.min(self.buffer.len() - self.at);
        if ready > 0 {
            let piece = if ready >= SHARED {
                self.buffer.advance(self.at);
                self.at = 0;
                self.buffer.split_to(ready).freeze()
            } else {
                let piece = self.buffer.get(self.at..self.at + ready).unwrap_or_default();
                self.at += ready;
                Bytes::copy_from_slice(piece)
            };
            data.content -= ready;
            core.data_piece(data.id, piece);
        }
        if data.content > 0 {
            return Ok(false);
        }
        let ready = data.padding.min(self.buffer.len() - self.at);
        self.at += ready;
        data.padding -= ready;
        if data.padding > 0 {
            return Ok(false);
        }
        let (id, end) = (data.id, data.end);
        self.data = None;
        if end { core.data_end(id).map(|()| true) } else { Ok(true) }
    }
}
