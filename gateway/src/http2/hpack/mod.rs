//! Compression of fields (RFC 7541).

pub mod decode;
pub mod encode;
pub mod huffman;
pub mod integer;
pub mod label;
pub mod static_table;
pub mod table;

pub use decode::{Decoder, Sink};
pub use encode::Encoder;
pub use label::{Label, Pseudo};

/// A field block that cannot be decoded: the connection ends with COMPRESSION_ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What a field counts in a table or a header list beside its bytes (RFC 7541 section 4.1).
pub const OVERHEAD: usize = 32;
