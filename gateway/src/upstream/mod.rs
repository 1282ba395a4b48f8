//! The services behind the gateway: which endpoint, which connection, and what to do when one
//! fails.

mod balance;
mod connect;
mod error;
mod pool;
mod send;

pub use error::UpstreamError;
pub use send::{Answer, Upstream};
