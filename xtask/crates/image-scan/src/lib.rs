//! What an OCI image contains, which advisories affect it, and whether policy allows that.
//!
//! The modules are in order: each imports only modules above it (`xtask/tests/tidy`). Blank lines keep the order.

pub mod finding;

pub mod image;

pub mod engines;

pub mod policy;

pub mod sbom;

pub mod report;

pub mod scan;

#[cfg(test)]
mod tests;
