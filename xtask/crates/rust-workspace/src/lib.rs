//! A Rust workspace and its release: settings, git, versions, tags, cargo builds, and the crates in binaries.

pub mod audit;
pub mod binary;
pub mod elf;
pub mod git;
pub mod paths;
pub mod settings;
pub mod severity;
pub mod tags;
pub mod version;
