//! End of streams and of the connection.

use std::time::Instant;

use super::code::Code;
use super::core::{Core, Role};
use super::drain::Drain;
use super::error::{By, Ended, Fault, StreamError, calm};
use super::frame;
use super::state::Half;
use super::streams::Key;

impl Core {
    /// Wakes the driver to write the output and check the state.
    pub fn wake_driver(&mut self) {
        if !self.driving
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    /// The number of streams that are not closed.
    pub fn active(&self) -> usize {
        self.streams.active()
    }

    /// Removes a closed stream from the index.
    pub fn settle(&mut self, key: Key) {
        let Some(stream) = self.streams.get(key) else { return };
        if !stream.is_closed() {
            return;
        }
        let id = stream.id;
        let lingering = stream.lingering;
        let reset = stream.error.is_some_and(|error| error.by == By::Local);
        let well = stream.send == Half::Ended && stream.recv == Half::Ended;
        if self.streams.close(id) {
            self.recent.push(id, reset);
            if well {
                self.rates.resets.earn(1);
                self.rates.ignored.earn(1);
            }
            self.left();
        }
        if lingering {
            self.streams.remove(key);
        }
    }

    /// A stream was closed.
    pub fn left(&mut self) {
        if self.streams.active() == 0 {
            self.idle_since = Instant::now();
            if self.drain != Drain::Not || self.goaway.is_some() || self.role == Role::Client {
                self.wake_driver();
            }
        }
        for opener in self.openers.drain(..) {
            opener.wake();
        }
    }

    /// Resets a stream at the caller's request.
    pub fn reset(&mut self, key: Key, code: Code, reason: &'static str) {
        let Some(stream) = self.streams.get(key) else { return };
        if stream.is_closed() {
            return;
        }
        let id = stream.id;
        stream.fail(StreamError { by: By::Local, code, reason, unprocessed: false });
        frame::rst_stream(self.output.buffer(), id, code);
        self.settle(key);
        self.wake_driver();
    }

    /// Resets a stream because of a peer's fault, and counts it.
    pub fn stream_fault(&mut self, id: u32, code: Code, reason: &'static str) -> Result<(), Fault> {
        if let Some(key) = self.streams.find(id) {
            self.reset(key, code, reason);
        } else {
            frame::rst_stream(self.output.buffer(), id, code);
        }
        if self.rates.faults.exceeds(self.settings.floods.interval) {
            return Err(calm("too many streams were reset because of the peer's faults"));
        }
        Ok(())
    }

    /// Ends the connection because of a peer's fault.
    pub fn connection_fault(&mut self, code: Code, reason: &'static str) {
        if self.ended.is_none() {
            frame::goaway(self.output.buffer(), self.last_id, code);
            self.end(Ended::local(code, reason));
        }
    }

    /// Ends the connection and aborts all streams.
    pub fn end(&mut self, ended: Ended) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(ended);
        let (client, goaway, total) = (self.role == Role::Client, self.goaway, self.output.total());
        for stream in self.streams.iter_mut() {
            // Nothing of the request was written, or the peer did not process it.
            let unprocessed =
                client && (stream.begins >= total || goaway.is_some_and(|last| stream.id > last));
            let Ended { by, code, reason, .. } = ended;
            stream.fail(StreamError { by, code, reason, unprocessed });
        }
        self.streams.forget_closed();
        for opener in self.openers.drain(..) {
            opener.wake();
        }
        self.wake_driver();
    }

    /// Writing to the socket failed.
    pub fn fail_output(&mut self, kind: std::io::ErrorKind) {
        self.end(Ended::transport(kind));
        let left = self.output.len();
        self.output.advance(left);
    }

    /// The handle of a stream was dropped.
    pub fn drop_stream(&mut self, key: Key) {
        if self.begin_linger(key) {
            return;
        }
        let Some(stream) = self.streams.get(key) else { return };
        let code = if stream.malformed {
            Code::PROTOCOL_ERROR
        } else if self.role == Role::Server && !stream.answered {
            Code::INTERNAL_ERROR
        } else {
            Code::CANCEL
        };
        self.reset(key, code, "the stream was dropped");
        if let Some(stream) = self.streams.remove(key) {
            self.give_back(stream.held);
            if stream.queued {
                self.waiting.retain(|waiting| *waiting != key);
            }
        }
    }
}
