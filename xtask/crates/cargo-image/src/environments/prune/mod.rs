//! What of a repository may go: versions beyond those that are kept, and nothing that something kept reaches.

mod graph;
mod hold;
mod keep;
mod listing;
mod remove;
mod sweep;

pub use keep::Keep;
pub use remove::{Removed, remove};
pub use sweep::{Sweep, sweep};
