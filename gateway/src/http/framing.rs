//! Delimitation of message bodies.

/// How a message body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// No body.
    #[default]
    None,
    /// A body of this length in bytes.
    Length(u64),
    /// A body in chunks.
    Chunked,
    /// A body that ends with the connection; only in responses.
    Close,
}

impl Framing {
    /// Whether there is no body.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Length(0))
    }

    /// The length, if it is known.
    pub const fn length(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked | Self::Close => None,
        }
    }
}
