//! Assembles an image: layers, configuration and manifest of each platform, and the index.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::base::Base;
use super::config::{Runtime, config};
use super::layer::{Layer, Tree};
use super::layer_cache::LayerCache;
use cli_support::digest::Digest;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, MANIFEST, Manifest};
use oci_image::platform::Platform;

/// The properties that all platforms share.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The settings of the container.
    pub runtime: Runtime,
    /// Labels of the configuration; annotations of manifest and index.
    pub labels: Annotations,
    /// The time of creation (RFC 3339).
    pub created: String,
    /// The full name in `index.json`: registry, repository and tag.
    pub name: String,
}

/// The files that a platform adds to its base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The lowest layer: files that an operating system would have.
    pub system: Tree,
    /// The layer above it: files that seldom change.
    pub files: Tree,
    /// The upper layer: the binary.
    pub binary: Tree,
}

/// One platform's image.
#[derive(Debug, Clone, Serialize)]
pub struct Made {
    /// The platform.
    pub platform: Platform,
    /// Its manifest's digest.
    pub manifest: Digest,
    /// Its configuration's digest.
    pub config: Digest,
    /// The digests of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// The size of a pull in bytes: layers and configuration.
    pub compressed_bytes: u64,
    /// The size of the uncompressed layers in bytes.
    pub unpacked_bytes: u64,
}

/// An image of several platforms.
#[derive(Debug, Clone)]
pub struct Image {
    /// The image's digest: that of its index, or of its only manifest.
    pub digest: Digest,
    /// Its platforms.
    pub platforms: Vec<Made>,
    /// `index.json` for the layout.
    pub index: Index,
}

/// Writes the blobs of the image to `layout`. `index.json` is not changed.
pub fn assemble(
    layout: &Layout,
    base: &Base,
    content: &BTreeMap<Platform, Content>,
    recipe: &Recipe,
) -> Result<Image> {
    let known = LayerCache::read(layout);
    let packed = std::thread::scope(|scope| {
        let threads: Vec<_> = content
            .iter()
            .map(|(&platform, content)| (platform, scope.spawn(|| pack(layout, base, content, &known))))
            .collect();
        threads
            .into_iter()
            .map(|(platform, thread)| match thread.join() {
                Ok(layers) => layers.map(|layers| (platform, layers)),
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect::<Result<Vec<_>>>()
    })?;
    let mut platforms = Vec::new();
    let mut manifests = Vec::new();
    LayerCache::note(packed.iter().flat_map(|(_, layers)| layers), layout)?;
    for (platform, layers) in packed {
        let (made, manifest) = describe(layout, platform, base, &layers, recipe)?;
        platforms.push(made);
        manifests.push(manifest);
    }
    // One entry: readers of layouts refuse several, or take the first.
    let top = oci::top_of(manifests, |manifests| {
        layout.put(oci::INDEX, &oci::to_bytes(&Index::new(manifests, recipe.labels.clone()))?)
    })?;
    let digest = top.digest;
    let index = Index::new(vec![top.named(&recipe.name)], Annotations::new());
    Ok(Image { digest, platforms, index })
}

fn pack(layout: &Layout, base: &Base, content: &Content, known: &LayerCache) -> Result<Vec<Layer>> {
    let directories = base.digest.is_none();
    let trees = [
        (&content.system, "cargo xtask image: system files"),
        (&content.files, "cargo xtask image: files"),
        (&content.binary, "cargo xtask image: binary"),
    ];
    let filled = trees.into_iter().filter(|(tree, _)| !tree.is_empty());
    filled.map(|(tree, made_by)| tree.pack(layout, directories, made_by, known)).collect()
}

fn describe(
    layout: &Layout,
    platform: Platform,
    base: &Base,
    layers: &[Layer],
    recipe: &Recipe,
) -> Result<(Made, Descriptor)> {
    let nothing = super::config::Below::default();
    let below = base.below.get(&platform).unwrap_or(&nothing);
    let bytes = config(platform, below, layers, &recipe.runtime, &recipe.labels, &recipe.created)?;
    let config = layout.put(oci::CONFIG, &bytes)?;
    let all: Vec<_> =
        below.layers.iter().chain(layers.iter().map(|layer| &layer.descriptor)).cloned().collect();
    let mut unpacked: u64 = layers.iter().map(|layer| layer.unpacked).sum();
    for layer in &below.layers {
        unpacked += unpacked_size(layout, layer)?;
    }
    let made = Made {
        platform,
        manifest: config.digest,
        config: config.digest,
        layers: all.iter().map(|layer| layer.digest).collect(),
        compressed_bytes: config.size + all.iter().map(|layer| layer.size).sum::<u64>(),
        unpacked_bytes: unpacked,
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config,
        layers: all,
        annotations: recipe.labels.clone(),
    };
    let mut descriptor = layout.put(MANIFEST, &oci::to_bytes(&manifest)?)?;
    descriptor.platform = Some(platform.into());
    Ok((Made { manifest: descriptor.digest, ..made }, descriptor))
}

/// The uncompressed size of a base image's layer: of a gzip layer from its last bytes (RFC 1952, ISIZE, modulo 2^32), of
/// another the blob's size.
fn unpacked_size(layout: &Layout, layer: &Descriptor) -> Result<u64> {
    if !layer.media_type.ends_with("gzip") || layer.size < 4 {
        return Ok(layer.size);
    }
    let mut file = layout.blob(&layer.digest)?;
    let mut size = [0; 4];
    file.seek(SeekFrom::End(-4)).and_then(|_| file.read_exact(&mut size)).context("the end of a layer")?;
    Ok(u32::from_le_bytes(size).into())
}
