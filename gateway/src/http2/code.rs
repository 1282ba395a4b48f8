//! Error codes (RFC 9113 section 7).

use std::fmt;

/// An HTTP/2 error code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    /// Not an error.
    pub const NO_ERROR: Self = Self(0x0);
    /// A protocol violation of the peer.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// An internal error.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// The peer exceeded the flow-control window.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// A frame for a stream that is closed or half-closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame with an invalid size.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The request was not processed; it may be retried.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer needed.
    pub const CANCEL: Self = Self(0x8);
    /// A field block that cannot be decoded.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection of a CONNECT request was reset.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer causes excessive load.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The request must be retried over HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match usize::try_from(self.0).ok().and_then(|at| Self::NAMES.get(at)) {
            Some(name) => out.write_str(name),
            None => write!(out, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}
