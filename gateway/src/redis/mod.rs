//! A client of Redis and of servers with its protocol, such as Valkey: scripts on keys, pipelined.
//!
//! A worker has one connection to each server and sends all its commands on it without waiting for the
//! replies before. Nothing is shared between workers but the [`Store`], which holds the settings.
//!
//! A server that is part of a cluster says so by redirecting (`MOVED`, `ASK`), which the client
//! follows; there is no setting for it.

mod client;
mod connection;
mod error;
mod node;
mod resp;
mod script;
mod slots;
mod store;

pub use client::{Client, Clients};
pub use error::StoreError;
pub use script::Script;
pub use store::{Credentials, Store, StoreConfig};
