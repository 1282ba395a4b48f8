//! Streams of bytes, whatever carries them, and buffers of bytes.

mod append;
pub mod clients;
mod stream;

pub use append::append;
pub use stream::Stream;
