//! The content of an image to publish: its index, manifests and blobs.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, Manifest, PlatformSpec};
use oci_image::platform::Platform;

/// A complete image in a layout.
#[derive(Debug, Clone)]
pub struct ImageBundle {
    /// The layout.
    pub layout: Layout,
    /// The image index, or the only manifest of a layout without an index.
    pub top: Descriptor,
    /// The manifests below the index.
    pub manifests: Vec<Descriptor>,
    /// Configurations and layers, each once, the largest first.
    pub blobs: Vec<Descriptor>,
    /// The platforms, by the index or else by the configurations.
    pub platforms: Vec<PlatformSpec>,
    /// The annotations of the top.
    pub annotations: Annotations,
}

impl ImageBundle {
    /// Reads the layout at `dir`. An error if a blob is missing or incomplete.
    pub fn read(dir: &Path) -> Result<Self> {
        let layout = Layout::open(dir)?;
        let entries = layout.index()?.manifests;
        let top = match (entries.iter().find(|entry| entry.is_index()), &entries[..]) {
            (Some(index), _) => index.clone(),
            (None, [only]) if only.is_manifest() => only.clone(),
            _ => {
                return Err(Fault::failed("the layout has neither an image index nor a single manifest")
                    .at(dir.display())
                    .hint("cargo xtask image --platform all")
                    .into());
            }
        };
        layout.reachable(&Index::new(vec![top.clone()], Annotations::new()))?;
        let what = top.digest.to_string();
        let (manifests, annotations) = if top.is_index() {
            let index: Index = oci::from_bytes(&what, &layout.read(&top)?)?;
            (index.manifests, index.annotations)
        } else {
            (Vec::new(), oci::from_bytes::<Manifest>(&what, &layout.read(&top)?)?.annotations)
        };
        let (mut blobs, mut platforms) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for entry in manifests.iter().chain((!top.is_index()).then_some(&top)) {
            if !entry.is_manifest() {
                bail!(
                    Fault::failed(format!(
                        "the index lists an entry that is not an image: {}",
                        entry.media_type
                    ))
                    .at(dir.display())
                );
            }
            let manifest: Manifest = oci::from_bytes(&entry.digest.to_string(), &layout.read(entry)?)?;
            let configured = || oci::from_bytes("the config", &layout.read(&manifest.config).ok()?).ok();
            platforms.extend(entry.platform.clone().or_else(configured));
            let blobs_of = manifest.layers.into_iter().chain([manifest.config]);
            blobs.extend(blobs_of.filter(|blob| seen.insert(blob.digest)));
        }
        blobs.sort_by_key(|blob| (std::cmp::Reverse(blob.size), blob.digest));
        Ok(Self { layout, top, manifests, blobs, platforms, annotations })
    }

    /// The image's digest.
    pub fn digest(&self) -> Digest {
        self.top.digest
    }

    /// The manifests of its images: those below the index, or the top itself.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().chain((!self.top.is_index()).then_some(&self.top))
    }

    /// The platforms of `wanted` that it does not have.
    pub fn lacks(&self, wanted: &[Platform]) -> Vec<Platform> {
        let has = |platform: Platform| self.platforms.iter().any(|spec| spec.is(platform));
        wanted.iter().copied().filter(|platform| !has(*platform)).collect()
    }

    /// The sizes of its blobs, in bytes.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).sum()
    }

    /// An annotation of the image-spec by the end of its key, such as `version`.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.annotations.get(&format!("org.opencontainers.image.{name}")).map(String::as_str)
    }
}
