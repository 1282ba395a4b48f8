//! HEADERS and CONTINUATION: requests, responses and trailers.

use super::block::{Block, Kind};
use super::code::Code;
use super::core::{Continued, Core, Role};
use super::error::{Fault, calm, frame_size, protocol};
use super::frame::{self, Head, flag};
use super::head::Refusal;
use super::recent::Past;
use super::state::{Half, Stream};
use super::streams::Key;

impl Core {
    pub(super) fn headers(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(protocol("a HEADERS frame without a stream"));
        }
        let Some(mut block) = frame::unpadded(head, payload) else {
            return Err(protocol("padding that is longer than its frame"));
        };
        let mut own_parent = false;
        if head.has(flag::PRIORITY) {
            let Some((&[a, b, c, d, _], rest)) = block.split_first_chunk::<5>() else {
                return Err(frame_size("a HEADERS frame that is too short for its priority"));
            };
            own_parent = u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff == head.stream;
            block = rest;
        }
        let (id, end) = (head.stream, head.has(flag::END_STREAM));
        if head.has(flag::END_HEADERS) {
            return self.block(id, end, own_parent, block);
        }
        let block = block.to_vec();
        self.continued = Some(Box::new(Continued { id, end, own_parent, block, frames: 0 }));
        Ok(())
    }

    pub(super) fn continuation(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let settings = &self.settings;
        let Some(continued) = self.continued.as_mut().filter(|continued| continued.id == head.stream) else {
            return Err(protocol("a CONTINUATION frame outside a field block"));
        };
        continued.frames += 1;
        if continued.frames > settings.continuations {
            return Err(calm("too many CONTINUATION frames"));
        }
        if continued.block.len() + payload.len() > settings.field_block_bytes {
            return Err(calm("a field block with too many bytes"));
        }
        continued.block.extend_from_slice(payload);
        if head.has(flag::END_HEADERS)
            && let Some(continued) = self.continued.take()
        {
            return self.block(continued.id, continued.end, continued.own_parent, &continued.block);
        }
        Ok(())
    }

    /// A complete field block. It is always decoded, to keep the dynamic table in sync.
    fn block(&mut self, id: u32, end: bool, own_parent: bool, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(key) = self.streams.find(id) {
            let done = self.block_on_stream(key, id, end, bytes);
            return if own_parent { done.and(Err(OWN_PARENT(id))) } else { done };
        }
        if self.role == Role::Client {
            if id.is_multiple_of(2) || self.is_idle(id) {
                return Err(protocol("a HEADERS frame on an idle stream"));
            }
            self.decode(Kind::Trailers, bytes)?;
            return Ok(());
        }
        if id.is_multiple_of(2) {
            return Err(protocol("a HEADERS frame on a stream that a client cannot open"));
        }
        if id <= self.last_id {
            return match self.recent.past(id) {
                Past::Never => Err(protocol("a stream id lower than an earlier one")),
                Past::Closed => {
                    Err(Fault::Connection(Code::STREAM_CLOSED, "a HEADERS frame on a closed stream"))
                }
                Past::Reset | Past::Forgotten => self.decode(Kind::Trailers, bytes).map(|_| ()),
            };
        }
        self.request(id, end, bytes)?;
        if own_parent { Err(OWN_PARENT(id)) } else { Ok(()) }
    }

    fn decode(&mut self, kind: Kind, bytes: &[u8]) -> Result<Block, Fault> {
        let mut block = Block::new(kind, &self.settings);
        if kind != Kind::Trailers {
            block.reserve();
        }
        match self.decoder.decode(bytes, &mut block) {
            Ok(()) => Ok(block),
            Err(_) => Err(Fault::Connection(Code::COMPRESSION_ERROR, "a field block that cannot be decoded")),
        }
    }

    /// A new stream of a client.
    fn request(&mut self, id: u32, end: bool, bytes: &[u8]) -> Result<(), Fault> {
        let block = self.decode(Kind::Request, bytes)?;
        let limit = usize::try_from(self.settings.concurrent_streams).unwrap_or(usize::MAX);
        self.last_id = id;
        if self.refuses(id) {
            self.recent.push(id, true);
            return Ok(());
        }
        // Streams that the peer has reset but whose handles still exist count as well, to bound the work that
        // a peer causes; the factor is two, since a client may reset all streams and open as many again.
        if self.streams.active() >= limit || self.streams.alive() >= limit.saturating_mul(2) {
            self.recent.push(id, true);
            let reason = "more concurrent streams than SETTINGS_MAX_CONCURRENT_STREAMS";
            if self.settings_acknowledged {
                return Err(Fault::Stream(id, Code::REFUSED_STREAM, reason));
            }
            frame::rst_stream(self.output.buffer(), id, Code::REFUSED_STREAM);
            return Ok(());
        }
        let (head, refusal) = block.into_request(end, self.settings.connect_protocol);
        let send_window = i64::from(self.peer.initial_window);
        let mut stream = Stream::new(id, send_window, i64::from(self.settings.stream_window));
        stream.expected = head.content_length;
        stream.discard = refusal.is_some();
        stream.malformed = matches!(refusal, Some(Refusal::Malformed(_)));
        // A malformed request stays open until it is reset.
        if end && !stream.malformed {
            stream.recv = Half::Ended;
        }
        if stream.malformed {
            stream.expected = None;
        }
        let malformed = stream.malformed;
        stream.request = Some((head, refusal));
        let key = self.streams.insert(stream);
        self.accepted.push_back(key);
        if malformed && self.rates.faults.exceeds(self.settings.floods.interval) {
            return Err(calm("too many malformed requests"));
        }
        Ok(())
    }

    /// A block on an open stream: trailers or, at a client, a response.
    fn block_on_stream(&mut self, key: Key, id: u32, end: bool, bytes: &[u8]) -> Result<(), Fault> {
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        let (recv, answered, no_body) = (stream.recv, stream.answered, stream.no_body);
        let response = self.role == Role::Client && !answered;
        let block = self.decode(if response { Kind::Response } else { Kind::Trailers }, bytes)?;
        if recv != Half::Open {
            return Err(Fault::Stream(id, Code::STREAM_CLOSED, "a HEADERS frame on a half-closed stream"));
        }
        if response {
            let head = block.into_response(end, no_body).map_err(|refusal| refused(id, refusal))?;
            let Some(stream) = self.streams.get(key) else { return Ok(()) };
            if head.status >= 200 {
                stream.answered = true;
                let bodiless = no_body || matches!(head.status, 204 | 304);
                stream.expected = match head.content_length {
                    // A tunnel follows (RFC 9110 section 9.3.6).
                    _ if stream.connect && matches!(head.status, 200..300) => None,
                    _ if bodiless => Some(0),
                    length => length,
                };
            }
            stream.heads.push_back(head);
            stream.wake_reader();
            return if end { self.received_end(id) } else { self.bounded_interim(key, id) };
        }
        let trailers = block.into_trailers().map_err(|refusal| refused(id, refusal))?;
        if !end {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR, "trailers that do not end the stream"));
        }
        if let Some(stream) = self.streams.get(key)
            && !stream.discard
        {
            stream.trailers = Some(Box::new(trailers));
        }
        self.received_end(id)
    }

    /// Limits the number of interim responses buffered in memory.
    fn bounded_interim(&mut self, key: Key, id: u32) -> Result<(), Fault> {
        let waiting = self.streams.get(key).map_or(0, |stream| stream.heads.len());
        if waiting > MAX_HEADS {
            return Err(Fault::Stream(id, Code::ENHANCE_YOUR_CALM, "too many interim responses"));
        }
        Ok(())
    }
}

const MAX_HEADS: usize = 16;

const OWN_PARENT: fn(u32) -> Fault =
    |id| Fault::Stream(id, Code::PROTOCOL_ERROR, "a stream that depends on itself");

const fn refused(id: u32, refusal: Refusal) -> Fault {
    match refusal {
        Refusal::HeadTooLarge => Fault::Stream(
            id,
            Code::CANCEL,
            "more bytes or fields in a head or trailers than the settings allow",
        ),
        Refusal::Malformed(reason) => Fault::Stream(id, Code::PROTOCOL_ERROR, reason),
    }
}
