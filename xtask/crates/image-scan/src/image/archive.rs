//! Archives of images, as `docker save`, `podman save` and `cargo xtask image --archive` write them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::layer::{self, Limits};
use super::platforms::{Wanted, document, is_attestation};
use super::tar_entries::{EntryKind, entries};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, MANIFEST, MAX_DOCUMENT, Manifest};
use oci_image::walk::{Visit, walk};

/// An image in Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    layers: Vec<String>,
}

/// Copies an archive's files into the layout, each under its own digest, and gives an index of the images in it.
/// Also lists what the archive's index names but the archive does not contain.
pub(super) fn unpack(path: &Path, layout: &Layout, wanted: Wanted<'_>) -> Result<(Index, Vec<String>)> {
    let archive = Archive::read(path, layout)?;
    let docker = archive.document("manifest.json")?;
    let docker: Option<Vec<DockerImage>> =
        docker.map(|bytes| oci::from_bytes("manifest.json", &bytes)).transpose()?;
    match (archive.document("index.json")?, docker) {
        (Some(index), docker) => archive.oci(&index, docker.unwrap_or_default(), wanted),
        (None, Some(images)) => Ok((archive.docker(&images)?, Vec::new())),
        (None, None) => {
            let what = "it has neither index.json nor manifest.json, so it is not an image archive";
            Err(Fault::failed(what).into())
        }
    }
}

/// The files of an archive, now blobs of the layout.
struct Archive<'a> {
    layout: &'a Layout,
    blobs: BTreeMap<String, (Digest, u64)>,
    links: BTreeMap<String, String>,
}

impl<'a> Archive<'a> {
    fn read(path: &Path, layout: &'a Layout) -> Result<Self> {
        let mut file = BufReader::with_capacity(1 << 17, File::open(path)?);
        if io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]) {
            return Err(Fault::usage("the archive itself is compressed")
                .hint("unpack it first: gunzip FILE")
                .into());
        }
        let (mut blobs, mut links) = (BTreeMap::new(), BTreeMap::new());
        entries(&mut file, Limits::default().entries, &mut |entry, content| {
            if blobs.contains_key(&entry.path) || links.contains_key(&entry.path) {
                return Err(Fault::gate("the archive has two entries of this name").into());
            }
            match entry.kind {
                EntryKind::File => {
                    let mut blob = layout.writer()?;
                    io::copy(content, &mut blob).context("the archive is cut short")?;
                    blobs.insert(entry.path, blob.commit()?);
                }
                // Old versions of Docker store equal layers as links to one of them.
                EntryKind::Symlink(target) => drop(links.insert(entry.path, target)),
                EntryKind::Hardlink(target) => drop(links.insert(entry.path, format!("/{target}"))),
                EntryKind::Folder | EntryKind::Other => {}
            }
            Ok(())
        })
        .with_context(|| Fault::gate("cannot read the archive"))?;
        Ok(Self { layout, blobs, links })
    }

    fn find(&self, name: &str) -> Option<(Digest, u64)> {
        let target = self.links.get(name).map(|target| join(name, target));
        self.blobs.get(target.as_deref().unwrap_or(name)).copied()
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some((digest, size)) = self.find(name) else { return Ok(None) };
        if size > MAX_DOCUMENT {
            return Err(Fault::failed(format!("{name} is over the limit of {MAX_DOCUMENT} bytes")).into());
        }
        let mut bytes = Vec::new();
        self.layout.blob(&digest)?.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// The images of `index.json`. `docker save` of a multi-platform image lists every platform and contains only
    /// those that were pulled.
    fn oci(
        &self,
        index: &[u8],
        docker: Vec<DockerImage>,
        wanted: Wanted<'_>,
    ) -> Result<(Index, Vec<String>)> {
        let index: Index = oci::from_bytes("index.json", index)?;
        let (mut listed, mut manifests, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        walk(&"index.json", index.manifests, 0, |entry| {
            if is_attestation(entry) || !seen.insert((entry.digest, entry.media_type.clone())) {
                return Ok(Visit::Next);
            }
            let what = entry.digest.to_string();
            let present = self.layout.blob_path(&entry.digest).exists();
            if present && entry.is_manifest() {
                // Unwanted platforms too: manifest.json may name them.
                manifests.push(document::<Manifest>(&what, entry, &self.layout.read(entry)?)?);
            }
            if let Some(spec) = entry.platform.as_ref().filter(|spec| !wanted.has(spec)) {
                absent.push(Wanted::left_out(spec));
            } else if !present {
                let name = entry.platform.as_ref().map_or(what, ToString::to_string);
                absent.push(format!("{name}: the archive lists it but does not contain it"));
            } else if entry.is_index() {
                let index: Index = document(&what, entry, &self.layout.read(entry)?)?;
                return Ok(Visit::Enter(index.manifests));
            } else {
                listed.push(entry.clone());
            }
            Ok(Visit::Next)
        })?;
        if listed.is_empty() && !absent.is_empty() {
            let what = format!("{}: {}", wanted.none(), absent.join(", "));
            return Err(Fault::gate(what).hint("save the image again").into());
        }
        for image in docker {
            let digest = |name: &String| self.find(name).map(|(digest, _)| digest);
            let layers: Vec<_> = image.layers.iter().map(digest).collect();
            let same = |manifest: &Manifest| {
                Some(manifest.config.digest) == digest(&image.config)
                    && manifest.layers.iter().map(|layer| Some(layer.digest)).eq(layers.iter().copied())
            };
            if !manifests.iter().any(same) {
                let what = format!("manifest.json names the image {}, index.json does not", image.config);
                return Err(Fault::gate(what)
                    .hint("docker load and podman load would load different images: save the image again")
                    .into());
            }
        }
        Ok((Index::new(listed, Annotations::new()), absent))
    }

    /// The images of Docker's `manifest.json`, for archives without an `index.json`.
    fn docker(&self, images: &[DockerImage]) -> Result<Index> {
        let blob = |name: &str, media_type: &str| -> Result<Descriptor, Fault> {
            let (digest, size) = self.find(name).ok_or_else(|| {
                Fault::failed(format!("manifest.json names '{name}', which is not in the archive"))
            })?;
            Ok(Descriptor { digest, size, ..Descriptor::of(media_type, b"") })
        };
        let manifests = images.iter().map(|image| {
            let layers = image.layers.iter().map(|name| {
                let mut layer = blob(name, layer::TAR)?;
                let mut magic = Vec::new();
                self.layout.blob(&layer.digest)?.take(2).read_to_end(&mut magic)?;
                if magic == [0x1f, 0x8b] {
                    oci::LAYER_GZIP.clone_into(&mut layer.media_type);
                }
                Ok(layer)
            });
            let manifest = Manifest {
                schema_version: 2,
                media_type: MANIFEST.to_owned(),
                config: blob(&image.config, oci::CONFIG)?,
                layers: layers.collect::<Result<_>>()?,
                annotations: Annotations::new(),
            };
            self.layout.put(MANIFEST, &oci::to_bytes(&manifest)?)
        });
        Ok(Index::new(manifests.collect::<Result<_>>()?, Annotations::new()))
    }
}

/// The path in the archive that a link leads to. [`entries`] refused links that leave the archive.
fn join(name: &str, target: &str) -> String {
    let mut at: Vec<_> = if target.starts_with('/') { Vec::new() } else { name.split('/').collect() };
    at.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            at.pop();
        } else {
            at.push(part);
        }
    }
    at.join("/")
}
