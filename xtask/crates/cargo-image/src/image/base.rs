//! Base images: none, an image in a registry, or an image layout on disk.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::config::Below;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::ui;
use oci_image::layout::Layout;
use oci_image::oci::{self, Descriptor, Manifest};
use oci_image::platform::Platform;
use oci_image::platform_select::choose;
use oci_registry::{Client, OnWait, Options, Reference, Wait};

/// The name of a base image, from the settings or `--base`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseName {
    /// No base image.
    Scratch,
    /// An image in a registry.
    Registry(Reference),
    /// The folder of an image layout, and which manifest or index of it.
    Layout(PathBuf, Option<Digest>),
}

impl BaseName {
    /// Parses a name: `scratch`, a path that begins with `.`, `/` or `oci-layout://`, else a reference. Relative paths start
    /// at `root`.
    pub fn parse(text: &str, root: &Path) -> Result<Self> {
        if text == "scratch" {
            return Ok(Self::Scratch);
        }
        let explicit = text.strip_prefix("oci-layout://");
        if explicit.is_some() || text.starts_with(['.', '/']) || Path::new(text).is_absolute() {
            let path = explicit.unwrap_or(text);
            let (path, digest) = match path.rsplit_once("@sha256:") {
                Some((path, hex)) => {
                    (path, Some(format!("sha256:{hex}").parse().map_err(|_| unknown_base(text))?))
                }
                None => (path, None),
            };
            return Ok(Self::Layout(root.join(path), digest));
        }
        Ok(Self::Registry(text.parse::<Reference>().with_context(|| unknown_base(text))?))
    }
}

fn unknown_base(text: &str) -> Fault {
    Fault::usage(format!("base '{text}'"))
        .hint("a base is scratch, a reference such as python:3.11-slim, or the folder of an image layout such as ./base")
}

/// A resolved base image.
#[derive(Debug, Default)]
pub struct Base {
    /// Its name for annotations; none for `scratch`.
    pub name: Option<String>,
    /// The digest of its index, or of its only manifest.
    pub digest: Option<Digest>,
    /// Its configuration and layers by platform.
    pub below: BTreeMap<Platform, Below>,
}

impl Base {
    /// No base image, for these platforms.
    pub fn scratch(platforms: &[Platform]) -> Self {
        let below = platforms.iter().map(|&platform| (platform, Below::default())).collect();
        Self { name: None, digest: None, below }
    }
}

/// The reference without its digest. The digest is an annotation of its own.
fn tagged(reference: &Reference) -> String {
    let tag = reference.tag().map(|tag| format!(":{tag}"));
    format!("{}{}", reference.name(), tag.unwrap_or_default())
}

/// The source of a base image's documents and layers.
trait Store {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;
    fn copy_layer(&self, layer: &Descriptor, to: &Layout, progress: &dyn Fn(u64)) -> Result<()>;
}

/// Resolves a base image and copies its layers to `layout`. `tell` gets progress messages.
pub fn resolve(
    name: &BaseName,
    platforms: &[Platform],
    layout: &Layout,
    tell: &dyn Fn(&str),
) -> Result<Base> {
    match name {
        BaseName::Scratch => Ok(Base::scratch(platforms)),
        BaseName::Registry(reference) => {
            let on_wait = Some(Arc::new(|wait: &Wait| ui::line(&wait.to_string())) as OnWait);
            let client = Client::new(Options { on_wait, ..Options::default() });
            let top = client.manifest(reference)?;
            let store = Registry { client: &client, reference };
            let mut base = read(&store, &top.media_type, &top.bytes, platforms, layout, tell)
                .with_context(|| format!("the base {reference}"))?;
            base.name = Some(tagged(reference));
            base.digest = Some(top.digest);
            Ok(base)
        }
        BaseName::Layout(dir, digest) => {
            let store = OnDisk { layout: Layout::open(dir)? };
            let top = top_of(&store.layout, digest.as_ref())?;
            let bytes = store.layout.read(&top)?;
            let mut base = read(&store, &top.media_type, &bytes, platforms, layout, tell)
                .with_context(|| format!("the base in {}", dir.display()))?;
            // No name: a path is of this machine and would change the image's digest.
            base.digest = Some(top.digest);
            Ok(base)
        }
    }
}

/// The entry with this digest, or the only image of a layout.
pub fn top_of(layout: &Layout, digest: Option<&Digest>) -> Result<Descriptor> {
    let entries = layout.index()?.manifests;
    let found = match digest {
        Some(digest) => entries.into_iter().find(|entry| entry.digest == *digest),
        // An index beside manifests: they are the index's own platforms.
        None if entries.len() > 1 => entries.into_iter().find(Descriptor::is_index),
        None => entries.into_iter().next(),
    };
    Ok(found.ok_or_else(|| {
        Fault::usage("this layout has several images")
            .at(layout.dir().display())
            .hint("choose one: DIR@sha256:…")
    })?)
}

fn read(
    store: &dyn Store,
    media_type: &str,
    bytes: &[u8],
    platforms: &[Platform],
    layout: &Layout,
    tell: &dyn Fn(&str),
) -> Result<Base> {
    let mut base = Base::default();
    let chosen = if oci::is_index(media_type) {
        let index = oci::from_bytes("the index", bytes)?;
        Some(choose(&index, platforms, &|entry| store.document(entry))?)
    } else {
        None
    };
    for &platform in platforms {
        let manifest = match &chosen {
            Some(chosen) => {
                let entry = chosen.get(&platform).context("no manifest was chosen")?;
                oci::from_bytes::<Manifest>("the manifest", &store.document(entry)?)?
            }
            None => oci::from_bytes::<Manifest>("the manifest", bytes)?,
        };
        let config: serde_json::Value = oci::from_bytes("the config", &store.document(&manifest.config)?)?;
        let says = |key: &str| config.get(key).and_then(|value| value.as_str()).unwrap_or_default();
        if (says("os"), says("architecture")) != (platform.os(), platform.arch()) {
            let what = format!(
                "its configuration is for {}/{}, not for {platform}",
                says("os"),
                says("architecture")
            );
            return Err(Fault::failed(what)
                .hint(format!("choose a base image for {platform}, or other platforms: --platform"))
                .into());
        }
        for (number, layer) in manifest.layers.iter().enumerate() {
            if layout.has_intact(layer) {
                continue;
            }
            let what = format!("{platform} layer {} of {}", number + 1, manifest.layers.len());
            let progress = |bytes: u64| {
                tell(&format!(
                    "{what}: {} of {}",
                    rust_workspace::settings::Bytes(bytes),
                    rust_workspace::settings::Bytes(layer.size)
                ));
            };
            store.copy_layer(layer, layout, &progress).with_context(|| what.clone())?;
        }
        base.below.insert(platform, Below::new(config, &manifest.layers)?);
    }
    Ok(base)
}

struct Registry<'a> {
    client: &'a Client,
    reference: &'a Reference,
}

impl Store for Registry<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.is_manifest() || descriptor.is_index() {
            return Ok(self.client.manifest(&self.reference.with_digest(descriptor.digest))?.bytes);
        }
        if descriptor.size > oci::MAX_DOCUMENT {
            let what = format!(
                "the configuration {} is over the limit of {} bytes",
                descriptor.digest,
                oci::MAX_DOCUMENT
            );
            return Err(Fault::failed(what).into());
        }
        let mut bytes = Vec::new();
        self.client.blob(self.reference, &descriptor.digest, descriptor.size, &mut bytes, &|_| ())?;
        Ok(bytes)
    }

    fn copy_layer(&self, layer: &Descriptor, to: &Layout, progress: &dyn Fn(u64)) -> Result<()> {
        let mut blob = to.writer()?;
        self.client.blob(self.reference, &layer.digest, layer.size, &mut blob, progress)?;
        blob.commit_as(layer)
    }
}

struct OnDisk {
    layout: Layout,
}

impl Store for OnDisk {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.layout.read(descriptor)
    }

    fn copy_layer(&self, layer: &Descriptor, to: &Layout, progress: &dyn Fn(u64)) -> Result<()> {
        let path = self.layout.blob_path(&layer.digest);
        if !path.is_file() {
            return Err(Fault::failed("the base image has no such blob").at(path.display()).into());
        }
        let mut from = self.layout.blob(&layer.digest)?.take(layer.size.saturating_add(1));
        let mut blob = to.writer()?;
        let mut buffer = vec![0; 1 << 20];
        let mut copied = 0;
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            blob.write_all(&buffer[..read])?;
            copied += read as u64;
            progress(copied);
        }
        blob.commit_as(layer)
    }
}
