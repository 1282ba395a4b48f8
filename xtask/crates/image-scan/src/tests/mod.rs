//! Whole images through the reader: made here byte by byte, honest and hostile.

mod hostile;
mod overlooking;
mod seeing;
mod starting;
mod strict;

#[path = "../../../rust-workspace/src/audit/sample.rs"]
mod sample;

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tar::EntryType;

use sample::elf;

use super::inventory::{self, Inventory};
use super::platforms;
use cli_support::digest::Digest;
use oci_image::layout::Layout;
use oci_image::oci::{self, Annotations, Descriptor, Index, LAYER_GZIP, MANIFEST, Manifest, PlatformSpec};
use rust_workspace::audit::Audit;

const TREE: &str = "0 app v0.1.0 (/ws)\n1 h2 v0.3.0\n2 bytes v1.0.0\n1 bytes v1.0.0\n";

/// A program that says what is in it.
fn program() -> Vec<u8> {
    Audit::of_tree(TREE).unwrap().put_into(&elf()).unwrap()
}

/// A tar, entry by entry, names as they are.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, kind: EntryType, path: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", mode, content)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A layer's blob, the digest of its tar, and what stands in the manifest.
struct Packed {
    descriptor: Descriptor,
    diff_id: Digest,
}

fn pack(layout: &Layout, tar: &[u8]) -> Packed {
    Packed { descriptor: layout.put(LAYER_GZIP, &gzip(tar)).unwrap(), diff_id: Digest::of(tar) }
}

/// One platform's manifest over these layers.
fn image(layout: &Layout, arch: &str, layers: &[Packed]) -> Descriptor {
    let ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let config = json!({
        "os": "linux", "architecture": arch,
        "config": { "User": "65532", "Entrypoint": ["/bin/app"], "Healthcheck": { "Test": ["CMD", "/bin/app"] } },
        "rootfs": { "type": "layers", "diff_ids": ids },
    });
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config: layout.put(oci::CONFIG, &oci::to_bytes(&config).unwrap()).unwrap(),
        layers: layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        annotations: Annotations::new(),
    };
    layout.put(MANIFEST, &oci::to_bytes(&manifest).unwrap()).unwrap()
}

fn publish(layout: &Layout, manifests: Vec<Descriptor>) {
    let index = Index::new(manifests, Annotations::new());
    std::fs::write(layout.dir().join("index.json"), oci::to_bytes(&index).unwrap()).unwrap();
}

/// The inventories of all platforms, or the whole error.
fn look(dir: &Path) -> Result<Vec<Inventory>, String> {
    let layout = Layout::open(dir).map_err(|error| format!("{error:#}"))?;
    let found =
        platforms::find(&layout, None, platforms::Wanted::default()).map_err(|error| format!("{error:#}"))?;
    let taken = found.images.iter().map(|image| inventory::take(&layout, image));
    taken.collect::<anyhow::Result<_>>().map_err(|error| format!("{error:#}"))
}
