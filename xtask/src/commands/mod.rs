//! The commands: one file each, and each reads as its plan.

pub mod binary;
pub mod image;
