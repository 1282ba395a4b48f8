//! HTTP itself, apart from sockets and settings: what a message must look like, which path it
//! means and which fields may pass. Everything here is pure.

pub mod chunked;
pub mod failure;
pub mod fields;
pub mod guard;
pub mod head;
pub mod headers;
pub mod host;
pub mod name;
pub mod path;
pub mod request;
pub mod target;
pub mod token;

pub use failure::{Failure, Rejection, Source};
