//! The platforms of an image, each by the digest of its manifest.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Descriptor, Index, Manifest, PlatformSpec};
use oci_image::platform::Platform;
use oci_image::walk::{Visit, walk};

/// Platforms of one image that are scanned.
const MAX_IMAGES: usize = 100;
/// Layers of one platform's image; container engines accept 127.
const MAX_LAYERS: usize = 500;

/// The image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// The platform in the config.
    pub platform: PlatformSpec,
    /// The manifest's digest.
    pub digest: Digest,
    /// The config's digest.
    pub config_digest: Digest,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// The digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
    /// The whole config.
    pub config: Value,
    /// Whether `index.json` lists the manifest itself. Trivy reads no nested index.
    pub top: bool,
}

impl Image {
    /// Whether the config has a health check that is not disabled.
    pub fn has_health_check(&self) -> bool {
        let test = self.config.pointer("/config/Healthcheck/Test").and_then(Value::as_array);
        test.is_some_and(|test| test.first().is_some_and(|word| word != "NONE"))
    }
}

/// The images in a layout.
#[derive(Debug, Default)]
pub struct Found {
    /// The images, in the order of the index.
    pub images: Vec<Image>,
    /// Entries that are not scanned, each with the reason.
    pub skipped: Vec<String>,
}

/// The platforms to scan; all platforms of the image where unset.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a>(pub Option<&'a [Platform]>);

impl Wanted<'_> {
    /// Whether this platform is scanned.
    pub fn has(self, spec: &PlatformSpec) -> bool {
        self.0.is_none_or(|all| all.iter().any(|one| spec.is(*one)))
    }

    /// The reason in [`Found::skipped`] for a platform that is not wanted.
    pub(super) fn left_out(spec: &PlatformSpec) -> String {
        format!("{spec}: not in --platform")
    }

    /// The message for an image without any wanted platform.
    pub(super) fn none(self) -> String {
        let Some(wanted) = self.0 else { return "the layout has no image".to_owned() };
        let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
        format!("the image has nothing for {}", wanted.join(", "))
    }
}

/// Finds the images in a layout, or below the manifest or index of digest `only`.
pub fn find(layout: &Layout, only: Option<Digest>, wanted: Wanted<'_>) -> Result<Found> {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let mut top = layout.index()?.manifests;
    let direct: BTreeSet<_> = top.iter().map(|entry| entry.digest).collect();
    top.retain(|entry| only.is_none_or(|only| only == entry.digest));
    walk(&layout.dir().display(), top, 0, |entry| {
        if is_attestation(entry) {
            found.skipped.push(format!("{}: an attestation about another manifest", entry.digest));
            return Ok(Visit::Next);
        }
        // The same bytes under another media type are another document.
        if !seen.insert((entry.digest, entry.media_type.clone())) {
            return Ok(Visit::Next);
        }
        if entry.is_index() {
            let index: Index = document(&entry.digest.to_string(), entry, &layout.read(entry)?)?;
            return Ok(Visit::Enter(index.manifests));
        }
        if let Some(spec) = entry.platform.as_ref().filter(|spec| !wanted.has(spec)) {
            found.skipped.push(Wanted::left_out(spec));
            return Ok(Visit::Next);
        }
        if !entry.is_manifest() {
            let what = format!("{} has the unknown media type '{}'", entry.digest, entry.media_type);
            return Err(Fault::gate(what).into());
        }
        match image(layout, entry).with_context(|| format!("manifest {}", entry.digest))? {
            Some(image) if !wanted.has(&image.platform) => {
                found.skipped.push(Wanted::left_out(&image.platform));
            }
            Some(_) if found.images.len() == MAX_IMAGES => {
                let what =
                    format!("the image has more than {MAX_IMAGES} platforms; name some with --platform");
                return Err(Fault::gate(what).into());
            }
            Some(image) => found.images.push(Image { top: direct.contains(&entry.digest), ..image }),
            None if entry.platform.is_some() => {
                let what = format!("{} has a platform, but its config is not an image config", entry.digest);
                return Err(Fault::gate(what).into());
            }
            None => found.skipped.push(format!("{}: not an image", entry.digest)),
        }
        Ok(Visit::Next)
    })?;
    if found.images.is_empty() {
        return Err(Fault::gate(wanted.none()).at(layout.dir().display()).into());
    }
    Ok(found)
}

/// Whether an entry is an attestation, as BuildKit marks them. Container engines run none: it has neither a platform
/// nor a name.
pub(super) fn is_attestation(entry: &Descriptor) -> bool {
    let kind = entry.annotations.get("vnd.docker.reference.type");
    let platform = entry.platform.as_ref();
    kind.is_some_and(|kind| kind == "attestation-manifest")
        && platform.is_some_and(|on| on.os == "unknown" && on.architecture == "unknown")
        && !entry.annotations.contains_key("org.opencontainers.image.ref.name")
}

/// Parses an index or a manifest. A document that is both, or that contradicts its entry's media type, is refused.
pub(super) fn document<T: DeserializeOwned>(what: &str, entry: &Descriptor, bytes: &[u8]) -> Result<T> {
    let not_one = || Fault::gate(format!("not a document of the type {}", entry.media_type));
    let value: Value = oci::from_bytes(what, bytes).with_context(not_one)?;
    let has = |key: &str| value.get(key).is_some();
    if has("manifests") && (has("config") || has("layers")) {
        return Err(Fault::gate(format!("{what} is both an index and an image manifest")).into());
    }
    if value.get("mediaType").is_some_and(|own| *own != *entry.media_type) {
        return Err(Fault::gate(format!("{what} has another media type than the index says")).into());
    }
    oci::from_bytes(what, bytes).with_context(not_one)
}

/// Reads the image of a manifest; none where the manifest is not an image's.
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
        let what = format!("the index lists it for {claimed}, but its config says {platform}");
        return Err(Fault::failed(what).into());
    }
    if manifest.layers.len() > MAX_LAYERS {
        let what = format!("it has {} layers; the limit is {MAX_LAYERS}", manifest.layers.len());
        return Err(Fault::gate(what).into());
    }
    let diff_ids: Vec<Digest> = match config.pointer("/rootfs/diff_ids") {
        Some(list) => serde_json::from_value(list.clone()).context("rootfs.diff_ids of the config")?,
        None => Vec::new(),
    };
    if diff_ids.len() != manifest.layers.len() {
        let what =
            format!("its config has {} layers, its manifest {}", diff_ids.len(), manifest.layers.len());
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
