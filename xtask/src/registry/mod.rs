//! Registries, over the OCI distribution API: references, credentials, pulling and pushing.

pub mod auth;
mod auth_file;
mod base64;
mod challenge;
mod client;
mod failure;
mod helpers;
mod http_date;
mod pull;
mod reference;
pub mod refusal;
mod retry;
mod secret;
mod session;
mod tls;
mod token;
mod url;
mod wire;

pub use client::{Client, Options};
pub use pull::{Head, Manifest, Sink};
pub use reference::{Reference, is_loopback};
pub use retry::{Clock, OnWait, Policy, SystemClock, Wait};
pub use secret::Secret;
pub use session::Open;
pub use tls::Roots;
pub use wire::Timeouts;
