//! Archives: one tar of an image for `docker load`, `podman load` and `skopeo`.
//!
//! An archive is an OCI layout with Docker's `manifest.json` beside `index.json`, as `docker save` writes it. Older readers
//! use `manifest.json`, newer ones `index.json`.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::layout::Layout;
use super::oci::{self, Annotations, Descriptor, Index, Manifest, NAMES};
use crate::platform::Platform;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::files;

/// Unpacks an archive into the new folder `dir`. Only files of a layout are written, and each blob only if its digest
/// matches.
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

/// Checks that an archive can be written to `path`: nothing is there, or a regular file.
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
        // The rename would replace a device or a link with a file.
        Ok(meta) if !meta.is_file() => Err(fault("this is not a plain file")),
        _ => Ok(()),
    }
}

/// Writes the image of `layout` as an archive, with the name from its `index.json`. Readers of `manifest.json` get the
/// platform `preferred`, or the first. Returns the archive's size in bytes.
pub fn write(layout: &Layout, path: &Path, preferred: Option<Platform>) -> Result<u64> {
    files::replace_with(path, |file| {
        let mut tar = tar::Builder::new(io::BufWriter::new(file));
        write_to(layout, &mut tar, preferred)?;
        Ok(tar.into_inner().and_then(|mut out| out.flush())?)
    })?;
    Ok(path.metadata()?.len())
}

fn write_to<W: io::Write>(
    layout: &Layout,
    tar: &mut tar::Builder<W>,
    preferred: Option<Platform>,
) -> Result<()> {
    let index_json = layout.index()?;
    let digests = layout.reachable(&index_json)?;
    let name = index_json.manifests.first().and_then(|entry| entry.annotations.get(NAMES[0]));
    let images = Index::new(layout.images()?, Annotations::new());
    let chosen = preferred.and_then(|platform| images.find(platform)).or(images.manifests.first());
    let chosen = chosen.ok_or_else(|| Fault::failed("the layout has no image").at(layout.dir().display()))?;
    let manifest: Manifest = oci::from_bytes("the manifest", &layout.read(chosen)?)?;
    let blob = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let manifest_json = json!([{
        "Config": blob(&manifest.config.digest),
        "Layers": manifest.layers.iter().map(|layer| blob(&layer.digest)).collect::<Vec<_>>(),
        "RepoTags": name.into_iter().collect::<Vec<_>>(),
    }]);

    // Some readers need entries for the folders.
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, folder, io::empty()).context(folder)?;
    }
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
    tar.append_data(&mut header(size, 0o644), name, bytes).with_context(|| name.to_owned())
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_size(size);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{CONFIG, INDEX, LAYER_GZIP, MANIFEST};

    /// A layout with an image of these platforms.
    fn layout(dir: &Path, platforms: &[Platform]) -> Layout {
        let layout = Layout::create(dir).unwrap();
        let manifests = platforms.iter().map(|platform| {
            let config = layout.put(CONFIG, platform.to_string().as_bytes()).unwrap();
            let layers = vec![layout.put(LAYER_GZIP, b"layer").unwrap()];
            let media_type = MANIFEST.to_owned();
            let annotations = Annotations::new();
            let manifest = Manifest { schema_version: 2, media_type, config, layers, annotations };
            let entry = layout.put(MANIFEST, &oci::to_bytes(&manifest).unwrap()).unwrap();
            Descriptor { platform: Some((*platform).into()), ..entry }
        });
        let top = oci::top_of(manifests.collect(), |manifests| {
            layout.put(INDEX, &oci::to_bytes(&Index::new(manifests, Annotations::new()))?)
        });
        let top = top.unwrap().named("docker.io/owner/app:1.2.3");
        layout.publish(&Index::new(vec![top], Annotations::new())).unwrap();
        layout
    }

    #[test]
    fn an_archive_has_entries_for_folders_and_both_lists_of_images() {
        let temp = tempfile::tempdir().unwrap();
        for (number, platforms) in [&Platform::ALL[..1], &Platform::ALL].into_iter().enumerate() {
            let layout = layout(&temp.path().join(number.to_string()), platforms);
            let path = temp.path().join("image.tar");
            write(&layout, &path, Some(Platform::LinuxAmd64)).unwrap();
            let (mut folders, mut index, mut docker) = (Vec::new(), Vec::new(), Vec::new());
            for entry in tar::Archive::new(File::open(&path).unwrap()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                match name.as_str() {
                    "index.json" => drop(entry.read_to_end(&mut index).unwrap()),
                    "manifest.json" => drop(entry.read_to_end(&mut docker).unwrap()),
                    _ if entry.header().entry_type().is_dir() => folders.push(name),
                    _ => {}
                }
            }
            assert_eq!(folders, ["blobs/", "blobs/sha256/"]);
            assert_eq!(index, oci::to_bytes(&layout.index().unwrap()).unwrap(), "that of the layout");
            let index: Index = oci::from_bytes("index.json", &index).unwrap();
            assert_eq!(index.manifests.len(), 1);
            assert_eq!(index.manifests[0].is_index(), platforms.len() > 1);
            let names = NAMES.map(|key| index.manifests[0].annotations[key].clone());
            assert_eq!(names, ["docker.io/owner/app:1.2.3"; 2]);
            let docker: serde_json::Value = serde_json::from_slice(&docker).unwrap();
            assert_eq!(docker[0]["RepoTags"], json!(["docker.io/owner/app:1.2.3"]));
            let there = unpack(&path, &temp.path().join(format!("again{number}"))).unwrap();
            assert_eq!(there.images().unwrap().len(), platforms.len());
        }
    }
}
