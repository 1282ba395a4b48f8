//! Every platform of an image, each by the digest of its manifest.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Descriptor, Index, MAX_INDEX_DEPTH, Manifest, PlatformSpec};
use oci_image::platform::Platform;

/// Manifests of one image that are followed.
pub const MAX_ENTRIES: usize = 100;
/// Layers of one image; container engines take 127 at most.
const MAX_LAYERS: usize = 500;

/// One platform's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// What it runs on, as its config says.
    pub platform: PlatformSpec,
    /// Its manifest's digest.
    pub digest: Digest,
    /// Its config's digest.
    pub config_digest: Digest,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The digests of the layers' tars.
    pub diff_ids: Vec<Digest>,
    /// Its config, whole.
    pub config: Value,
    /// Whether `index.json` names it itself; other readers follow nothing else.
    pub top: bool,
}

/// What is in a layout: images, and what else there is and is not looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// The images, in the order of the index.
    pub images: Vec<Image>,
    /// What was passed over, and why.
    pub skipped: Vec<String>,
}

/// The platforms that are looked at; all of an image where none are named.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a>(pub Option<&'a [Platform]>);

impl Wanted<'_> {
    /// Whether an image for this is looked at.
    pub fn has(self, spec: &PlatformSpec) -> bool {
        self.0.is_none_or(|all| all.iter().any(|one| spec.is(*one)))
    }

    /// What is said of one that is not.
    pub fn left_out(self, spec: &PlatformSpec) -> String {
        format!("{spec}: --platform leaves it out")
    }

    /// What is said where nothing is left.
    pub(super) fn none(self) -> String {
        let Some(wanted) = self.0 else { return "there is no image to look at".to_owned() };
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        format!("the image has nothing for {}", wanted.join(", "))
    }
}

/// Finds every platform's image in a layout, or below the one manifest or index that is asked for.
pub fn find(layout: &Layout, only: Option<Digest>, wanted: Wanted<'_>) -> Result<Found> {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let top = layout.index()?.manifests;
    let direct: BTreeSet<_> = top.iter().map(|entry| entry.digest).collect();
    let mut waiting: Vec<_> = top
        .into_iter()
        .filter(|entry| only.is_none_or(|only| only == entry.digest))
        .rev()
        .map(|entry| (entry, 0))
        .collect();
    while let Some((entry, depth)) = waiting.pop() {
        let attestation = is_attestation(&entry);
        // Under another type the same bytes are another thing.
        if !attestation && !seen.insert((entry.digest, entry.media_type.clone())) {
            continue;
        }
        if depth > MAX_INDEX_DEPTH {
            return Err(Fault::failed(format!("indexes nest deeper than {MAX_INDEX_DEPTH}"))
                .at(layout.dir().display())
                .into());
        }
        if seen.len() + found.skipped.len() > MAX_ENTRIES {
            return Err(Fault::failed(format!("more than {MAX_ENTRIES} manifests in one image"))
                .at(layout.dir().display())
                .into());
        }
        if attestation {
            found.skipped.push(format!("{}: an attestation about another manifest", entry.digest));
        } else if entry.is_index() {
            let index: Index = document(&entry.digest.to_string(), &entry, &layout.read(&entry)?)?;
            waiting.extend(index.manifests.into_iter().rev().map(|entry| (entry, depth + 1)));
        } else if let Some(spec) = entry.platform.as_ref().filter(|spec| !wanted.has(spec)) {
            found.skipped.push(wanted.left_out(spec));
        } else if entry.is_manifest() {
            match image(layout, &entry).with_context(|| format!("the manifest {}", entry.digest))? {
                Some(image) if !wanted.has(&image.platform) => {
                    found.skipped.push(wanted.left_out(&image.platform));
                }
                Some(image) => found.images.push(Image { top: direct.contains(&entry.digest), ..image }),
                None if entry.platform.is_some() => {
                    let what = format!("{} has a platform, and its config is not an image's", entry.digest);
                    return Err(Fault::gate(what).at(layout.dir().display()).into());
                }
                None => found.skipped.push(format!("{}: not an image", entry.digest)),
            }
        } else {
            let what = format!("{} is of the type '{}', which is not known", entry.digest, entry.media_type);
            return Err(Fault::gate(what).at(layout.dir().display()).into());
        }
    }
    if found.images.is_empty() {
        return Err(Fault::gate(wanted.none()).at(layout.dir().display()).into());
    }
    Ok(found)
}

/// Whether an entry only speaks about another one, as BuildKit marks it. Nobody runs it then: it is for
/// no platform, and has no name to be chosen by.
pub fn is_attestation(entry: &Descriptor) -> bool {
    let kind = entry.annotations.get("vnd.docker.reference.type");
    let platform = entry.platform.as_ref();
    kind.is_some_and(|kind| kind == "attestation-manifest")
        && platform.is_some_and(|on| on.os == "unknown" && on.architecture == "unknown")
        && !entry.annotations.contains_key("org.opencontainers.image.ref.name")
}

/// Reads an index or a manifest; one that is both, or another than its entry says, is refused.
pub(super) fn document<T: DeserializeOwned>(what: &str, entry: &Descriptor, bytes: &[u8]) -> Result<T> {
    let value: Value = oci::from_bytes(what, bytes)?;
    let has = |key: &str| value.get(key).is_some();
    if has("manifests") && (has("config") || has("layers")) {
        return Err(Fault::gate(format!("{what} is both an index and an image's manifest")).into());
    }
    if value.get("mediaType").is_some_and(|own| *own != *entry.media_type) {
        return Err(Fault::gate(format!("{what} is of another type than the index says")).into());
    }
    oci::from_bytes(what, bytes)
}

fn image(layout: &Layout, entry: &Descriptor) -> Result<Option<Image>> {
    let manifest: Manifest = document("the manifest", entry, &layout.read(entry)?)?;
    let config_types = [oci::CONFIG, "application/vnd.docker.container.image.v1+json"];
    if !config_types.contains(&manifest.config.media_type.as_str()) {
        return Ok(None);
    }
    let config: Value = oci::from_bytes("the config", &layout.read(&manifest.config)?)?;
    let says = |key: &str| config.get(key).and_then(Value::as_str).map(str::to_owned);
    let platform = PlatformSpec {
        architecture: says("architecture").unwrap_or_default(),
        os: says("os").unwrap_or_default(),
        variant: says("variant"),
    };
    if let Some(claimed) = &entry.platform
        && (&claimed.os, &claimed.architecture) != (&platform.os, &platform.architecture)
    {
        let what = format!("the index says that it is for {claimed}, its config says {platform}");
        return Err(Fault::failed(what).into());
    }
    if manifest.layers.len() > MAX_LAYERS {
        let what = format!("it has {} layers; {MAX_LAYERS} are the limit", manifest.layers.len());
        return Err(Fault::gate(what).into());
    }
    let diff_ids: Vec<Digest> = match config.pointer("/rootfs/diff_ids") {
        Some(list) => serde_json::from_value(list.clone()).context("rootfs.diff_ids of the config")?,
        None => Vec::new(),
    };
    if diff_ids.len() != manifest.layers.len() {
        let what =
            format!("its config names {} layers and its manifest {}", diff_ids.len(), manifest.layers.len());
        return Err(Fault::failed(what).into());
    }
    Ok(Some(Image {
        platform,
        digest: entry.digest,
        config_digest: manifest.config.digest,
        layers: manifest.layers,
        diff_ids,
        config,
        top: false,
    }))
}
