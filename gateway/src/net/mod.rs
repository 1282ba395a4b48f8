//! Streams of bytes, whatever carries them.

pub mod clients;
mod stream;

pub use stream::Stream;
