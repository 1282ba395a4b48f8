//! Pushes blobs in parallel; skips those that the repository has, and mounts those of another repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;

use super::attach::push_missing;
use super::image_bundle::ImageBundle;
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use cli_support::threads::at_once;
use cli_support::ui::Progress;
use oci_image::oci::Descriptor;
use oci_registry::{Client, OpenUpload, Pushed, Reference};
use rust_workspace::settings::Bytes;

/// Counts of blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// All blobs.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were sent.
    pub new: usize,
    /// Their bytes.
    pub bytes_new: u64,
    /// Blobs that were mounted from another repository.
    pub mounted: usize,
}

impl Sent {
    /// Counts a blob.
    fn add(&mut self, size: u64, pushed: Pushed) {
        self.blobs += 1;
        self.bytes += size;
        if pushed == Pushed::Sent {
            self.new += 1;
            self.bytes_new += size;
        }
    }
}

/// A blob that the repository may need.
enum Item<'a> {
    Blob(&'a Descriptor),
    Document(&'a [u8]),
}

/// The blobs that the repository has.
#[derive(Clone, Copy, Debug)]
pub struct RegistryBlobs<'a> {
    /// Those that it has.
    pub there: &'a BTreeSet<Digest>,
    /// Uploads that are open for others.
    pub opened: &'a BTreeMap<Digest, OpenUpload>,
}

/// Pushes every blob, of the image and of documents, that the repository `to` does not have. `from` is a repository of the same registry that may have some of the others.
pub fn send(
    client: &Client,
    to: &Reference,
    from: Option<&Reference>,
    bundle: &ImageBundle,
    documents: &[&[u8]],
    blobs_there: RegistryBlobs<'_>,
    progress: &Progress,
) -> Result<Sent> {
    let RegistryBlobs { there, opened } = blobs_there;
    let total = bundle.bytes();
    let moved = AtomicU64::new(0);
    let items = bundle.blobs.iter().map(Item::Blob);
    let items = items.chain(documents.iter().map(|bytes| Item::Document(bytes)));
    let came = at_once(&items.collect::<Vec<_>>(), |item| match item {
        Item::Blob(blob) if there.contains(&blob.digest) => Ok((blob.size, Some(Pushed::Present))),
        Item::Blob(blob) => {
            let told = AtomicU64::new(0);
            let note = |bytes: u64| {
                // A blob that is sent again starts at 0.
                let before = told.swap(bytes, Ordering::Relaxed);
                let all = moved.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
                progress.detail(&format!("{} of {}", Bytes(all.min(total)), Bytes(total)));
            };
            Ok((blob.size, send_one(client, to, from, bundle, blob, opened.get(&blob.digest), &note)?))
        }
        Item::Document(bytes) => {
            let digest = Digest::of(bytes);
            let pushed = if there.contains(&digest) {
                Pushed::Present
            } else {
                push_missing(client, to, bytes, opened.get(&digest).cloned())?
            };
            Ok((bytes.len() as u64, Some(pushed)))
        }
    })?;
    let mut sent = Sent::default();
    for (size, pushed) in came {
        sent.add(size, pushed.unwrap_or(Pushed::Present));
        sent.mounted += usize::from(pushed.is_none());
    }
    Ok(sent)
}

/// Pushes one blob; none if it was mounted.
fn send_one(
    client: &Client,
    to: &Reference,
    from: Option<&Reference>,
    bundle: &ImageBundle,
    blob: &Descriptor,
    opened: Option<&OpenUpload>,
    note: &dyn Fn(u64),
) -> Result<Option<Pushed>> {
    if let Some(from) = from
        && client.mount_blob(to, from, &blob.digest)?
    {
        return Ok(None);
    }
    let path = bundle.layout.blob_path(&blob.digest);
    let changed = Arc::new(AtomicBool::new(false));
    let mut open = || -> io::Result<Box<dyn Read>> {
        let file = BufReader::with_capacity(1 << 18, File::open(&path)?);
        Ok(Box::new(Verified::new(file, blob, &changed)))
    };
    let pushed = client.push_missing_blob(to, &mut open, &blob.digest, blob.size, note, opened.cloned());
    pushed.map(Some).map_err(|error| {
        if !changed.load(Ordering::Relaxed) {
            return error;
        }
        let what =
            format!("the blob no longer has the digest {}: it was changed after the build", blob.digest);
        let hint = "no tag was written; build and scan the image again: cargo xtask image --platform all";
        Fault::gate(what).at(path.display()).hint(hint).into()
    })
}

/// The bytes of a blob, checked against its digest while they are read. The last bytes are returned only if all are
/// right, so the registry never gets a complete blob that was not scanned.
struct Verified<R> {
    inner: R,
    left: u64,
    hasher: Option<Hasher>,
    digest: Digest,
    changed: Arc<AtomicBool>,
}

impl<R: Read> Verified<R> {
    fn new(inner: R, blob: &Descriptor, changed: &Arc<AtomicBool>) -> Self {
        let (hasher, changed) = (Some(Hasher::new()), Arc::clone(changed));
        Self { inner, left: blob.size, hasher, digest: blob.digest, changed }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.inner.read(&mut buffer[..most])?;
        if let Some(hasher) = &mut self.hasher {
            hasher.write_all(&buffer[..read])?;
        }
        self.left -= read as u64;
        let ended = self.left == 0 || read == 0 && !buffer.is_empty();
        if ended && self.hasher.take().is_some_and(|hasher| hasher.finish().0 != self.digest) {
            self.changed.store(true, Ordering::Relaxed);
            return Err(io::Error::other(format!("the blob does not have the digest {}", self.digest)));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_others_are_not_given_to_the_end() {
        let blob = Descriptor::of("layer", b"scanned");
        for (bytes, right) in [
            (&b"scanned"[..], true),
            (b"scanned and more", true),
            (b"changed", false),
            (b"scan", false),
            (b"", false),
        ] {
            let changed = Arc::new(AtomicBool::new(false));
            let mut read = Vec::new();
            // In pieces, as a connection takes them.
            let mut verified = Verified::new(io::BufReader::with_capacity(3, bytes), &blob, &changed);
            let ended = verified.read_to_end(&mut read);
            assert_eq!((ended.is_ok(), changed.load(Ordering::Relaxed)), (right, !right), "{bytes:?}");
            assert!(read == b"scanned" || !right && read.len() < 7, "{read:?}");
        }
        let empty = Descriptor::of("layer", b"");
        let changed = Arc::new(AtomicBool::new(false));
        assert_eq!(Verified::new(&b""[..], &empty, &changed).read(&mut [0; 4]).unwrap(), 0);
    }
}
