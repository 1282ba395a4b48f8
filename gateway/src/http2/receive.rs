//! Handling of received frames, except DATA and field blocks.

use super::code::Code;
use super::core::{Core, Role};
use super::error::{By, Fault, StreamError, calm, frame_size, protocol};
use super::frame::{self, Head, flag, kind};
use super::state::Half;

const MAX_WINDOW: i64 = 0x7fff_ffff;

impl Core {
    /// Handles a complete frame other than DATA.
    pub fn frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let done = self.dispatch(head, payload);
        if let Err(Fault::Stream(id, code, reason)) = done {
            return self.stream_fault(id, code, reason);
        }
        done
    }

    fn dispatch(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        match head.kind {
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::SETTINGS => self.settings_frame(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head, payload),
            kind::RST_STREAM => self.rst_stream(head, payload),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => self.goaway_frame(head, payload),
            kind::PRIORITY => self.priority(head, payload),
            kind::PUSH_PROMISE => Err(protocol("a PUSH_PROMISE frame that was not allowed")),
            // RFC 9113 section 4.1: unknown types are ignored.
            _ => self.ignored(),
        }
    }

    fn ignored(&mut self) -> Result<(), Fault> {
        if self.rates.ignored.exceeds(self.settings.floods.interval) {
            return Err(calm("too many PRIORITY frames or frames of unknown types"));
        }
        Ok(())
    }

    /// Whether this stream was never opened (RFC 9113 section 5.1).
    pub fn is_idle(&self, id: u32) -> bool {
        let own = (id % 2 == 1) == (self.role == Role::Client);
        if own { id >= self.next_id } else { id > self.last_id }
    }

    fn settings_frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(protocol("a SETTINGS frame on a stream"));
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(frame_size("a SETTINGS acknowledgement with a payload"));
            }
            self.settings_acknowledged = true;
            return Ok(());
        }
        if self.rates.settings.exceeds(self.settings.floods.interval) {
            return Err(calm("too many SETTINGS frames"));
        }
        let before = i64::from(self.peer.initial_window);
        if self.peer.apply(payload, self.role == Role::Client)? {
            self.encoder.resized();
        }
        let change = i64::from(self.peer.initial_window) - before;
        if change != 0 {
            for stream in self.streams.iter_mut() {
                stream.send_window += change;
                if stream.send_window > MAX_WINDOW {
                    let reason = "SETTINGS_INITIAL_WINDOW_SIZE makes a window larger than 2^31-1";
                    return Err(Fault::Connection(Code::FLOW_CONTROL_ERROR, reason));
                }
                if stream.send_window > 0 && !stream.queued {
                    stream.wake_writer();
                }
            }
        }
        self.settings_received = true;
        frame::header(self.output.buffer(), 0, kind::SETTINGS, flag::ACK, 0);
        for opener in self.openers.drain(..) {
            opener.wake();
        }
        Ok(())
    }

    fn window_update(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(frame_size("a WINDOW_UPDATE frame of a wrong length"));
        };
        let more = i64::from(u32::from_be_bytes(bytes) & 0x7fff_ffff);
        if self.rates.window_updates.exceeds(self.settings.floods.interval) {
            return Err(calm("too many WINDOW_UPDATE frames"));
        }
        if head.stream == 0 {
            if more == 0 {
                return Err(protocol("a WINDOW_UPDATE frame of 0"));
            }
            self.send_window += more;
            if self.send_window > MAX_WINDOW {
                let reason = "the connection's window is larger than 2^31-1";
                return Err(Fault::Connection(Code::FLOW_CONTROL_ERROR, reason));
            }
            self.wake_waiting();
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return Err(protocol("a WINDOW_UPDATE frame on an idle stream"));
        }
        let Some(key) = self.streams.find(head.stream) else { return Ok(()) };
        if more == 0 {
            return Err(Fault::Stream(head.stream, Code::PROTOCOL_ERROR, "a WINDOW_UPDATE frame of 0"));
        }
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        stream.send_window += more;
        if stream.send_window > MAX_WINDOW {
            let reason = "the stream's window is larger than 2^31-1";
            return Err(Fault::Stream(head.stream, Code::FLOW_CONTROL_ERROR, reason));
        }
        if stream.send_window > 0 && !stream.queued {
            stream.wake_writer();
        }
        Ok(())
    }

    fn rst_stream(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 || self.is_idle(head.stream) {
            return Err(protocol("a RST_STREAM frame on an idle stream or on none"));
        }
        let Ok(bytes) = <[u8; 4]>::try_from(payload) else {
            return Err(frame_size("a RST_STREAM frame of a wrong length"));
        };
        let code = Code(u32::from_be_bytes(bytes));
        let Some(key) = self.streams.find(head.stream) else {
            // Both sides ended the stream at the same time.
            return self.ignored();
        };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        stream.fail(StreamError {
            by: By::Peer,
            code,
            reason: "the peer reset the stream",
            unprocessed: code == Code::REFUSED_STREAM,
        });
        self.settle(key);
        if self.role == Role::Server && self.rates.resets.exceeds(self.settings.floods.interval) {
            return Err(calm("too many streams were reset by the peer"));
        }
        Ok(())
    }

    fn ping(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(protocol("a PING frame on a stream"));
        }
        if payload.len() != 8 {
            return Err(frame_size("a PING frame of a wrong length"));
        }
        if head.has(flag::ACK) {
            self.ping_answered(payload);
            return Ok(());
        }
        if self.rates.pings.exceeds(self.settings.floods.interval) {
            return Err(calm("too many PING frames"));
        }
        frame::ping(self.output.buffer(), flag::ACK, payload);
        Ok(())
    }

    fn goaway_frame(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream != 0 {
            return Err(protocol("a GOAWAY frame on a stream"));
        }
        let (Some((last, behind)), true) = (payload.split_first_chunk(), payload.len() >= 8) else {
            return Err(frame_size("a GOAWAY frame that is too short"));
        };
        let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
        let code = Code(u32::from_be_bytes(*behind.first_chunk().unwrap_or(&[0; 4])));
        // A later GOAWAY may only lower the last stream id.
        let last = self.goaway.map_or(last, |before| before.min(last));
        self.goaway = Some(last);
        self.goaway_code = code;
        if self.role == Role::Client {
            for stream in self.streams.iter_mut().filter(|stream| stream.id > last) {
                let reason = "the peer is closing the connection and did not process the request";
                stream.fail(StreamError { by: By::Peer, code, reason, unprocessed: true });
            }
            self.streams.forget_closed();
            self.left();
        }
        Ok(())
    }

    fn priority(&mut self, head: Head, payload: &[u8]) -> Result<(), Fault> {
        if head.stream == 0 {
            return Err(protocol("a PRIORITY frame without a stream"));
        }
        let Some(&[a, b, c, d]) = payload.first_chunk::<4>().filter(|_| payload.len() == 5) else {
            let reason = "a PRIORITY frame of a wrong length";
            return match self.streams.find(head.stream) {
                Some(_) => Err(Fault::Stream(head.stream, Code::FRAME_SIZE_ERROR, reason)),
                None => Err(frame_size(reason)),
            };
        };
        if u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff == head.stream {
            return match self.streams.find(head.stream) {
                Some(_) => {
                    Err(Fault::Stream(head.stream, Code::PROTOCOL_ERROR, "a stream that depends on itself"))
                }
                None => Err(protocol("a stream that depends on itself")),
            };
        }
        self.ignored()
    }

    /// The peer ended its side of the stream.
    pub fn received_end(&mut self, id: u32) -> Result<(), Fault> {
        let Some(key) = self.streams.find(id) else { return Ok(()) };
        let Some(stream) = self.streams.get(key) else { return Ok(()) };
        if stream.malformed {
            return Ok(());
        }
        if stream.expected.is_some_and(|left| left > 0) {
            return Err(Fault::Stream(id, Code::PROTOCOL_ERROR, "a body shorter than its content-length"));
        }
        if stream.recv == Half::Open {
            stream.recv = Half::Ended;
        }
        stream.wake_reader();
        self.settle(key);
        Ok(())
    }
}
