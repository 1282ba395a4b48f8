//! A connection with or without TLS, as one type, so that the codecs are compiled once.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

/// The byte stream of a connection, after decryption.
#[derive(Debug)]
pub enum Stream {
    /// TCP without TLS.
    Tcp(TcpStream),
    /// TLS over TCP, as server or client.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket without TLS.
    Unix(UnixStream),
    /// TLS over a Unix socket, as client.
    TlsUnix(Box<TlsStream<UnixStream>>),
}

/// Calls a method of the inner stream.
macro_rules! delegate {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Tls($inner) => $call,
            Stream::Unix($inner) => $call,
            Stream::TlsUnix($inner) => $call,
        }
    };
}

impl Stream {
    /// Ready when the peer has sent data; needs no buffer. A TLS stream is always ready, since only a read
    /// shows whether it has data.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) | Self::TlsUnix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether [`Stream::poll_readable`] can wait.
    pub fn waits_without_buffer(&self) -> bool {
        !matches!(self, Self::Tls(_) | Self::TlsUnix(_))
    }

    /// Whether the system has unread bytes or an unread end of the connection: an idle connection must then
    /// not be reused.
    pub fn has_unread(&self) -> bool {
        found(match self {
            Self::Tcp(stream) => peek(stream),
            Self::Tls(stream) => peek(stream.get_ref().0),
            Self::Unix(stream) => peek(stream),
            Self::TlsUnix(stream) => peek(stream.get_ref().0),
        })
    }

    /// Like [`Stream::has_unread`], but without a system call if the runtime has no event.
    pub fn has_unread_event(&self) -> bool {
        fn tcp(stream: &TcpStream) -> io::Result<usize> {
            stream.try_io(Interest::READABLE, || peek(stream))
        }
        fn unix(stream: &UnixStream) -> io::Result<usize> {
            stream.try_io(Interest::READABLE, || peek(stream))
        }
        found(match self {
            Self::Tcp(stream) => tcp(stream),
            Self::Tls(stream) => tcp(stream.get_ref().0),
            Self::Unix(stream) => unix(stream),
            Self::TlsUnix(stream) => unix(stream.get_ref().0),
        })
    }

    /// Closes the connection with a reset when it is dropped: the only sign that a message is incomplete if
    /// its end is the end of the connection (RFC 9112 section 8). Over TLS the sign is the missing
    /// close_notify.
    pub fn reset_at_end(&self) {
        if let Self::Tcp(stream) = self {
            // If this fails, the connection closes normally.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn peek(stream: &impl AsFd) -> io::Result<usize> {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
}

/// Whether a peek found bytes, an end or an error.
fn found(peeked: io::Result<usize>) -> bool {
    !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
