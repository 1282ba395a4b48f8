//! Checks that an image is complete.

use std::io::{self, Write};

use anyhow::{Context as _, Result};

use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::oci::{self, Annotations, Index, Manifest};
use oci_registry::{Client, Reference, Sink};
use rust_workspace::settings::Bytes;

/// Discards bytes after their digest was computed.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Nowhere {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pulls everything and checks all digests. Returns the amount, and the annotations of the index.
pub(super) fn whole(client: &Client, at: &Reference, digest: &Digest) -> Result<(String, Annotations)> {
    let top = client.manifest(&at.with_digest(*digest))?;
    let mut manifests = vec![top.clone()];
    let mut annotations = Annotations::new();
    if oci::is_index(&top.media_type) {
        let index: Index = oci::from_bytes(&digest.to_string(), &top.bytes)?;
        annotations = index.annotations;
        if index.manifests.is_empty() {
            return Err(Fault::failed("the index lists no image").into());
        }
        manifests.clear();
        for entry in &index.manifests {
            let what = entry.platform.as_ref().map_or_else(|| entry.digest.to_string(), ToString::to_string);
            manifests.push(client.manifest(&at.with_digest(entry.digest)).context(what)?);
        }
    }
    let (mut bytes, count) = (0, manifests.len());
    for manifest in manifests {
        let image: Manifest = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        for blob in image.layers.iter().chain([&image.config]) {
            client.blob(at, &blob.digest, blob.size, &mut Nowhere, &|_| ())?;
            bytes += blob.size;
        }
    }
    Ok((format!("{count} platforms, {} with valid digests", Bytes(bytes)), annotations))
}
