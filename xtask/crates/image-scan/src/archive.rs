//! Archives of images, as `docker save`, `podman save` and `cargo xtask image --archive` write them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::layer::{self, EntryKind, Limits};
use super::platforms::{Wanted, document};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, MANIFEST, MAX_DOCUMENT, Manifest};

/// Indexes within indexes.
const MAX_DEPTH: usize = 4;

/// Docker's list of the images in an archive.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    layers: Vec<String>,
}

/// Puts every file of an archive into the layout, under the digest that it has, whatever its name says. Gives the
/// manifests that it has, and what its index lists besides.
pub(super) fn unpack(path: &Path, layout: &Layout, wanted: Wanted<'_>) -> Result<(Index, Vec<String>)> {
    let mut file = BufReader::with_capacity(1 << 17, File::open(path)?);
    if io::BufRead::fill_buf(&mut file)?.starts_with(&[0x1f, 0x8b]) {
        return Err(Fault::usage("the archive is compressed as a whole")
            .hint("unpack it first: gunzip FILE")
            .into());
    }
    let mut blobs = BTreeMap::new();
    let mut links = BTreeMap::new();
    layer::entries(&mut file, Limits::default(), &mut |entry, content| {
        if blobs.contains_key(&entry.path) || links.contains_key(&entry.path) {
            return Err(Fault::gate("the archive has two of this name").into());
        }
        match entry.kind {
            EntryKind::File => {
                let mut blob = layout.writer()?;
                io::copy(content, &mut blob).context("the archive is cut short")?;
                blobs.insert(entry.path, blob.commit()?);
            }
            // Older Dockers name equal layers by links to one of them.
            EntryKind::Symlink(target) => drop(links.insert(entry.path, target)),
            EntryKind::Hardlink(target) => drop(links.insert(entry.path, format!("/{target}"))),
            EntryKind::Folder | EntryKind::Other => {}
        }
        Ok(())
    })
    .with_context(|| Fault::gate("the archive cannot be looked at"))?;
    let find = |name: &str| {
        let target = links.get(name).map(|target| join(name, target));
        blobs.get(target.as_deref().unwrap_or(name)).copied()
    };
    let document = |name: &str| -> Result<Option<Vec<u8>>> {
        let Some((digest, size)) = find(name) else { return Ok(None) };
        if size > MAX_DOCUMENT {
            return Err(Fault::failed(format!("{name} is over the limit of {MAX_DOCUMENT} bytes")).into());
        }
        let mut bytes = Vec::new();
        layout.blob(&digest)?.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    };
    let docker = document("manifest.json")?;
    if let Some(bytes) = document("index.json")? {
        let index: Index = oci::from_bytes("index.json", &bytes)?;
        let mut listed = Listed::default();
        listed.add(layout, index, wanted, 0)?;
        if listed.entries.is_empty() && !listed.absent.is_empty() {
            let what = format!("{}: {}", wanted.none(), listed.absent.join(", "));
            return Err(Fault::gate(what).hint("save the image again").into());
        }
        if let Some(bytes) = docker {
            let images: Vec<DockerImage> = oci::from_bytes("manifest.json", &bytes)?;
            for image in &images {
                let config = find(&image.config).map(|(digest, _)| digest);
                let layers: Vec<_> =
                    image.layers.iter().map(|name| find(name).map(|(digest, _)| digest)).collect();
                let same = |manifest: &Manifest| {
                    Some(manifest.config.digest) == config
                        && manifest.layers.iter().map(|layer| Some(layer.digest)).eq(layers.iter().copied())
                };
                if !listed.manifests.iter().any(same) {
                    let what =
                        format!("manifest.json names an image ({}) that index.json does not", image.config);
                    return Err(Fault::gate(what)
                        .hint("docker load takes the one, podman load the other: save the image again")
                        .into());
                }
            }
        }
        return Ok((Index::new(listed.entries, Annotations::new()), listed.absent));
    }
    let bytes = docker.ok_or_else(|| {
        Fault::failed("it has neither index.json nor manifest.json: this is not an image's archive")
    })?;
    let images: Vec<DockerImage> = oci::from_bytes("manifest.json", &bytes)?;
    let blob = |name: &str, media_type: &str| -> Result<Descriptor, Fault> {
        let missing = || Fault::failed(format!("manifest.json names '{name}', which is not in the archive"));
        let (digest, size) = find(name).ok_or_else(missing)?;
        Ok(Descriptor { digest, size, ..Descriptor::of(media_type, b"") })
    };
    let manifests = images.iter().map(|image| {
        let layers = image.layers.iter().map(|name| {
            let mut layer = blob(name, layer::TAR)?;
            let mut magic = Vec::new();
            layout.blob(&layer.digest)?.take(2).read_to_end(&mut magic)?;
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
        layout.put(MANIFEST, &oci::to_bytes(&manifest)?)
    });
    Ok((Index::new(manifests.collect::<Result<_>>()?, Annotations::new()), Vec::new()))
}

/// What an index leads to and the archive has, in order; and what it lacks. `docker save` of an image of several
/// platforms lists all of them and has those that were pulled.
#[derive(Default)]
struct Listed {
    entries: Vec<Descriptor>,
    manifests: Vec<Manifest>,
    absent: Vec<String>,
    seen: BTreeSet<(Digest, String)>,
}

impl Listed {
    fn add(&mut self, layout: &Layout, index: Index, wanted: Wanted<'_>, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH || self.seen.len() > super::platforms::MAX_ENTRIES {
            return Err(Fault::gate("its indexes nest too deep, or have too much in them").into());
        }
        for entry in index.manifests {
            if super::platforms::is_attestation(&entry)
                || !self.seen.insert((entry.digest, entry.media_type.clone()))
            {
                continue;
            }
            let what = entry.digest.to_string();
            let is_there = layout.blob_path(&entry.digest).exists();
            if is_there && entry.is_manifest() {
                // Those that nobody wants to see too: Docker's list may name them.
                self.manifests.push(document(&what, &entry, &layout.read(&entry)?)?);
            }
            if let Some(spec) = entry.platform.as_ref().filter(|spec| !wanted.has(spec)) {
                self.absent.push(wanted.left_out(spec));
            } else if !is_there {
                let name = entry.platform.as_ref().map_or(what, ToString::to_string);
                self.absent.push(format!("{name}: the archive lists it and does not have it"));
            } else if entry.is_index() {
                self.add(layout, document(&what, &entry, &layout.read(&entry)?)?, wanted, depth + 1)?;
            } else {
                self.entries.push(entry);
            }
        }
        Ok(())
    }
}

/// A link's target as a path of the archive. The reader of the tar has seen to it that it stays inside.
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
