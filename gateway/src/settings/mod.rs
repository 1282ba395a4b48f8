//! The settings: the file is read completely, and all mistakes are reported at once.

mod access;
mod actions;
mod authenticators;
mod basic;
mod built_in;
mod conflicts;
mod cors;
mod domain;
mod edits;
mod endpoints;
pub mod files;
pub mod kinds;
mod limits;
mod listeners;
mod model;
pub mod network;
mod observe;
mod parse;
mod paths;
mod policies;
mod print;
mod problem;
mod reader;
pub mod record;
#[cfg(test)]
mod reference;
mod report;
mod routes;
mod schema;
pub mod secret;
mod source;
mod stores;
mod templates;
#[cfg(test)]
mod tests;
mod traces;
mod units;
mod upstreams;
pub mod warning;

pub use authenticators::sha256;
pub use built_in::built_in;
pub use model::*;
pub use parse::{Examined, describe, examine, examine_text, load, parse};
pub use print::effective;
pub use problem::{Place, Problem};
pub use schema::schema;
pub use secret::Secret;
pub use source::Source;
pub use units::{duration, nearest};
