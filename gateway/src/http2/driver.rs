//! Transfers bytes between a socket and the state of its connection.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::code::Code;
use super::control::Control;
use super::core::{Core, Role, Shared};
use super::error::{Ended, Fault};
use super::input::Input;
use super::settings::Settings;

/// Timeout of a shutdown PING, and of the peer's reading and closing at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Reading stops when this multiple of `output_bytes` is buffered: answers to frames do not wait for
/// capacity.
const OUTPUT_TIMES: usize = 4;

/// Drives a connection. As a future it ends with the connection; a server polls it by
/// [`Driver::poll_request`].
#[derive(Debug)]
pub struct Driver<S> {
    io: S,
    input: Input,
    core: Shared,
    phase: Phase,
    timer: Option<Pin<Box<Sleep>>>,
    /// Written bytes may still be buffered in a layer above the socket.
    unflushed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last bytes are being written.
    Closing,
    /// Waiting for the peer to read them: closing a socket with unread input resets the connection and
    /// discards what was sent.
    Lingering,
    Done,
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.core.borrow_mut().end(Ended::local(Code::CANCEL, "the connection was dropped"));
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(io: S, role: Role, already_read: &[u8], settings: Rc<Settings>) -> Self {
        let core = Rc::new(std::cell::RefCell::new(Core::new(role, settings)));
        Self {
            io,
            input: Input::new(role, already_read),
            core,
            phase: Phase::Open,
            timer: None,
            unflushed: false,
        }
    }

    pub(super) fn core(&self) -> &Shared {
        &self.core
    }

    /// A handle for observation and control of the connection.
    pub fn control(&self) -> Control {
        Control::new(Rc::clone(&self.core))
    }

    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.phase {
                Phase::Open => {
                    self.core.borrow_mut().driving = true;
                    self.poll_open(cx);
                    let mut core = self.core.borrow_mut();
                    core.driving = false;
                    if core.ended.is_some() {
                        self.phase = Phase::Closing;
                        self.timer = Some(Box::pin(sleep(CLOSE_TIMEOUT)));
                        continue;
                    }
                    if !core.driver.as_ref().is_some_and(|driver| driver.will_wake(cx.waker())) {
                        core.driver = Some(cx.waker().clone());
                    }
                    return Poll::Pending;
                }
                Phase::Closing => {
                    let lost = self.core.borrow().ended.is_some_and(|ended| ended.io.is_some());
                    let close =
                        if lost { Poll::Ready(Ok(false)) } else { self.poll_close(cx).map_ok(|()| true) };
                    let closed = match close {
                        Poll::Ready(closed) => closed.unwrap_or(false),
                        Poll::Pending => {
                            ready!(self.poll_timer(cx));
                            false
                        }
                    };
                    self.phase = if closed { Phase::Lingering } else { Phase::Done };
                    self.input.discard();
                }
                Phase::Lingering => {
                    let timeout = self.poll_timer(cx).is_ready();
                    while !timeout && matches!(ready!(self.poll_read(cx)), Ok(read) if read > 0) {
                        self.input.discard();
                    }
                    self.input.discard();
                    self.input.rest();
                    self.timer = None;
                    self.phase = Phase::Done;
                }
                Phase::Done => return Poll::Ready(()),
            }
        }
    }

    /// One round: write, read, and write again in response to the received frames.
    fn poll_open(&mut self, cx: &mut Context<'_>) {
        self.poll_output(cx);
        self.poll_input(cx);
        let mut core = self.core.borrow_mut();
        if core.awaits_drain() {
            if self.timer.is_none() {
                self.timer = Some(Box::pin(sleep(CLOSE_TIMEOUT)));
            }
            drop(core);
            if self.poll_timer(cx).is_ready() {
                self.timer = None;
                self.core.borrow_mut().drain_round_trip();
            }
            core = self.core.borrow_mut();
        } else {
            self.timer = None;
        }
        core.finish_if_done();
        let handing_over = !core.accepted.is_empty();
        drop(core);
        // If there are requests to return, their responses can go in the same write.
        if !handing_over {
            self.poll_output(cx);
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(cx))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        pin!(self.io.read_buf(self.input.room())).poll(cx)
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) {
        loop {
            {
                let mut core = self.core.borrow_mut();
                if let Err(Fault::Connection(code, reason) | Fault::Stream(_, code, reason)) =
                    self.input.process(&mut core)
                {
                    core.connection_fault(code, reason);
                }
                let full = core.output.len() > core.settings.output_bytes.saturating_mul(OUTPUT_TIMES);
                if core.ended.is_some() || full || !core.accepted.is_empty() {
                    break;
                }
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    let mut core = self.core.borrow_mut();
                    let ended = match (core.active(), core.goaway_code) {
                        (0, Code::NO_ERROR) => Ended::peer(Code::NO_ERROR, "the peer closed the connection"),
                        (_, Code::NO_ERROR) => Ended::transport(io::ErrorKind::UnexpectedEof),
                        (_, error) => Ended::peer(error, "the peer closed the connection with an error"),
                    };
                    core.end(ended);
                    break;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    self.core.borrow_mut().end(Ended::transport(error.kind()));
                    break;
                }
                Poll::Pending => break,
            }
        }
        self.input.rest();
    }

    /// Writes as much as the socket accepts.
    fn poll_output(&mut self, cx: &mut Context<'_>) {
        let mut core = self.core.borrow_mut();
        let mut wrote = false;
        while core.output.len() > 0 {
            match Pin::new(&mut self.io).poll_write(cx, core.output.pending()) {
                Poll::Ready(Ok(bytes)) if bytes > 0 => {
                    core.output.advance(bytes);
                    wrote = true;
                }
                Poll::Ready(Ok(_)) => core.fail_output(io::ErrorKind::WriteZero),
                Poll::Ready(Err(error)) => core.fail_output(error.kind()),
                Poll::Pending => break,
            }
        }
        if wrote {
            core.wake_waiting();
            self.unflushed = true;
        }
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => core.fail_output(error.kind()),
                Poll::Pending => {}
            }
        }
    }

    /// Writes the remaining bytes and closes the sending side.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut core = self.core.borrow_mut();
        while core.output.len() > 0 {
            let bytes = ready!(Pin::new(&mut self.io).poll_write(cx, core.output.pending()))?;
            if bytes == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            core.output.advance(bytes);
            // The last responses may be long, and the client slow.
            self.timer = Some(Box::pin(sleep(CLOSE_TIMEOUT)));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        ready!(self.poll_drive(cx));
        let ended = self.core.borrow().ended;
        Poll::Ready(ended.unwrap_or(Ended::local(Code::NO_ERROR, "the connection has ended")))
    }
}
