//! Images: layers, configuration, layout, and the two engines that fill them.

pub mod assemble;
pub mod base;
pub mod buildx;
pub mod config;
pub mod docker;
pub mod inputs;
pub mod layer;
mod layer_cache;
pub mod report;
pub mod system_files;
pub mod verify;
pub mod work;
