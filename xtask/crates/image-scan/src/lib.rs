//! The contents of an OCI image, the advisories that affect it, and the policy for them.
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
