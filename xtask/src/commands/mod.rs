//! The commands: one file each, and each reads as its plan.

pub mod advisories;
pub mod bench;
pub mod binary;
pub mod ci;
pub mod doctor;
pub mod image;
pub mod sbom;
pub mod scan;
