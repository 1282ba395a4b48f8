//! Compression of fields, HPACK (RFC 7541).

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

/// Size added to each field in a table or a header list (RFC 7541 section 4.1).
pub const OVERHEAD: usize = 32;
