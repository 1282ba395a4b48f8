//! `cargo xtask scan` on images with vulnerable crates, with fixed ones, and with hidden ones.

mod archive;
mod comments;
mod config_files;
mod control;
mod database;
mod distributions;
mod engines;
mod exceptions;
mod fetched;
mod sboms;
#[path = "../support/mod.rs"]
mod support;
mod unlisted;
mod unseen;
mod vex;
mod with_trivy;
mod yanked;
