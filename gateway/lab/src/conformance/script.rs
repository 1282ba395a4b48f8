//! Rows that are a conversation rather than one message: each a function.

use std::path::Path;

use anyhow::Result;

use super::gateway::{Gateway, Settings};
use super::service::Service;

/// What a script works with.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// The gateway's program.
    pub binary: &'a Path,
    /// A folder for settings.
    pub dir: &'a Path,
    /// The gateway that all rows share, with its defaults.
    pub gateway: &'a Gateway,
    /// Its service.
    pub service: &'a Service,
}

impl Bench<'_> {
    /// A gateway of its own before the service.
    pub fn gateway_with(&self, settings: Settings<'_>) -> Result<Gateway> {
        Gateway::start(self.binary, self.dir, &[self.service.address.to_string()], settings)
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    pub name: &'static str,
    pub rules: &'static [&'static str],
    pub run: fn(&Bench<'_>) -> Result<()>,
}
