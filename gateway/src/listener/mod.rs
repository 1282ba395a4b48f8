//! Client connections: sockets, TLS, HTTP.

mod accept;
pub mod acceptors;
mod http1;
mod http2;
mod open;
mod socket;
pub mod sockets;
pub mod tls;
