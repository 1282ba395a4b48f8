#![doc = include_str!("../README.md")]
//!
//! # Structure
//!
//! Registries, over the OCI distribution API: references, credentials, pulling and pushing.
//!
//! From the bottom up: `wire` makes one HTTP exchange, `session` adds what a registry wants to be
//! shown, `retry` repeats what may pass, and [`Client`] asks for things by name. `refusal` says in
//! words why a registry said no.

pub mod auth;
mod auth_file;
pub mod base64;
mod blob;
mod challenge;
mod client;
mod credential;
mod download;
mod failure;
mod github;
mod github_rest;
mod helpers;
mod min_throughput;
mod pull;
mod push;
mod push_request;
mod reference;
mod referrers;
pub mod refusal;
mod refusal_body;
pub mod retry;
mod secret;
mod session;
mod tags;
#[cfg(test)]
mod tests;
mod timeouts;
mod tls;
mod token;
mod upload;
mod url;
pub mod wire;

pub use cli_support::files::Sink;
pub use client::{Client, Options};
pub use download::{Downloads, download};
pub use github::{PackageVersion, Packages};
pub use github_rest::{GithubAnswer, GithubRepository};
pub use pull::Manifest;
pub use push_request::{OpenUpload, Pushed};
pub use reference::Reference;
pub use referrers::{PutReferrers, Referrer};
pub use retry::{OnWait, Wait};
pub use secret::Secret;
