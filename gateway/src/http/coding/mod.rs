//! Content codings (RFC 9110 section 8.4.1): negotiation and encoders.

mod encoder;
mod negotiate;

pub use encoder::Encoder;
pub use negotiate::choose;

/// A supported content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Its name in header fields.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}
