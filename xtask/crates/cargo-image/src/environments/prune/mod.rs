//! What of a repository may go: versions beyond those that are kept, and nothing that something kept reaches.

mod deleter;
mod graph;
mod listing;
mod plan;
mod remove;
mod retained_by;
mod retention;

pub use plan::{PrunePlan, plan};
pub use remove::{Removed, remove};
pub use retention::Keep;
