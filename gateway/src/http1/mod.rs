//! The HTTP/1 codec (RFC 9112), for both clients and upstreams.
//!
//! A head is parsed once into slices of one buffer; bodies pass through the read buffer of a connection and
//! are written from there. Ambiguous messages are refused.

pub mod chunked;
pub mod client;
pub mod decode;
pub mod encode;
pub mod head;
pub mod input;
pub mod request;
pub mod response;
pub mod wire;
