//! The settings: what an operator writes, read with every mistake found in one go.

mod actions;
mod built_in;
mod conflicts;
mod domain;
mod edits;
mod endpoints;
pub mod files;
mod limits;
mod listeners;
mod model;
pub mod network;
mod parse;
mod paths;
mod problem;
mod reader;
mod report;
mod routes;
mod templates;
#[cfg(test)]
mod tests;
mod units;
mod upstreams;

pub use built_in::built_in;
pub use model::*;
pub use parse::{load, parse};
pub use problem::{Place, Problem};
pub use units::duration;
