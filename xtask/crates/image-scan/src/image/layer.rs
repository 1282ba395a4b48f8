//! The bytes of one layer: decompression, limits and digests.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use anyhow::Result;
use flate2::bufread::MultiGzDecoder;

use super::tar_entries::{Entry, entries};
use super::zstd;
use cli_support::digest::{Digest, Hasher};
use cli_support::error::Fault;
use oci_image::oci::Descriptor;

/// The media type of an uncompressed layer.
pub const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// How much of the machine a layer may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the uncompressed layer.
    pub unpacked: u64,
    /// The ratio is checked from this many uncompressed bytes on.
    pub ratio_from: u64,
    /// Uncompressed bytes for each compressed one. Deflate reaches 1032; real layers seldom exceed 10.
    pub ratio: u64,
    /// Entries.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 16 << 30, ratio_from: 256 << 20, ratio: 100, entries: 2_000_000 }
    }
}

/// Calls `each` with every entry of a layer and a reader of its content.
///
/// # Errors
/// The layer is over a limit, or does not have the digests in the manifest and in the config (`diff_id`).
pub fn read(
    blob: File,
    layer: &Descriptor,
    diff_id: &Digest,
    limits: Limits,
    mut each: impl FnMut(Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    // The compression ratio is computed from the descriptor's size.
    let length = blob.metadata()?.len();
    if length != layer.size {
        let what = format!("the layer has {length} bytes, but its descriptor says {}", layer.size);
        return Err(Fault::gate(what).into());
    }
    let hashed = Metered { inner: blob, hasher: Hasher::new(), max: u64::MAX, passed: 0 };
    let mut packed = BufReader::with_capacity(1 << 17, hashed);
    let seen_diff = {
        let inner = decompress(&mut packed, layer)?;
        let max = limits.unpacked.min(limits.ratio_from.max(layer.size.saturating_mul(limits.ratio)));
        let mut tar = Metered { inner, hasher: Hasher::new(), max, passed: 0 };
        entries(&mut tar, limits.entries, &mut each)?;
        tar.hasher.finish().0
    };
    io::copy(&mut packed, &mut io::sink())?;
    let (seen, size) = packed.into_inner().hasher.finish();
    if (seen, size) != (layer.digest, layer.size) {
        let what = format!("the layer has the digest {seen}, but its descriptor says {}", layer.digest);
        return Err(Fault::failed(what).into());
    }
    if *diff_id != seen_diff {
        let what =
            format!("the uncompressed layer has the digest {seen_diff}, but the config says {diff_id}");
        return Err(Fault::failed(what).into());
    }
    Ok(())
}

fn decompress<'a>(packed: &'a mut impl BufRead, layer: &Descriptor) -> Result<Box<dyn Read + 'a>, Fault> {
    match layer.media_type.as_str() {
        TAR | DOCKER_TAR => Ok(Box::new(packed)),
        kind if kind.ends_with("zstd") => Ok(Box::new(zstd::Decoder::new(packed))),
        kind if kind.ends_with("gzip") => Ok(Box::new(MultiGzDecoder::new(packed))),
        kind => Err(Fault::failed(format!("cannot read a layer of the type '{kind}'"))
            .hint("push the image with layers in plain tar, gzip or zstd, without encryption")),
    }
}

/// Hashes and counts the bytes that are read, and fails at a limit.
struct Metered<R> {
    inner: R,
    hasher: Hasher,
    max: u64,
    passed: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.passed += read as u64;
        if self.passed > self.max {
            let what = format!(
                "the layer decompresses to more than {} bytes, the limit for its compressed size (decompression bomb)",
                self.max
            );
            return Err(io::Error::other(what));
        }
        io::Write::write_all(&mut self.hasher, &buffer[..read])?;
        Ok(read)
    }
}
