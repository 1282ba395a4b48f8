//! Where an image is, and copying it into a layout on this disk, where every engine can read it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::archive::unpack;
use super::layer::Limits;
use super::platforms::{Wanted, document, is_attestation};
use cli_support::digest::Digest;
use cli_support::error::{self, ExitKind, Fault};
use cli_support::files::remove_dir;
use oci_image::layout::Layout;
use oci_image::oci::{Annotations, Descriptor, Index, Manifest};
use oci_image::walk::{Visit, walk};
use oci_registry::retry::Policy;
use oci_registry::wire::Timeouts;
use oci_registry::{Client, Options, Reference};

/// The location of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// A layout's folder, and a manifest or index in it.
    Layout(PathBuf, Option<Digest>),
    /// A tar, as `docker save`, `podman save` and `cargo xtask image --archive` write it.
    Archive(PathBuf),
    /// An image in a registry.
    Registry(Reference),
}

/// An image in a layout on this disk.
#[derive(Debug)]
pub struct Pulled {
    /// The layout.
    pub layout: Layout,
    /// The manifest or index to scan; everything in the layout where unset.
    pub only: Option<Digest>,
    /// Entries that an archive lists but does not contain.
    pub absent: Vec<String>,
}

impl ImageSource {
    /// Parses `--image`: an existing folder or file, otherwise a reference.
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
            return Err(Fault::usage("no such folder or file").at(text).into());
        }
        let help = || Fault::usage(format!("--image '{text}' is not a folder, a file or a reference"));
        Ok(Self::Registry(text.parse::<Reference>().with_context(help)?))
    }

    /// Opens the image. An archive and an image in a registry are copied into a new layout at `work`.
    ///
    /// # Errors
    /// The image cannot be read (exit code 3), or its registry cannot be reached (exit code 1).
    pub fn pull(&self, work: &Path, wanted: Wanted<'_>, progress: &dyn Fn(&str)) -> Result<Pulled> {
        let refused = |place: &dyn std::fmt::Display| Fault::gate("cannot read the image").at(place);
        match self {
            Self::Layout(dir, digest) => {
                let layout = Layout::open(dir).with_context(|| refused(&dir.display()))?;
                Ok(Pulled { layout, only: *digest, absent: Vec::new() })
            }
            Self::Archive(path) => {
                // Blobs of an earlier archive must not stand in for missing ones.
                remove_dir(work)?;
                let layout = Layout::create(work)?;
                let unpacked = unpack(path, &layout, wanted).and_then(|(index, absent)| {
                    layout.publish(&index)?;
                    Ok(absent)
                });
                let absent = unpacked.map_err(|error| match error::kind(&error) {
                    ExitKind::Usage => error.context(path.display().to_string()),
                    _ => error.context(refused(&path.display())),
                })?;
                Ok(Pulled { layout, only: None, absent })
            }
            Self::Registry(reference) => {
                // Scan what the registry has now, not an earlier copy.
                remove_dir(work)?;
                let layout = Layout::create(work)?;
                let client = Client::new(client_options());
                let index = pull(&client, reference, &layout, wanted, progress).map_err(|error| {
                    let content = error::of_content(&error) || error::kind(&error) == ExitKind::Gate;
                    if content {
                        error.context(refused(reference))
                    } else {
                        error.context(format!(
                            "{reference}: no such folder or file here, so a registry was asked"
                        ))
                    }
                })?;
                layout.publish(&index)?;
                Ok(Pulled { layout, only: None, absent: Vec::new() })
            }
        }
    }
}

/// Short timeouts: a person or another scan waits for this one.
fn client_options() -> Options {
    Options {
        policy: Policy { attempts: 3, total: Duration::from_secs(30), ..Policy::default() },
        timeouts: Timeouts { idle: Duration::from_secs(20), ..Timeouts::default() },
        ..Options::default()
    }
}

/// Copies the wanted platforms of an image, without attestations and signatures.
fn pull(
    client: &Client,
    reference: &Reference,
    layout: &Layout,
    wanted: Wanted<'_>,
    progress: &dyn Fn(&str),
) -> Result<Index> {
    let top = client.manifest(reference)?;
    let first = Descriptor::of(&top.media_type, &top.bytes);
    let mut top = Some(top.bytes);
    let mut manifests = Vec::new();
    walk(reference, vec![first], 0, |entry| {
        let is_wanted = entry.platform.as_ref().is_none_or(|spec| wanted.has(spec));
        if is_attestation(entry) || !is_wanted {
            return Ok(Visit::Next);
        }
        let bytes = if let Some(bytes) = top.take() {
            bytes
        } else {
            let below = reference.with_digest(entry.digest);
            let lacks = || matches!(client.head_manifest(&below), Ok(None));
            client.manifest(&below).map_err(|error| missing(error, lacks))?.bytes
        };
        if entry.is_index() {
            let index: Index = document(&format!("index {}", entry.digest), entry, &bytes)?;
            return Ok(Visit::Enter(index.manifests));
        }
        layout.put(&entry.media_type, &bytes)?;
        let manifest: Manifest = document(&format!("manifest {}", entry.digest), entry, &bytes)?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            pull_blob(client, reference, layout, blob, progress)?;
        }
        manifests.push(entry.clone());
        Ok(Visit::Next)
    })?;
    Ok(Index::new(manifests, Annotations::new()))
}

fn pull_blob(
    client: &Client,
    reference: &Reference,
    layout: &Layout,
    blob: &Descriptor,
    progress: &dyn Fn(&str),
) -> Result<()> {
    let limit = Limits::default().unpacked;
    if blob.size > limit {
        let what = format!("a blob of {} bytes is over the limit of {limit}", blob.size);
        return Err(Fault::gate(what).at(blob.digest).into());
    }
    if layout.has(&blob.digest, blob.size) {
        return Ok(());
    }
    let mut writer = layout.writer()?;
    let progress = |bytes: u64| progress(&format!("{}: {bytes} of {} bytes", blob.digest.short(), blob.size));
    let lacks = || matches!(client.has_blob(reference, &blob.digest), Ok(false));
    client
        .blob(reference, &blob.digest, blob.size, &mut writer, &progress)
        .map_err(|error| missing(error, lacks))?;
    writer.commit_as(blob)
}

/// Turns a failed request into a gate where the registry says that it does not have the content: a retry is useless.
fn missing(error: anyhow::Error, lacks: impl Fn() -> bool) -> anyhow::Error {
    let keep = error::of_content(&error) || !lacks();
    if keep { error } else { error.context(Fault::gate("the registry lacks a part of the image")) }
}

/// Whether two paths are the same file or folder.
pub fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
