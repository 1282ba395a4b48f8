//! Resolves names with `/etc/hosts` and the servers of `/etc/resolv.conf`, and caches the answers for their
//! TTL (RFC 1035).
//!
//! The resolver is the gateway's own: musl's `getaddrinfo` returns no TTL and blocks its thread, and
//! hickory-resolver adds 1.3 MB to the binary and more crates than the rest of the gateway has.

mod config;
mod message;
mod resolver;
mod transport;

pub use message::fuzz;
pub use resolver::Resolver;
