//! Writes the list of crates into a binary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Build, Target, static_binary};
use crate::audit::Audit;

/// The binary of a target with the list of its crates in it, and the number of those. `list` is what the
/// command of `linked` answers.
pub fn with_sbom(build: &Build, target: &Target, list: &str) -> Result<(PathBuf, usize)> {
    let plain = static_binary(build, target)?;
    let audit = Audit::of_tree(list)?;
    let bytes = fs::read(&plain).with_context(|| plain.display().to_string())?;
    let bytes = audit.put_into(&bytes).with_context(|| plain.display().to_string())?;
    let finished = build.finished(target);
    write(&plain, &finished, &bytes).with_context(|| finished.display().to_string())?;
    Ok((finished, audit.packages.len()))
}

/// Makes `path` hold `bytes`, with the permissions of `like`. Not in one rename: a run killed here
/// leaves a file that the next one finds different and writes again, and no other file beside it.
fn write(like: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, like.metadata()?.permissions())?)
}
