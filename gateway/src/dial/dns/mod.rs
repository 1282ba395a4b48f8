//! Names to addresses, by `/etc/hosts` and the servers of `/etc/resolv.conf`, kept for as long as
//! the answers may be (RFC 1035).
//!
//! An own resolver, since musl's `getaddrinfo` tells no time to live and blocks its thread, and
//! hickory-resolver costs 1.3 MB of binary and more crates than the rest of the gateway has.

mod config;
mod message;
mod resolver;
mod transport;

pub use message::fuzz;
pub use resolver::Resolver;
