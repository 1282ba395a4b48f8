//! Layers that need not be compressed again.
//!
//! Compressing is most of a run in which nothing changed. A file in the layout that is no part of the image says
//! which blob each layer's tar became, and by which build of this program: another build might compress in another
//! way, and the same source must give the same digest.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::layer::Layer;
use cli_support::digest::Digest;
use oci_image::layout::Layout;
use oci_image::oci::{Annotations, Descriptor, LAYER_GZIP};

/// What each tar became.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LayerCache {
    by: String,
    layers: BTreeMap<String, (Digest, u64)>,
}

impl LayerCache {
    /// What the layout remembers, if this very program wrote it.
    pub fn read(layout: &Layout) -> Self {
        let known = layout.notes().and_then(|text| serde_json::from_str::<Self>(&text).ok());
        known.filter(|known| Some(&known.by) == this_program().as_ref()).unwrap_or_default()
    }

    /// The compressed layer of this tar, where it is still there with the right bytes.
    pub fn find(&self, layout: &Layout, diff_id: &Digest) -> Option<Descriptor> {
        let (digest, size) = *self.layers.get(&diff_id.to_string())?;
        let (media_type, annotations) = (LAYER_GZIP.to_owned(), Annotations::new());
        let descriptor = Descriptor { media_type, digest, size, platform: None, annotations };
        layout.has_intact(&descriptor).then_some(descriptor)
    }

    /// Notes these layers in the layout.
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

/// This build of the program: its file's length and time.
fn this_program() -> Option<String> {
    let meta = std::env::current_exe().ok()?.metadata().ok()?;
    let time = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{}-{}", meta.len(), time.as_nanos()))
}
