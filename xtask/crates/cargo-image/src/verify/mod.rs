//! Checks a published image as a consumer does: that it is complete, and that documents about it are valid.

mod checks;
mod documents;
mod integrity;
mod provenance;

pub use checks::{Check, Demands, State, verify};
