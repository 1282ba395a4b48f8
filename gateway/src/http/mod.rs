//! HTTP semantics without sockets and settings: syntax of messages, canonical paths, hop-by-hop fields. All
//! functions are pure.

pub mod coding;
pub mod failure;
pub mod fields;
pub mod framing;
pub mod head;
pub mod heads;
pub mod hop;
pub mod host;
pub mod message;
pub mod name;
pub mod path;
pub mod query;
pub mod target;
pub mod token;
pub mod websocket;

pub use failure::{Failure, Rejection, Source};
