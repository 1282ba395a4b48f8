//! Checks that a binary is statically linked.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::{Build, Target};
use crate::elf::Segments;
use cli_support::error::Fault;

/// The binary of a target. An error if it needs a dynamic loader, which `scratch` does not have.
pub fn static_binary(build: &Build, target: &Target) -> Result<PathBuf> {
    let path = build.output(target);
    let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
    match Segments::read(&bytes) {
        Ok(segments) if !segments.has_loader => Ok(path),
        Ok(_) => {
            Err(Fault::failed("the binary asks for a dynamic loader, which an empty base does not have")
                .at(path.display())
                .hint("a crate links a shared library, or a linker flag undoes static linking")
                .into())
        }
        Err(malformed) => Err(Fault::failed(malformed.to_string()).at(path.display()).into()),
    }
}
