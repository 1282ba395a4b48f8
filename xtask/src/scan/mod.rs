//! Looking at an image: what is in it, what is known of that, and whether that is good enough.

mod cvss;
pub mod date;
pub mod facts;
pub mod import;
mod inventory;
mod layer;
mod osdb;
mod platforms;
mod range;
mod rootfs;
mod secrets;
pub mod severity;
pub mod source;
