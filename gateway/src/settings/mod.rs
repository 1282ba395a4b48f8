//! The settings: what an operator writes, read with every mistake found in one go.

mod built_in;
mod listeners;
mod model;
pub mod network;
mod parse;
mod problem;
mod reader;
mod routes;
mod units;
mod upstreams;

pub use built_in::built_in;
pub use model::*;
pub use parse::{load, parse};
pub use problem::{Place, Problem};
pub use units::duration;
