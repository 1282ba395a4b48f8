//! What an OCI image contains, which advisories affect it, and whether policy allows that.
//!
//! The modules are in order: each imports only modules above it (`xtask/tests/tidy.rs`).

pub mod engines;
pub mod finding;
pub mod image;
pub mod policy;
pub mod report;
pub mod sbom;
pub mod scan;
#[cfg(test)]
mod tests;
