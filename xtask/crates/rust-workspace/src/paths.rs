//! Paths in a workspace.

/// The settings, below the workspace's root.
pub const SETTINGS: &str = "xtask/image.toml";
