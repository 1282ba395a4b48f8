//! The tags of an image, by the rules of docker/metadata-action, from git and the event of the CI run.
//!
//! Pure, except for [`Event::read`]. In addition each tag has a [`Motion`]: whether it may move.

mod agree;
mod date;
mod derive;
mod event;
mod globals;
mod labels;
mod motion;
mod names;
mod owner;
mod rule;
mod template;

pub use agree::check;
pub use derive::{Derived, Tag, TagInputs, derive, named};
pub use event::{Event, Run, run_tag};
pub use labels::{fill_labels, has_template};
pub use motion::Motion;
pub use names::Names;
pub use owner::{PRUNE_JOURNAL, check_rules, reserved};
pub use rule::{Latest, RefKind, Rule, RuleKind};
