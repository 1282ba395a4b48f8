//! Looking at an image: what is in it, what is known of that, and whether that is good enough.

pub mod age;
mod archive;
pub mod bom;
pub mod builtin;
mod changes;
pub mod checks;
mod cvss;
pub mod facts;
pub mod finding;
mod form;
pub mod gate;
pub mod held;
pub mod import;
pub mod inventory;
mod layer;
pub mod licence;
mod osdb;
mod owned;
pub mod platforms;
mod range;
pub mod report;
mod rootfs;
pub mod sarif;
mod secrets;
pub mod severity;
pub mod source;
mod start;
#[cfg(test)]
mod tests;
pub mod trivy;
pub mod unlisted;
mod vex;
mod view;
pub mod work;
pub mod yanked;
mod zstd;
