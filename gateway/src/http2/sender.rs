//! Opens streams to a server.

use std::task::{Context, Poll};

use super::control::Control;
use super::core::Core;
use super::drain::Drain;
use super::error::OpenError;
use super::head::RequestLine;
use super::state;
use super::stream::{Sender, Stream};
use crate::http::fields::Fields;

/// Assumed limit of concurrent streams until the server's settings arrive.
const FIRST_STREAMS: u32 = 100;

/// Maximum stream id (RFC 9113 section 5.1.1).
const LAST_ID: u32 = 0x7fff_ffff;

impl Core {
    fn may_open(&self) -> Result<(), OpenError> {
        if self.ended.is_some() || self.goaway.is_some() || self.drain != Drain::Not || self.next_id > LAST_ID
        {
            return Err(OpenError::Closed);
        }
        let most = if self.settings_received { self.peer.concurrent_streams } else { FIRST_STREAMS };
        if self.active() >= usize::try_from(most).unwrap_or(usize::MAX) {
            return Err(OpenError::Full);
        }
        Ok(())
    }
}

impl Sender {
    /// Sends a request; `end`: without a body.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing was sent.
    pub fn open(&self, line: &RequestLine<'_>, fields: &Fields, end: bool) -> Result<Stream, OpenError> {
        let mut core = self.core().borrow_mut();
        core.may_open()?;
        if line.protocol.is_some() && !core.peer.connect_protocol {
            return Err(OpenError::NoConnectProtocol);
        }
        let id = core.next_id;
        core.next_id += 2;
        let send_window = i64::from(core.peer.initial_window);
        let recv_window = i64::from(core.settings.stream_window);
        let key = core.streams.insert(state::Stream::new(id, send_window, recv_window));
        core.send_request(key, line, fields, end);
        drop(core);
        Ok(self.stream(key))
    }

    /// Waits until the settings of the server are known and a stream can be opened.
    ///
    /// # Errors
    ///
    /// [`OpenError::Closed`] if the connection accepts no more streams.
    pub fn poll_ready(&self, cx: &Context<'_>) -> Poll<Result<(), OpenError>> {
        let mut core = self.core().borrow_mut();
        match core.may_open() {
            Ok(()) if core.settings_received => Poll::Ready(Ok(())),
            Err(OpenError::Closed | OpenError::NoConnectProtocol) => Poll::Ready(Err(OpenError::Closed)),
            Ok(()) | Err(OpenError::Full) => {
                if !core.openers.iter().any(|opener| opener.will_wake(cx.waker())) {
                    core.openers.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Whether the connection accepts more streams, now or after others have ended.
    pub fn is_usable(&self) -> bool {
        self.core().borrow().may_open() != Err(OpenError::Closed)
    }

    /// The number of open streams.
    pub fn active(&self) -> usize {
        self.core().borrow().active()
    }

    /// The server's limit of concurrent streams; `None` until its settings arrive.
    pub fn concurrent_streams(&self) -> Option<u32> {
        let core = self.core().borrow();
        core.settings_received.then_some(core.peer.concurrent_streams)
    }

    /// Whether the server allows extended CONNECT (RFC 8441 section 3); `None` until its settings arrive.
    pub fn connect_protocol(&self) -> Option<bool> {
        let core = self.core().borrow();
        core.settings_received.then_some(core.peer.connect_protocol)
    }

    /// A handle for observation and control of the connection.
    pub fn control(&self) -> Control {
        Control::new(std::rc::Rc::clone(self.core()))
    }
}
