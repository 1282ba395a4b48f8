//! Images: layers, configuration, layout, and the two engines that fill them.

pub mod archive;
pub mod assemble;
pub mod base;
pub mod buildx;
mod choose;
pub mod compare;
pub mod config;
pub mod docker;
pub mod facts;
mod known;
pub mod layer;
pub mod layout;
pub mod oci;
pub mod report;
pub mod verify;
pub mod work;
