//! Output of HTTP/1: heads and small pieces are gathered, large pieces are written without a copy.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::AsyncWrite;

use super::head::Framing;
use crate::http::fields::Fields;
use crate::net::append;

/// Pieces up to this size are appended to the buffer, so that they are sent in one write.
const GATHER: usize = 8 << 10;
/// Maximum number of buffered bytes before a write is required.
const HIGH_WATER: usize = 16 << 10;

/// The write buffer of a connection, and the framing of the current message.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    sent: usize,
    body: Body,
    /// Total number of bytes written to the socket.
    written: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Body {
    #[default]
    Done,
    Length(u64),
    /// Chunks, with the number of bytes left in the current one.
    Chunked(usize),
    Close,
}

impl Output {
    /// The buffer for a head.
    pub fn head(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Begins the body after a head.
    pub fn begin(&mut self, framing: Framing) {
        self.body = match framing {
            Framing::None | Framing::Length(0) => Body::Done,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(0),
            Framing::Close => Body::Close,
        };
    }

    /// Whether the body was written completely.
    pub fn is_whole(&self) -> bool {
        self.body == Body::Done
    }

    /// Total number of bytes written to the socket.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether there are buffered bytes.
    pub fn is_pending(&self) -> bool {
        self.sent < self.bytes.len()
    }

    /// Takes an empty allocation from a pool.
    pub fn lend(&mut self, storage: Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = storage;
            self.sent = 0;
        }
    }

    /// Returns the allocation if the buffer is empty.
    pub fn release(&mut self) -> Option<Vec<u8>> {
        (!self.is_pending() && self.bytes.capacity() > 0).then(|| {
            self.sent = 0;
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            bytes
        })
    }

    /// Writes all buffered bytes.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    pub fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_pending() {
            return Poll::Ready(Ok(()));
        }
        while self.is_pending() {
            let count = ready!(Pin::new(&mut *io).poll_write(cx, &self.bytes[self.sent..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count;
            self.written += count as u64;
        }
        self.bytes.clear();
        self.sent = 0;
        Pin::new(io).poll_flush(cx)
    }

    /// Accepts body data and returns how much of it.
    ///
    /// # Errors
    ///
    /// The connection is broken, or there is more data than announced.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.bytes.len() - self.sent > HIGH_WATER {
            ready!(self.poll_flush(io, cx))?;
        }
        let most = match self.body {
            Body::Done => 0,
            Body::Length(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Body::Chunked(0) => {
                use std::io::Write;
                // Writing to memory does not fail.
                let _ = write!(self.bytes, "{:x}\r\n", data.len());
                self.body = Body::Chunked(data.len());
                data.len()
            }
            Body::Chunked(left) => left,
            Body::Close => usize::MAX,
        };
        let piece = &data[..data.len().min(most)];
        if piece.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
        }
        let taken = if piece.len() <= GATHER {
            self.bytes.extend_from_slice(piece);
            piece.len()
        } else {
            ready!(self.poll_through(io, cx, piece))?
        };
        match &mut self.body {
            Body::Length(left) => {
                *left -= taken as u64;
                if *left == 0 {
                    self.body = Body::Done;
                }
            }
            Body::Chunked(left) => {
                *left -= taken;
                if *left == 0 {
                    self.bytes.extend_from_slice(b"\r\n");
                }
            }
            Body::Done | Body::Close => {}
        }
        Poll::Ready(Ok(taken))
    }

    /// Writes the buffer and then as much of `piece` as the socket accepts, without copying it.
    fn poll_through<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let waiting = self.bytes.len() - self.sent;
            let count = if waiting == 0 {
                ready!(Pin::new(&mut *io).poll_write(cx, piece))?
            } else {
                let both = [IoSlice::new(&self.bytes[self.sent..]), IoSlice::new(piece)];
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &both))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count as u64;
            if count < waiting {
                self.sent += count;
                continue;
            }
            self.bytes.clear();
            self.sent = 0;
            if count > waiting {
                return Poll::Ready(Ok(count - waiting));
            }
        }
    }

    /// Ends the body and writes all buffered bytes. May be called again after `Pending`.
    ///
    /// # Errors
    ///
    /// The connection is broken, or there was less data than announced.
    pub fn poll_finish<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        trailers: Option<&Fields>,
    ) -> Poll<io::Result<()>> {
        match self.body {
            Body::Done => {}
            Body::Chunked(0) => {
                self.bytes.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    trailers.write_lines(&mut self.bytes);
                }
                self.bytes.extend_from_slice(b"\r\n");
                self.body = Body::Done;
            }
            Body::Close => {
                ready!(self.poll_flush(io, cx))?;
                ready!(Pin::new(&mut *io).poll_shutdown(cx))?;
                self.body = Body::Done;
            }
            Body::Length(_) | Body::Chunked(_) => {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        self.poll_flush(io, cx)
    }
}

/// Appends the status line of a response.
pub fn append_status(out: &mut Vec<u8>, status: StatusCode) {
    append(out, b"HTTP/1.1 ");
    append(out, status.as_str().as_bytes());
    out.push(b' ');
    append(out, status.canonical_reason().unwrap_or_default().as_bytes());
    append(out, b"\r\n");
}

/// Appends one field as a line.
pub fn append_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    append(out, name);
    append(out, b": ");
    append(out, value);
    append(out, b"\r\n");
}

/// Appends the fields that frame a body.
pub fn append_framing(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::None | Framing::Close => {}
        Framing::Length(length) => {
            append(out, b"content-length: ");
            append_number(out, length);
            append(out, b"\r\n");
        }
        Framing::Chunked => append(out, b"transfer-encoding: chunked\r\n"),
    }
}

/// Appends a number in decimal digits.
pub fn append_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        // The last digit.
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    append(out, &digits[at..]);
}
