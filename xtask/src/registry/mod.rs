//! Registries, over the OCI distribution API: references, credentials, pulling and pushing.

pub mod auth;
mod auth_file;
mod base64;
mod challenge;
mod client;
mod download;
mod failure;
mod helpers;
mod http_date;
mod pull;
mod push;
mod reference;
mod referrers;
pub mod refusal;
mod retry;
mod secret;
mod session;
mod tags;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod upload;
mod url;
mod wire;

pub use client::{Client, Options};
pub use download::download;
pub use pull::{Head, Manifest, Sink};
pub use push::Pushed;
pub use reference::{Reference, is_loopback};
pub use referrers::Referrer;
pub use retry::{Clock, OnWait, Policy, SystemClock, Wait};
pub use secret::Secret;
pub use session::Open;
pub use tls::Roots;
pub use wire::Timeouts;
