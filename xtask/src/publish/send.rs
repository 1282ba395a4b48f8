//! Blobs into a registry: several at once, what is there skipped, what another repository has mounted.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;

use super::parcel::Parcel;
use crate::image::oci::Descriptor;
use crate::registry::{Client, Pushed, Reference};
use crate::settings::Bytes;
use crate::ui::Progress;

/// Blobs that are on their way at the same time: enough to fill a line, few enough for every registry.
const AT_ONCE: usize = 4;

/// What sending came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blobs in all.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that were sent.
    pub new: usize,
    /// The bytes of those.
    pub bytes_new: u64,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: usize,
}

impl Sent {
    /// Counts one more blob.
    pub fn add(&mut self, size: u64, pushed: Pushed) {
        self.blobs += 1;
        self.bytes += size;
        if pushed == Pushed::Sent {
            self.new += 1;
            self.bytes_new += size;
        }
    }
}

/// Sees to it that the repository `to` has every blob. `from` is a repository of the same registry that
/// is likely to have some of them.
pub fn send(
    client: &Client,
    to: &Reference,
    from: Option<&Reference>,
    parcel: &Parcel,
    progress: &Progress,
) -> Result<Sent> {
    let total = parcel.bytes();
    let moved = AtomicU64::new(0);
    let next = AtomicUsize::new(0);
    let outcome = Mutex::new((Sent::default(), None::<anyhow::Error>));
    let work = || {
        loop {
            let Some(blob) = parcel.blobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let told = AtomicU64::new(0);
            let note = |bytes: u64| {
                // A blob that is sent again counts from its start once more.
                let before = told.swap(bytes, Ordering::Relaxed);
                let all = moved.fetch_add(bytes.saturating_sub(before), Ordering::Relaxed);
                progress.detail(&format!("{} of {}", Bytes(all.min(total)), Bytes(total)));
            };
            let result = send_one(client, to, from, parcel, blob, &note);
            let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match result {
                Ok(Some(pushed)) => outcome.0.add(blob.size, pushed),
                Ok(None) => {
                    outcome.0.add(blob.size, Pushed::Present);
                    outcome.0.mounted += 1;
                }
                Err(error) => {
                    // The others stop after what they are at.
                    next.store(parcel.blobs.len(), Ordering::Relaxed);
                    outcome.1.get_or_insert(error);
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(parcel.blobs.len()) {
            scope.spawn(work);
        }
    });
    let (sent, error) = outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    error.map_or(Ok(sent), Err)
}

/// How one blob got there; none where it was mounted.
fn send_one(
    client: &Client,
    to: &Reference,
    from: Option<&Reference>,
    parcel: &Parcel,
    blob: &Descriptor,
    note: &dyn Fn(u64),
) -> Result<Option<Pushed>> {
    if let Some(from) = from
        && !client.has_blob(to, &blob.digest)?
        && client.mount_blob(to, from, &blob.digest)?
    {
        return Ok(None);
    }
    let path = parcel.layout.blob_path(&blob.digest);
    let mut open = || -> io::Result<Box<dyn Read>> {
        Ok(Box::new(BufReader::with_capacity(1 << 18, File::open(&path)?)))
    };
    client.push_blob(to, &mut open, &blob.digest, blob.size, note).map(Some)
}
