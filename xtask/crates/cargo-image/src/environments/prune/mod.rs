//! Deletes old versions in a repository, and nothing that a kept image reaches.

mod deleter;
mod graph;
mod listing;
mod plan;
mod remove;
mod retained_by;
mod retention;

pub use plan::{PrunePlan, plan};
pub use remove::{Removed, remove};
pub use retention::Retention;
