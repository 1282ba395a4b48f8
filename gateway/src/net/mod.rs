//! Byte streams over all transports, and byte buffers.

mod append;
pub mod clients;
mod stream;

pub use append::append;
pub use stream::Stream;
