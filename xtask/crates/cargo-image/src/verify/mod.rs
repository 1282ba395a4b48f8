//! Looking at a published image the way a consumer does: all of it is there, and what is said of it is so.

mod checks;
mod documents;
mod integrity;
mod provenance;

pub use checks::{Demands, State, verify};
