//! A cache of compressed layers.
//!
//! Compression takes most of the time of a run without changes. The layout's file `.xtask.json`, which is not part of the
//! image, maps the digest of each tar to its blob. The cache is valid only for the program that wrote it: another build
//! could compress differently, and the digest of the image must depend on the source alone.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::layer::Layer;
use cli_support::digest::Digest;
use oci_image::layout::Layout;
use oci_image::oci::{Annotations, Descriptor, LAYER_GZIP};

/// The blobs of layers by the digest of their tar.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LayerCache {
    by: String,
    layers: BTreeMap<String, (Digest, u64)>,
}

impl LayerCache {
    /// Reads the cache of the layout; empty if another program wrote it.
    pub fn read(layout: &Layout) -> Self {
        let known = layout.notes().and_then(|text| serde_json::from_str::<Self>(&text).ok());
        known.filter(|known| Some(&known.by) == this_program().as_ref()).unwrap_or_default()
    }

    /// The compressed layer of a tar, if its blob is intact.
    pub fn find(&self, layout: &Layout, diff_id: &Digest) -> Option<Descriptor> {
        let (digest, size) = *self.layers.get(&diff_id.to_string())?;
        let (media_type, annotations) = (LAYER_GZIP.to_owned(), Annotations::new());
        let descriptor = Descriptor { media_type, digest, size, platform: None, annotations };
        layout.has_intact(&descriptor).then_some(descriptor)
    }

    /// Writes these layers to the cache.
    pub fn note<'a>(layers: impl Iterator<Item = &'a Layer>, layout: &Layout) -> Result<()> {
        let layers =
            layers.map(|layer| (layer.diff_id.to_string(), (layer.descriptor.digest, layer.descriptor.size)));
        if let Some(by) = this_program()
            && let Ok(text) = serde_json::to_string(&Self { by, layers: layers.collect() })
        {
            layout.note(&text)?;
        }
        Ok(())
    }
}

/// Identifies this program by the size and time of its file.
fn this_program() -> Option<String> {
    let meta = std::env::current_exe().ok()?.metadata().ok()?;
    let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}-{}", meta.len(), time.as_nanos()))
}
