//! Which tags an image is published under: docker/metadata-action's rules, over git and the CI's event.
//!
//! Pure but for [`Event::read`]. What it adds to those rules is how each tag may move ([`Motion`]).

mod agree;
mod derive;
mod event;
mod globals;
mod motion;
mod names;
mod owner;
mod rule;
mod template;

pub use agree::check;
pub use derive::{Derived, Tag, TagInputs, derive, named};
pub use event::{Event, Run, run_tag};
pub use motion::Motion;
pub use names::Names;
pub use owner::{PRUNE_JOURNAL, check_rules, reserved};
pub use rule::{Latest, RefKind, Rule, RuleKind};
