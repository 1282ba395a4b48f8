//! Copies an image from one repository into another: the same bytes under the same digests, with its referrers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::record::names_promotions;
use super::subject_of;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::oci::{self, Descriptor, Index, Manifest};
use oci_image::walk::{Visit, walk};
use oci_registry::{Client, Reference};

/// Suffixes of cosign's tags `sha256-<hex>.…` for signatures, attestations and bills of materials (cosign,
/// SIGNATURE_SPEC.md), which are not referrers.
const OF_COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// A copy.
pub struct Copy<'a> {
    /// The client, for both registries.
    pub client: &'a Client,
    /// The source.
    pub from: &'a Reference,
    /// The destination.
    pub to: &'a Reference,
    /// A folder for blobs that pass through this machine.
    pub folder: &'a Path,
    /// Bytes of the blobs that were sent; mounted and present blobs do not count.
    pub sent: u64,
    /// The number of copied manifests that refer to the image or to parts of it.
    pub referrers: usize,
}

impl Copy<'_> {
    /// Copies the image, its referrers, their referrers and so on. An image that a referrer lists is copied without
    /// its referrers: anybody can list another image there. Not copied: records of promotions, which are about the
    /// repository that they are in.
    pub fn image(&mut self, digest: &Digest) -> Result<()> {
        let mut subjects = Vec::new();
        let top = self.below(digest, &mut subjects)?;
        self.must_be_plain(&top)?;
        self.put(&top)?;
        let mut seen: BTreeSet<Digest> = subjects.iter().copied().collect();
        while let Some(subject) = subjects.pop() {
            for referrer in self.client.referrers(self.from, &subject, None)? {
                // A list under a tag may name anything, also manifests that were deleted.
                let refers = |manifest: oci_registry::Manifest| {
                    subject_of(&manifest.bytes) == Some(subject) && !names_promotions(&manifest.bytes)
                };
                let at = self.from.with_digest(referrer.digest);
                if !seen.insert(referrer.digest) || !self.client.manifest_if_any(&at)?.is_some_and(refers) {
                    continue;
                }
                let manifest = self.below(&referrer.digest, &mut Vec::new())?;
                self.client.put_referrer(self.to, &manifest.bytes, &manifest.media_type)?;
                self.referrers += 1;
                subjects.push(referrer.digest);
            }
            for kind in OF_COSIGN {
                self.tagged(&format!("sha256-{}.{kind}", subject.hex()))?;
            }
        }
        Ok(())
    }

    /// Copies everything below a manifest, and returns the manifest, which the caller puts last. Adds the digests of
    /// all these manifests to `all`.
    fn below(&mut self, digest: &Digest, all: &mut Vec<Digest>) -> Result<oci_registry::Manifest> {
        let mut manifests = Vec::new();
        let top = Descriptor { digest: *digest, ..Descriptor::of("", b"") };
        let place = self.from.with_digest(*digest);
        walk(&place, vec![top], 0, |entry| {
            let manifest = self.client.manifest(&self.from.with_digest(entry.digest))?;
            all.push(entry.digest);
            let mut entries = Vec::new();
            if oci::is_index(&manifest.media_type) {
                let index: Index = oci::from_bytes(&entry.digest.to_string(), &manifest.bytes)?;
                entries = index.manifests;
            } else {
                self.blobs(&manifest)?;
            }
            manifests.push(manifest);
            Ok(Visit::Enter(entries))
        })?;
        // A registry accepts an index after what it lists.
        for manifest in manifests.drain(1..).rev() {
            self.must_be_plain(&manifest)?;
            self.put(&manifest)?;
        }
        manifests.pop().context("the walk visits the first manifest")
    }

    /// Refuses a part of an image that is a record of a promotion.
    fn must_be_plain(&self, manifest: &oci_registry::Manifest) -> Result<(), Fault> {
        if !names_promotions(&manifest.bytes) {
            return Ok(());
        }
        Err(Fault::gate("the image contains a record of a promotion")
            .at(self.from.with_digest(manifest.digest))
            .hint("only promotions write records: find out who pushed this manifest"))
    }

    /// Copies one of cosign's tags. The destination may have more signatures: those stay if it has all of the source.
    fn tagged(&mut self, tag: &str) -> Result<()> {
        let (from, to) = (self.from.with_tag(tag)?, self.to.with_tag(tag)?);
        let Some(head) = self.client.head_manifest(&from)? else { return Ok(()) };
        let manifest = self.below(&head.digest, &mut Vec::new())?;
        if names_promotions(&manifest.bytes) {
            return Ok(());
        }
        let layers = |manifest: &oci_registry::Manifest| -> BTreeSet<Digest> {
            let image = serde_json::from_slice::<Manifest>(&manifest.bytes);
            image
                .map_or_else(|_| BTreeSet::new(), |image| image.layers.iter().map(|one| one.digest).collect())
        };
        let there = self.client.manifest_if_any(&to)?;
        if !there.is_some_and(|there| {
            there.digest == manifest.digest || layers(&there).is_superset(&layers(&manifest))
        }) {
            self.client.put_manifest(&to, &manifest.bytes, &manifest.media_type)?;
        }
        self.referrers += 1;
        Ok(())
    }

    fn put(&self, manifest: &oci_registry::Manifest) -> Result<()> {
        let at = self.to.with_digest(manifest.digest);
        if self.client.head_manifest(&at)?.is_none() {
            self.client.put_manifest(&at, &manifest.bytes, &manifest.media_type)?;
        }
        Ok(())
    }

    fn blobs(&mut self, manifest: &oci_registry::Manifest) -> Result<()> {
        let image: Manifest = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        for blob in image.layers.iter().chain([&image.config]) {
            let (client, digest) = (self.client, &blob.digest);
            if !client.has_blob(self.to, digest)? && !client.mount_blob(self.to, self.from, digest)? {
                self.blob(blob).with_context(|| format!("copy {digest}"))?;
                self.sent += blob.size;
            }
        }
        Ok(())
    }

    fn blob(&self, blob: &Descriptor) -> Result<()> {
        fs::create_dir_all(self.folder).with_context(|| self.folder.display().to_string())?;
        let path = self.folder.join(blob.digest.hex());
        let at = || path.display().to_string();
        let mut file = BufWriter::new(File::create(&path).with_context(at)?);
        self.client.blob(self.from, &blob.digest, blob.size, &mut file, &|_| ())?;
        file.flush().with_context(at)?;
        let mut open = || -> io::Result<Box<dyn Read>> { Ok(Box::new(BufReader::new(File::open(&path)?))) };
        self.client.push_blob(self.to, &mut open, &blob.digest, blob.size, &|_| ())?;
        fs::remove_file(&path).with_context(at)
    }
}
