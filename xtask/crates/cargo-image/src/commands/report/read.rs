//! Reads the sizes and the crates of an image.

use anyhow::Result;

use super::data::{CrateRow, FileSize, LayerSizes, PlatformSizes};
use image_scan::engines::builtin::licence::Licences;
use image_scan::image::inventory;
use image_scan::image::layer::{self, Limits};
use image_scan::image::platforms::Image;
use image_scan::image::tar_entries::EntryKind;
use oci_image::layout::Layout;

/// The sizes of one platform's image.
pub fn platform(layout: &Layout, image: &Image, licences: &Licences) -> Result<PlatformSizes> {
    let mut layers = Vec::new();
    for (descriptor, diff_id) in image.layers.iter().zip(&image.diff_ids) {
        let mut files = Vec::new();
        layer::read(layout.blob(&descriptor.digest)?, descriptor, diff_id, Limits::default(), |entry, _| {
            if entry.kind == EntryKind::File {
                files.push(FileSize { path: format!("/{}", entry.path), bytes: entry.size });
            }
            Ok(())
        })?;
        files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        layers.push(LayerSizes { digest: descriptor.digest, compressed_bytes: descriptor.size, files });
    }
    let inventory = inventory::read(layout, image)?;
    let program = inventory.audited().next().map(|(program, _)| program.path.clone());
    let mut crates = Vec::new();
    for (_, audit) in inventory.audited() {
        let paths = audit.paths();
        for (place, one) in audit.packages.iter().enumerate() {
            if !audit.linked().any(|linked| std::ptr::eq(linked, one)) {
                continue;
            }
            let (name, version) = (one.name.clone(), one.version.to_string());
            let known = licences.get(&(name.clone(), version.clone()));
            let licence = known.and_then(|known| known.license.clone());
            crates.push(CrateRow { name, version, licence, path: paths.to(place) });
        }
    }
    crates.sort();
    crates.dedup_by(|a, b| (&a.name, &a.version) == (&b.name, &b.version));
    Ok(PlatformSizes {
        platform: image.platform.to_string(),
        manifest: image.digest,
        compressed_bytes: image.layers.iter().map(|layer| layer.size).sum(),
        unpacked_bytes: layers.iter().flat_map(|layer| &layer.files).map(|file| file.bytes).sum(),
        layers,
        program,
        crates,
        code: None,
    })
}
