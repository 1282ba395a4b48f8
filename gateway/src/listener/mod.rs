//! Where connections come in: sockets, TLS, and the life of a connection.

pub mod accept;
mod http1;
mod http2;
mod open;
pub mod socket;
pub mod tls;
