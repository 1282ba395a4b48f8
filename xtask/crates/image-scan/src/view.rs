//! An image where Trivy finds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::platforms::Image;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, MANIFEST};

/// A layout in which every image stands at the top, which is all that Trivy finds: this one, or one
/// beside it that shares its blobs.
pub fn readable(layout: &Layout, images: &[Image], work: &Path) -> Result<PathBuf> {
    let dir = layout.dir().canonicalize().with_context(|| layout.dir().display().to_string())?;
    if images.iter().all(|image| image.top) {
        return Ok(dir);
    }
    let view = work.join("view");
    cli_support::files::remove_dir(&view)?;
    let at = || view.display().to_string();
    fs::create_dir_all(&view).with_context(at)?;
    share(&dir.join("blobs"), &view.join("blobs")).with_context(at)?;
    let manifests = images.iter().map(|image| -> Result<Descriptor> {
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
