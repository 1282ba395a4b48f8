//! The HTTP/2 codec against itself, against another implementation, and against raw frames.

mod client;
mod drain;
mod floods;
mod peers;
mod random;
mod server;
mod wire;
