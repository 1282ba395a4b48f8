//! Looking at an image: what is in it, what is known of that, and whether that is good enough.

mod cvss;
pub mod date;
pub mod facts;
pub mod import;
mod range;
pub mod severity;
