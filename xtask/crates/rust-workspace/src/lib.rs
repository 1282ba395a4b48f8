//! The Rust workspace to release: its settings, git, versions, tags, cargo builds, and the crates in its binaries.

pub mod audit;
pub mod binary;
pub mod git;
pub mod paths;
pub mod settings;
pub mod severity;
pub mod tags;
pub mod version;
