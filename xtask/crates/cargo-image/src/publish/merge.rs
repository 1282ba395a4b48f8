//! Merges images of single platforms, built on different machines, into one image.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::image_bundle::ImageBundle;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index};
use oci_image::platform::Platform;

/// Merges the images of the layouts at `dirs` into the layout at `output`, with the same index that `cargo xtask
/// image` writes for all platforms. An error if they have different sources, or one platform twice with different
/// content. Returns the index's digest.
pub fn merge(dirs: &[PathBuf], output: &Path) -> Result<Digest> {
    let bundles = dirs.iter().map(|dir| ImageBundle::read(dir)).collect::<Result<Vec<_>>>()?;
    let manifests = join(&bundles)?;
    // The flag has another name in this command.
    Layout::may_write(output)
        .map_err(|fault| fault.hint("name an empty or a new folder for the merged image: --image DIR"))?;
    let layout = Layout::create(output)?;
    for bundle in &bundles {
        for blob in bundle.blobs.iter().chain(bundle.images()) {
            copy(&bundle.layout, &layout, blob)?;
        }
    }
    let annotations = bundles.first().map(|bundle| bundle.annotations.clone()).unwrap_or_default();
    let name = bundles.first().and_then(|bundle| bundle.top.annotations.get(oci::NAMES[0]).cloned());
    let top = oci::top_of(manifests, |manifests| {
        layout.put(oci::INDEX, &oci::to_bytes(&Index::new(manifests, annotations))?)
    })?;
    let digest = top.digest;
    let top = name.map_or_else(|| top.clone(), |name| top.clone().named(&name));
    layout.publish(&Index::new(vec![top], Annotations::new()))?;
    Ok(digest)
}

/// The manifest of each platform, in the order of an index.
fn join(bundles: &[ImageBundle]) -> Result<Vec<Descriptor>, Fault> {
    let mut all: Vec<Descriptor> = Vec::new();
    for bundle in bundles {
        let at = || bundle.layout.dir().display().to_string();
        if let Some(first) = bundles.first().filter(|first| first.annotations != bundle.annotations) {
            let (ours, theirs) = (bundle.label("revision"), first.label("revision"));
            return Err(Fault::usage(format!(
                "it is built from {}, but {} from {}",
                ours.unwrap_or("another source"),
                first.layout.dir().display(),
                theirs.unwrap_or("another source")
            ))
            .at(at())
            .hint("build all from the same commit with the same settings"));
        }
        for entry in bundle.images() {
            let Some(platform) = entry.platform.as_ref() else {
                return Err(Fault::usage(format!("a manifest without a platform: {}", entry.digest)).at(at()));
            };
            match all.iter().find(|other| other.platform.as_ref() == Some(platform)) {
                Some(other) if other.digest == entry.digest => {}
                Some(other) => {
                    return Err(Fault::usage(format!(
                        "{platform} is there twice: {} and {}",
                        other.digest, entry.digest
                    ))
                    .at(at())
                    .hint("name each platform's layout once"));
                }
                None => {
                    let mut entry = entry.clone();
                    // The names of the single image; the merged image has its own.
                    for key in oci::NAMES {
                        entry.annotations.remove(key);
                    }
                    all.push(entry);
                }
            }
        }
    }
    let place = |entry: &Descriptor| {
        let known = Platform::ALL
            .iter()
            .position(|platform| entry.platform.as_ref().is_some_and(|spec| spec.is(*platform)));
        (known.unwrap_or(usize::MAX), entry.platform.as_ref().map(ToString::to_string))
    };
    all.sort_by_key(place);
    Ok(all)
}

/// Copies a blob and checks its digest.
fn copy(from: &Layout, to: &Layout, blob: &Descriptor) -> Result<()> {
    if to.has(&blob.digest, blob.size) {
        return Ok(());
    }
    let mut file: File = from.blob(&blob.digest)?;
    let mut writer = to.writer()?;
    io::copy(&mut file, &mut writer).with_context(|| from.blob_path(&blob.digest).display().to_string())?;
    writer.commit_as(blob)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::oci::{CONFIG, MANIFEST, Manifest};

    fn layout(dir: &Path, platforms: &[Platform], revision: &str) -> Digest {
        let layout = Layout::create(dir).unwrap();
        let labels: Annotations =
            [("org.opencontainers.image.revision".to_owned(), revision.to_owned())].into();
        let manifests: Vec<_> = platforms
            .iter()
            .map(|platform| {
                let config = layout.put(CONFIG, platform.to_string().as_bytes()).unwrap();
                let (layers, annotations) = (Vec::new(), labels.clone());
                let media_type = MANIFEST.to_owned();
                let manifest = Manifest { schema_version: 2, media_type, config, layers, annotations };
                let mut entry = layout.put(MANIFEST, &oci::to_bytes(&manifest).unwrap()).unwrap();
                entry.platform = Some((*platform).into());
                entry
            })
            .collect();
        let index = oci::to_bytes(&Index::new(manifests, labels)).unwrap();
        let top = layout.put(oci::INDEX, &index).unwrap();
        layout.publish(&Index::new(vec![top.clone()], Annotations::new())).unwrap();
        top.digest
    }

    #[test]
    fn merged_platforms_equal_one_build_of_all() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        let [amd64, arm64] = Platform::ALL;
        let whole = layout(&at("whole"), &Platform::ALL, "abc");
        layout(&at("amd64"), &[amd64], "abc");
        layout(&at("arm64"), &[arm64], "abc");
        layout(&at("other"), &[arm64], "def");
        // In whatever order they are named.
        let merged = merge(&[at("arm64"), at("amd64"), at("amd64")], &at("merged")).unwrap();
        assert_eq!(merged, whole);
        assert_eq!(ImageBundle::read(&at("merged")).unwrap().digest(), whole);
        let error = merge(&[at("amd64"), at("other")], &at("never")).unwrap_err().to_string();
        assert!(error.contains("it is built from def") && !at("never").exists(), "{error}");
    }
}
