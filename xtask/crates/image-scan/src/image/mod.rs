//! Reading an image: from its storage to the programs, packages and settings in it. Images are hostile input: every
//! length and depth has a limit, and nothing of an image is written to its own path.

pub mod archive;
pub mod entrypoint;
pub mod file_type;
pub mod inventory;
pub mod layer;
pub mod layer_changes;
pub mod osdb;
pub mod package_files;
pub mod platforms;
pub mod rootfs;
pub mod secrets;
pub mod source;
pub mod tar_entries;
mod zstd;
