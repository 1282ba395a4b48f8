//! The commands: one file or folder for each.

pub mod advisories;
pub mod assets;
pub mod bench;
pub mod binary;
mod build_flags;
pub mod ci;
pub mod completions;
pub mod doctor;
pub mod engines;
pub mod environments;
pub mod image;
pub mod init;
pub mod man;
pub mod promote;
pub mod prune;
pub mod publish;
pub mod release;
pub mod report;
pub mod sbom;
pub mod scan;
pub mod tags;
pub mod target;
pub mod verify;
pub mod version;
pub mod workspace;
