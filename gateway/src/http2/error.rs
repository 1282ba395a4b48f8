//! Errors of streams and connections.

use std::fmt;
use std::io;

use super::code::Code;

/// The side that ended a stream or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The peer, by RST_STREAM or GOAWAY.
    Peer,
    /// This side: the peer violated the protocol or a limit, or the caller asked for it.
    Local,
    /// The transport: a socket error, or an unexpected end.
    Transport,
}

/// The error of a stream that ended before its message was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamError {
    /// The side that ended it.
    pub by: By,
    /// The error code sent or received.
    pub code: Code,
    /// Description for the log.
    pub reason: &'static str,
    /// The peer did not process the request: it may be retried (RFC 9113 section 8.7).
    pub unprocessed: bool,
}

impl fmt::Display for StreamError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.reason, self.code)
    }
}

impl std::error::Error for StreamError {}

/// The end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The side that ended it.
    pub by: By,
    /// The error code sent or received; NO_ERROR for a normal close.
    pub code: Code,
    /// Description for the log.
    pub reason: &'static str,
    /// The kind of the socket error, if it was one.
    pub io: Option<io::ErrorKind>,
}

impl Ended {
    /// The transport failed or ended.
    pub(super) const fn transport(kind: io::ErrorKind) -> Self {
        Self {
            by: By::Transport,
            code: Code::INTERNAL_ERROR,
            reason: "the connection was lost",
            io: Some(kind),
        }
    }

    /// This side ended the connection.
    pub(super) const fn local(code: Code, reason: &'static str) -> Self {
        Self { by: By::Local, code, reason, io: None }
    }

    /// The peer ended the connection.
    pub(super) const fn peer(code: Code, reason: &'static str) -> Self {
        Self { by: By::Peer, code, reason, io: None }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.io {
            Some(kind) => write!(out, "{} ({kind})", self.reason),
            None => write!(out, "{} ({})", self.reason, self.code),
        }
    }
}

/// A stream could not be opened. Nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// The peer's limit of concurrent streams is reached; a stream can be opened when another one ends.
    Full,
    /// The connection accepts no more streams.
    Closed,
    /// The peer does not allow extended CONNECT (RFC 8441 section 3).
    NoConnectProtocol,
}

impl fmt::Display for OpenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Full => "the upstream allows no more streams on this connection",
            Self::Closed => "the connection accepts no more streams",
            Self::NoConnectProtocol => "the upstream does not allow extended CONNECT",
        })
    }
}

impl std::error::Error for OpenError {}

/// The error caused by a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A connection error: GOAWAY is sent.
    Connection(Code, &'static str),
    /// A stream error: RST_STREAM is sent for this id.
    Stream(u32, Code, &'static str),
}

/// A connection error of type PROTOCOL_ERROR.
pub(super) const fn protocol(reason: &'static str) -> Fault {
    Fault::Connection(Code::PROTOCOL_ERROR, reason)
}

/// A connection error of type FRAME_SIZE_ERROR.
pub(super) const fn frame_size(reason: &'static str) -> Fault {
    Fault::Connection(Code::FRAME_SIZE_ERROR, reason)
}

/// A connection error of type ENHANCE_YOUR_CALM.
pub(super) const fn calm(reason: &'static str) -> Fault {
    Fault::Connection(Code::ENHANCE_YOUR_CALM, reason)
}
