//! One tar of an image that `docker load`, `podman load` and `skopeo` read.
//!
//! It is an OCI layout with Docker's `manifest.json` beside `index.json`, as `docker save` writes it:
//! older readers look at the one, newer ones at the other.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::layout::Layout;
use super::oci::{self, Annotations, Descriptor, Index, Manifest};
use crate::platform::Platform;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::files;

/// Unpacks a tar of a layout into the new folder `dir`. Nothing but a layout's own files is written, and
/// each blob only under the digest of its bytes.
pub fn unpack(tar: &Path, dir: &Path) -> Result<Layout> {
    let at = || tar.display().to_string();
    let layout = Layout::create(dir)?;
    let mut index = None;
    let mut archive = tar::Archive::new(io::BufReader::new(File::open(tar).with_context(at)?));
    for entry in archive.entries().with_context(at)? {
        let mut entry = entry.with_context(at)?;
        let name = entry.path().with_context(at)?.to_string_lossy().into_owned();
        if name == "index.json" {
            let mut bytes = Vec::new();
            (&mut entry).take(oci::MAX_DOCUMENT).read_to_end(&mut bytes).with_context(at)?;
            index = Some(oci::from_bytes::<Index>("index.json", &bytes)?);
        } else if let Some(hex) = name.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            let digest: Digest = format!("sha256:{hex}").parse()?;
            let mut blob = layout.writer()?;
            let size = io::copy(&mut entry, &mut blob).with_context(at)?;
            let media_type = String::new();
            blob.commit_as(&Descriptor {
                media_type,
                digest,
                size,
                platform: None,
                annotations: Annotations::new(),
            })?;
        }
    }
    layout.publish(&index.ok_or_else(|| Fault::failed("there is no index.json in it").at(tar.display()))?)?;
    Ok(layout)
}

/// Whether a tar may be written to `path`: where there is nothing yet, or a plain file.
pub fn may_write(path: &Path) -> Result<(), Fault> {
    let fault = |what: &str| Fault::usage(format!("--archive: {what}")).at(path.display());
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.file_name().is_none() || path.is_dir() {
        return Err(fault("this is a folder").hint("name a file: --archive image.tar"));
    }
    if !parent.is_dir() {
        return Err(fault("its folder does not exist").hint(format!("mkdir -p {}", parent.display())));
    }
    match path.symlink_metadata() {
        // It is replaced by a rename, which would put a file in the place of a device or a link.
        Ok(meta) if !meta.is_file() => Err(fault("this is not a plain file")),
        _ => Ok(()),
    }
}

/// Writes `layout`'s image as a tar to `path`, under the name `repository:tag`.
/// Readers that know of one platform alone get `preferred`, or the first.
pub fn write(
    layout: &Layout,
    path: &Path,
    repository: &str,
    tag: &str,
    preferred: Option<Platform>,
) -> Result<u64> {
    files::replace_with(path, |file| {
        let mut tar = tar::Builder::new(io::BufWriter::new(file));
        write_to(layout, &mut tar, repository, tag, preferred)?;
        Ok(tar.into_inner().and_then(|mut out| out.flush())?)
    })?;
    Ok(path.metadata()?.len())
}

fn write_to<W: io::Write>(
    layout: &Layout,
    tar: &mut tar::Builder<W>,
    repository: &str,
    tag: &str,
    preferred: Option<Platform>,
) -> Result<()> {
    let top = layout.index()?;
    let image = top.manifests.iter().find(|entry| entry.is_index());
    let image =
        image.ok_or_else(|| Fault::failed("the layout has no image index").at(layout.dir().display()))?;
    let index: Index = oci::from_bytes("the index", &layout.read(image)?)?;
    // A single platform goes by its own manifest: loaders then have nothing to choose.
    let mut entry = match &index.manifests[..] {
        [only] => only.clone(),
        _ => image.clone(),
    };
    let name = format!("{repository}:{tag}");
    entry.annotations.insert("io.containerd.image.name".to_owned(), name.clone());
    entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
    let index_json = Index::new(vec![entry], Annotations::new());
    let digests = layout.reachable(&index_json)?;

    let chosen = preferred.and_then(|platform| index.find(platform)).or(index.manifests.first());
    let chosen = chosen.ok_or_else(|| Fault::failed("the index is empty").at(layout.dir().display()))?;
    let manifest: Manifest = oci::from_bytes("the manifest", &layout.read(chosen)?)?;
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let manifest_json = json!([{
        "Config": blob(&manifest.config.digest),
        "Layers": manifest.layers.iter().map(|layer| blob(&layer.digest)).collect::<Vec<_>>(),
        "RepoTags": [name],
    }]);

    for digest in &digests {
        let file = layout.blob(digest)?;
        let size = file.metadata()?.len();
        append(tar, &blob(digest), size, file)?;
    }
    let index_json = oci::to_bytes(&index_json)?;
    let manifest_json = oci::to_bytes(&manifest_json)?;
    let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
    for (name, bytes) in
        [("index.json", &index_json[..]), ("manifest.json", &manifest_json), ("oci-layout", marker)]
    {
        append(tar, name, bytes.len() as u64, bytes)?;
    }
    Ok(())
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, bytes: impl Read) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_size(size);
    tar.append_data(&mut header, name, bytes).with_context(|| name.to_owned())
}
