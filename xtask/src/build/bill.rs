//! The bill of materials of a binary that cargo built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Build, Target, linked, static_binary};
use crate::audit::Audit;

/// The binary of a target with the list of its crates in it, and the number of those.
pub fn with_bill(build: &Build, target: &Target) -> Result<(PathBuf, usize)> {
    let built = static_binary(build, target)?;
    let audit = Audit::of_tree(&linked(&build.root, &build.package, target.triple).read()?)?;
    let bytes = fs::read(&built).with_context(|| built.display().to_string())?;
    let bytes = audit.put_into(&bytes).with_context(|| built.display().to_string())?;
    let finished = build.finished(target);
    replace(&built, &finished, &bytes).with_context(|| finished.display().to_string())?;
    Ok((finished, audit.packages.len()))
}

/// Writes `bytes` to `path` in one rename, with the permissions of `like`.
fn replace(like: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&partial, bytes)?;
    fs::set_permissions(&partial, like.metadata()?.permissions())?;
    Ok(fs::rename(&partial, path)?)
}
