//! Streams of bytes, whatever carries them.

pub mod stream;

pub use stream::Stream;
