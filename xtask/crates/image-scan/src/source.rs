//! Where an image is, and bringing it into a layout on this disk, where every engine can read it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;

use super::archive::unpack;
use super::layer::Limits;
use super::platforms::Wanted;
use cli_support::digest::Digest;
use cli_support::error::{self, Fault};
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, Manifest};
use oci_registry::retry::Policy;
use oci_registry::wire::Timeouts;
use oci_registry::{Client, Options, Reference};

/// An image by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A layout's folder, and one manifest or index of it.
    Layout(PathBuf, Option<Digest>),
    /// A tar as `docker save`, `podman save` and `cargo xtask image --archive` write it.
    Archive(PathBuf),
    /// An image in a registry.
    Registry(Reference),
}

/// An image on this disk.
#[derive(Debug)]
pub struct Pulled {
    /// Where it is.
    pub layout: Layout,
    /// The manifest or index that is asked for; all of it where unset.
    pub only: Option<Digest>,
    /// What an archive lists and does not have.
    pub absent: Vec<String>,
}

impl ImageSource {
    /// Reads what `--image` was given: what is there as a folder or file is that; all else is a reference.
    pub fn parse(text: &str) -> Result<Self> {
        let (path, digest) = match text.rsplit_once('@') {
            Some((path, digest)) if Path::new(path).is_dir() => (path, Some(digest.parse::<Digest>()?)),
            _ => (text, None),
        };
        let path = Path::new(path);
        if path.is_dir() {
            return Ok(Self::Layout(path.to_owned(), digest));
        }
        if path.is_file() {
            return Ok(Self::Archive(path.to_owned()));
        }
        if text.starts_with(['.', '/']) {
            return Err(Fault::usage("there is no such folder or file").at(text).into());
        }
        let help = || Fault::usage(format!("--image '{text}' is no folder, no file and no reference"));
        Ok(Self::Registry(text.parse::<Reference>().with_context(help)?))
    }

    /// The image in a layout, the part of it that is asked for, and what is listed and not there. What is not in a layout yet is put
    /// into the one at `work`, under digests alone.
    pub fn pull(
        &self,
        client: &Client,
        work: &Path,
        wanted: Wanted<'_>,
        tell: &dyn Fn(&str),
    ) -> Result<Pulled> {
        match self {
            Self::Layout(dir, digest) => {
                let open = || Fault::gate("the image cannot be looked at").at(dir.display());
                let layout = Layout::open(dir).with_context(open)?;
                Ok(Pulled { layout, only: *digest, absent: Vec::new() })
            }
            Self::Archive(path) => {
                // What an earlier archive had must not stand in for what this one lacks.
                cli_support::files::remove_dir(work)?;
                let layout = Layout::create(work)?;
                let refused = || Fault::gate("the image cannot be looked at").at(path.display());
                let (index, absent) = unpack(path, &layout, wanted).map_err(|error| {
                    let usage = error::kind(&error) == error::ExitKind::Usage;
                    if usage { error.context(path.display().to_string()) } else { error.context(refused()) }
                })?;
                layout.publish(&index).with_context(refused)?;
                Ok(Pulled { layout, only: None, absent })
            }
            Self::Registry(reference) => {
                // What the registry has is looked at, and not what it had once.
                cli_support::files::remove_dir(work)?;
                let layout = Layout::create(work)?;
                let pulled = pull(client, reference, &layout, wanted, tell).map_err(|error| {
                    let wrong = error::of_content(&error) || error::kind(&error) == error::ExitKind::Gate;
                    if wrong {
                        error.context(refused(reference))
                    } else {
                        let what = "a registry was asked, since no folder or file here is called that";
                        error.context(format!("{reference}: {what}"))
                    }
                });
                let index = pulled?;
                layout.publish(&index)?;
                Ok(Pulled { layout, only: None, absent: Vec::new() })
            }
        }
    }
}

/// What is said of an image that a registry has, and that is wrong in itself.
fn refused(reference: &Reference) -> Fault {
    Fault::gate("the image cannot be looked at").at(reference)
}

/// How long a registry is waited for: whoever scans waits, and others for them.
pub fn client_options() -> Options {
    Options {
        policy: Policy { attempts: 3, total: Duration::from_secs(30), ..Policy::default() },
        timeouts: Timeouts { idle: Duration::from_secs(20), ..Timeouts::default() },
        ..Options::default()
    }
}

/// Everything of an image but what only speaks about it: attestations, signatures.
fn pull(
    client: &Client,
    reference: &Reference,
    layout: &Layout,
    wanted: Wanted<'_>,
    tell: &dyn Fn(&str),
) -> Result<Index> {
    let top = client.manifest(reference)?;
    let first = Descriptor::of(&top.media_type, &top.bytes);
    let (mut manifests, mut waiting) = (Vec::new(), vec![(first, top.bytes, 0)]);
    while let Some((descriptor, bytes, depth)) = waiting.pop() {
        if depth > 4 || manifests.len() > super::platforms::MAX_ENTRIES {
            return Err(Fault::gate("its indexes nest too deep, or have too much in them").into());
        }
        if descriptor.is_index() {
            let index: Index =
                document(&format!("the index {}", descriptor.digest), &bytes, &descriptor.media_type)?;
            // The last is looked at first.
            for entry in index.manifests.into_iter().rev() {
                let is_wanted = entry.platform.as_ref().is_none_or(|spec| wanted.has(spec));
                if super::platforms::is_attestation(&entry) || !is_wanted {
                    continue;
                }
                let below = reference.with_digest(entry.digest);
                let lacks = || matches!(client.head_manifest(&below), Ok(None));
                let manifest = client.manifest(&below).map_err(|error| missing(error, lacks))?;
                waiting.push((entry, manifest.bytes, depth + 1));
            }
            continue;
        }
        layout.put(&descriptor.media_type, &bytes)?;
        let what = format!("the manifest {}", descriptor.digest);
        let manifest: Manifest = document(&what, &bytes, &descriptor.media_type)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            // Its tar would be longer still, and a registry that sends without end would fill the disk.
            let limit = Limits::default().unpacked;
            if blob.size > limit {
                let what = format!("a blob of {} bytes is over the limit of {limit}", blob.size);
                return Err(Fault::gate(what).at(blob.digest).into());
            }
            if !layout.has(&blob.digest, blob.size) {
                let mut writer = layout.writer()?;
                let progress =
                    |bytes: u64| tell(&format!("{}: {bytes} of {} bytes", blob.digest.short(), blob.size));
                let lacks = || matches!(client.has_blob(reference, &blob.digest), Ok(false));
                client
                    .blob(reference, &blob.digest, blob.size, &mut writer, &progress)
                    .map_err(|error| missing(error, lacks))?;
                writer.commit_as(blob)?;
            }
        }
        manifests.push(descriptor);
    }
    Ok(Index::new(manifests, Annotations::new()))
}

/// A document of an image, which is wrong in itself where it cannot be read.
fn document<T: DeserializeOwned>(what: &str, bytes: &[u8], media_type: &str) -> Result<T> {
    oci::from_bytes(what, bytes)
        .with_context(|| Fault::gate(format!("not a document of the type {media_type}")))
}

/// The error, or that the registry lacks what the image names: asking later brings the same.
fn missing(error: anyhow::Error, lacks: impl Fn() -> bool) -> anyhow::Error {
    let passes = error::of_content(&error) || !lacks();
    if passes { error } else { error.context(Fault::gate("the registry lacks a part of the image")) }
}

/// Whether two paths are one place.
pub fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
