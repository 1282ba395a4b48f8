//! A layout in which Trivy finds every image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::image::inventory::Inventory;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, MANIFEST};

/// A layout that lists every image in `index.json`, because Trivy reads no nested index: this layout, or a new one that
/// shares its blobs.
pub(super) fn flat_layout(layout: &Layout, inventories: &[Inventory], work: &Path) -> Result<PathBuf> {
    let dir = layout.dir().canonicalize().with_context(|| layout.dir().display().to_string())?;
    let images = || inventories.iter().map(|inventory| &inventory.image);
    if images().all(|image| image.top) {
        return Ok(dir);
    }
    let view = work.join("view");
    cli_support::files::remove_dir(&view)?;
    let at = || view.display().to_string();
    fs::create_dir_all(&view).with_context(at)?;
    share(&dir.join("blobs"), &view.join("blobs")).with_context(at)?;
    let manifests = images().map(|image| -> Result<Descriptor> {
        let size = layout.blob_path(&image.digest).metadata()?.len();
        let platform = Some(image.platform.clone());
        Ok(Descriptor { digest: image.digest, size, platform, ..Descriptor::of(MANIFEST, b"") })
    });
    let index = Index::new(manifests.collect::<Result<_>>()?, Annotations::new());
    fs::write(view.join("index.json"), oci::to_bytes(&index)?).with_context(at)?;
    fs::write(view.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).with_context(at)?;
    Ok(view)
}

#[cfg(unix)]
fn share(from: &Path, to: &Path) -> Result<()> {
    Ok(std::os::unix::fs::symlink(from, to)?)
}

#[cfg(not(unix))]
fn share(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.join("sha256"))?;
    for entry in from.join("sha256").read_dir()? {
        let entry = entry?;
        fs::copy(entry.path(), to.join("sha256").join(entry.file_name()))?;
    }
    Ok(())
}
