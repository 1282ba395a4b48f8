//! Looking at an image: what is in it, what is known of that, and whether that is good enough.

pub mod advisory_db;
pub mod age;
mod archive;
pub mod bom;
pub mod builtin;
mod changes;
pub mod checks;
mod cvss_score;
mod entrypoint;
mod file_type;
pub mod finding;
pub mod gate;
pub mod import;
pub mod inventory;
mod layer;
pub mod licence;
mod osdb;
mod owned;
pub mod platform_report;
pub mod platforms;
mod range;
pub mod report;
mod rootfs;
pub mod sarif;
pub mod sbom_check;
mod secrets;
pub mod source;
#[cfg(test)]
mod tests;
pub mod trivy;
pub mod unlisted;
mod vex;
mod view;
pub mod work;
pub mod yanked;
mod zstd;
