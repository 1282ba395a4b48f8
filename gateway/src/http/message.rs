//! Message bodies, for every HTTP version.

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use super::failure::Rejection;
use super::fields::Fields;

/// The state of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// [`Source::body`] is not empty.
    Data,
    /// All of it was received; trailers may be available.
    End,
}

/// An incomplete message.
#[derive(Debug)]
pub enum Broken {
    /// The connection was closed before the end of the message.
    Closed,
    /// The connection failed.
    Io(io::Error),
    /// The body is malformed.
    Malformed(Rejection),
    /// The stream was reset with this code (RFC 9113 section 7).
    Reset(u32),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed before the end of the message"),
            Self::Io(error) => error.fmt(f),
            Self::Malformed(rejection) => rejection.fmt(f),
            Self::Reset(code) => write!(f, "the stream was reset with code {code}"),
        }
    }
}

impl std::error::Error for Broken {}

/// A body that is received.
pub trait Source {
    /// Waits until data is available or the body has ended.
    ///
    /// # Errors
    ///
    /// The message is incomplete.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Broken>>;
    /// Data that was received and not yet consumed.
    fn body(&self) -> &[u8];
    /// Marks `count` bytes as consumed.
    fn consume(&mut self, count: usize);
    /// The trailer section, once the body has ended.
    fn trailers(&mut self) -> Option<Fields>;
}

/// A body that is sent.
pub trait Sink {
    /// Accepts data and returns how much of it.
    ///
    /// # Errors
    ///
    /// The connection is broken, or there is more data than announced.
    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Broken>>;
    /// Sends all accepted data.
    ///
    /// # Errors
    ///
    /// The connection is broken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>;
    /// Ends the body. May be called again after `Pending`.
    ///
    /// # Errors
    ///
    /// The connection is broken, or there is less data than announced.
    fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Broken>>;
}
