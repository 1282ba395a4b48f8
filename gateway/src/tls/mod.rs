//! TLS: certificates, keys and authorities, and the server's side (RFC 8446, RFC 5246).

pub mod pem;
mod provider;

pub use provider::{provider, unfit_processor};
