//! An image from one repository into another: the same bytes under the same digests, with all that refers
//! to it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::digest::Digest;
use crate::image::oci::{self, Descriptor, Index, Manifest};
use crate::registry::{self, Client, Reference};

/// One copy on its way.
pub struct Copy<'a> {
    /// The client, for both registries.
    pub client: &'a Client,
    /// Where the image is.
    pub from: &'a Reference,
    /// Where it is wanted.
    pub to: &'a Reference,
    /// A folder for blobs between two registries.
    pub folder: &'a Path,
}

impl Copy<'_> {
    /// Copies the image and its referrers, and those of its platforms. Gives the bytes of blobs that were
    /// sent; what is mounted or there is not.
    pub fn image(&self, digest: &Digest) -> Result<u64> {
        let top = self.client.manifest(&self.from.with_digest(*digest))?;
        let mut sent = 0;
        let mut subjects = vec![*digest];
        if oci::is_index(&top.media_type) {
            let index: Index = oci::from_bytes(&digest.to_string(), &top.bytes)?;
            for entry in &index.manifests {
                let manifest = self.client.manifest(&self.from.with_digest(entry.digest))?;
                sent += self.blobs(&manifest)?;
                self.put(&manifest)?;
                subjects.push(entry.digest);
            }
        } else {
            sent += self.blobs(&top)?;
        }
        self.put(&top)?;
        for subject in subjects {
            for referrer in self.client.referrers(self.from, &subject, None)? {
                let manifest = self.client.manifest(&self.from.with_digest(referrer.digest))?;
                sent += self.blobs(&manifest)?;
                self.client.put_referrer(self.to, &manifest.bytes, &manifest.media_type)?;
            }
        }
        Ok(sent)
    }

    fn put(&self, manifest: &registry::Manifest) -> Result<()> {
        let at = self.to.with_digest(manifest.digest);
        if self.client.head_manifest(&at)?.is_none() {
            self.client.put_manifest(&at, &manifest.bytes, &manifest.media_type)?;
        }
        Ok(())
    }

    fn blobs(&self, manifest: &registry::Manifest) -> Result<u64> {
        let image: Manifest = oci::from_bytes(&manifest.digest.to_string(), &manifest.bytes)?;
        let mut sent = 0;
        for blob in image.layers.iter().chain([&image.config]) {
            let (client, digest) = (self.client, &blob.digest);
            if !client.has_blob(self.to, digest)? && !client.mount_blob(self.to, self.from, digest)? {
                self.blob(blob).with_context(|| format!("copy {digest}"))?;
                sent += blob.size;
            }
        }
        Ok(sent)
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
