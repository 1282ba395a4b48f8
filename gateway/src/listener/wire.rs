//! The bytes between a client and the codec: guarded, timed, and closed without losing the
//! response.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::Connection;
use super::stream::Stream;
use crate::http::Rejection;
use crate::http::guard::{Guard, Passed};

/// What the codec gets in place of a refused request: the handler then answers with the refusal.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
const TOO_SLOW: Rejection = Rejection::with(
    StatusCode::REQUEST_TIMEOUT,
    "header_timeout",
    "The request head did not arrive in time.",
);
/// How much, and for how long, is read and thrown away after the last response. Were the socket
/// closed with bytes unread, the client's system might throw the response away (RFC 9112
/// section 9.6).
const LINGER_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(1);
/// How long a connection without a request stays open when the gateway stops.
pub const LAST_CHANCE: Duration = Duration::from_millis(500);
/// How much is received at a time while heads are looked for.
const PIECE: usize = 8 << 10;

/// The longest times a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a head.
    pub header: Duration,
    /// Between requests.
    pub idle: Duration,
    /// To take bytes that are ready for it.
    pub write: Duration,
}

/// A stream behind the guard.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    guard: Guard,
    /// Bytes that passed the guard and wait for the codec.
    passed: Bytes,
    connection: Arc<Connection>,
    patience: Patience,
    timer: Option<(Wait, Pin<Box<Sleep>>)>,
    write_timer: Option<Pin<Box<Sleep>>>,
    linger: Option<(usize, Pin<Box<Sleep>>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// For the first byte of the first head.
    First,
    /// The same while the gateway stops.
    Last,
    /// For the rest of a head.
    Head,
    /// For the first byte of a further head.
    Idle,
}

impl Wire {
    /// A stream behind a guard, which may hold bytes received before.
    pub fn new(stream: Stream, guard: Guard, connection: Arc<Connection>, patience: Patience) -> Self {
        Self {
            stream,
            guard,
            passed: Bytes::new(),
            connection,
            patience,
            timer: None,
            write_timer: None,
            linger: None,
        }
    }

    /// Takes from the guard what may pass.
    fn pass(&mut self) -> io::Result<bool> {
        if self.connection.is_switched() && !self.guard.is_open() {
            self.guard.throw_open();
        }
        let in_head = self.guard.is_in_head();
        match self.guard.pass() {
            Ok(Passed::Nothing) => Ok(false),
            Ok(Passed::Head(bytes)) => {
                self.connection.begin();
                self.timer = None;
                self.passed = bytes;
                Ok(true)
            }
            Ok(Passed::Body(bytes)) => {
                self.passed = bytes;
                Ok(true)
            }
            Err(rejection) if in_head => {
                self.refuse(rejection);
                Ok(true)
            }
            Err(rejection) => Err(io::Error::new(io::ErrorKind::InvalidData, rejection)),
        }
    }

    fn refuse(&mut self, rejection: Rejection) {
        self.guard.shut();
        self.timer = None;
        self.connection.refuse(rejection);
        self.passed = Bytes::from_static(STAND_IN);
    }

    /// Nothing has arrived: ready when the client has been waited for long enough, with bytes to
    /// pass if it is told so, without if the connection just ends.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.guard.is_in_head() {
            return Poll::Pending;
        }
        self.connection.wake_when_idle(cx.waker());
        if self.connection.idle_since().is_none() {
            // A response is on its way: whatever arrives now is for later.
            return Poll::Pending;
        }
        let idle = self.guard.is_idle();
        let fresh = self.connection.is_fresh();
        let draining = self.connection.is_draining();
        if idle && draining && !fresh {
            return Poll::Ready(());
        }
        let (wait, limit) = match (idle, fresh) {
            // A client that has just connected is about to send its request.
            (true, true) if draining => (Wait::Last, LAST_CHANCE.min(self.patience.header)),
            (true, true) => (Wait::First, self.patience.header),
            (true, false) => (Wait::Idle, self.patience.idle),
            (false, _) => (Wait::Head, self.patience.header),
        };
        let timer = match &mut self.timer {
            Some((known, timer)) if *known == wait => timer,
            timer => &mut timer.insert((wait, Box::pin(tokio::time::sleep(limit)))).1,
        };
        ready!(timer.as_mut().poll(cx));
        if !idle {
            self.refuse(TOO_SLOW);
        }
        Poll::Ready(())
    }

    /// Receives bytes into the guard; the number of bytes.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let input = self.guard.input();
        input.reserve(PIECE);
        pin!(self.stream.read_buf(input)).poll(cx)
    }

    fn poll_written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.write_timer.take().is_some() {
                self.connection.set_writable(true);
            }
            return written;
        }
        let limit = self.patience.write;
        let connection = &self.connection;
        let timer = self.write_timer.get_or_insert_with(|| {
            connection.set_writable(false);
            Box::pin(tokio::time::sleep(limit))
        });
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (left, timer) =
            self.linger.get_or_insert_with(|| (LINGER_BYTES, Box::pin(tokio::time::sleep(LINGER))));
        let mut bytes = [0; 4096];
        while *left > 0 {
            if timer.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    *left = left.saturating_sub(buf.filled().len());
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.passed.is_empty() {
                let count = this.passed.len().min(buf.remaining());
                buf.put_slice(&this.passed[..count]);
                this.passed.advance(count);
                return Poll::Ready(Ok(()));
            }
            if this.pass()? {
                continue;
            }
            // Where the whole buffer belongs to one body, its bytes need no detour.
            if this.guard.bypass().is_some_and(|left| left >= buf.remaining() as u64) {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                this.guard.bypassed((buf.filled().len() - before) as u64);
                return Poll::Ready(Ok(()));
            }
            match this.poll_receive(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(this.poll_patience(cx));
                    if this.passed.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.poll_written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.poll_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.poll_written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.poll_written(cx, shut))?;
        }
        if self.guard.is_unfinished() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
