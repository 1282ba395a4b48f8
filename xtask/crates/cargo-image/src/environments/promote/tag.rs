//! Writes an environment's tag. Of two promotions at the same time one wins, and the other fails.
//!
//! Registries have no conditional writes. The tag is read before each attempt to write it, and again after a pause. A
//! write that the registry delays for longer than the pause looks like a later promotion.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{PromoteWork, or_nothing};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::time::{now, rfc3339};
use oci_image::oci::{self, Index};

/// The pause before the tag is read again. Two promotions that start at the same time have both written by then. It is
/// longer where the registry is slow.
pub(super) const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_AT_MOST: Duration = Duration::from_secs(10);

impl PromoteWork {
    pub(super) fn tag(&mut self) -> Result<String> {
        let digest = self.digest()?;
        if self.previous == Some(digest) {
            return match self.running(&self.setup.to)? {
                Some(now) if now == digest => Ok("the tag already names it".to_owned()),
                now => Err(self.lost(now, false)),
            };
        }
        self.runs_in_from(digest)?;
        let record = self.record_of(digest);
        let begun = record.begin(&self.client, &self.setup.to)?;
        let took = self.write(digest)?;
        self.written = Some((record, begun, rfc3339(now())));
        std::thread::sleep(SETTLE.max(took * 2).min(SETTLE_AT_MOST));
        let now = self.running(&self.setup.to)?;
        if now != Some(digest) {
            return Err(self.lost(now, true));
        }
        self.is_whole(digest)?;
        Ok(self.setup.to.at.to_string())
    }

    /// Writes the tag if it still names the earlier image. Returns the duration of the attempt that succeeded.
    fn write(&self, digest: Digest) -> Result<Duration> {
        let manifest = self.client.manifest(&self.setup.image.with_digest(digest))?;
        let mut looked = Instant::now();
        let mut may = || {
            looked = Instant::now();
            let now = self.running(&self.setup.to)?;
            match now == Some(digest) {
                // An earlier attempt succeeded and only its answer was lost, or another run wrote the same.
                true => Ok(false),
                false if now == self.previous => Ok(true),
                false => Err(self.lost(now, false)),
            }
        };
        self.client.put_manifest_if(&self.setup.to.at, &manifest.bytes, &manifest.media_type, &mut may)?;
        Ok(looked.elapsed())
    }

    /// Checks that no part of the image was deleted during the promotion.
    fn is_whole(&self, digest: Digest) -> Result<()> {
        let at = &self.setup.to.at;
        let top = self.client.manifest(&at.with_digest(digest))?;
        if oci::is_index(&top.media_type) {
            let index: Index = oci::from_bytes(&digest.to_string(), &top.bytes)?;
            for entry in &index.manifests {
                if self.client.head_manifest(&at.with_digest(entry.digest))?.is_none() {
                    return Err(Fault::failed(format!(
                        "the image is incomplete: {} was deleted",
                        entry.digest
                    ))
                    .at(at)
                    .hint("publish it again, or promote another version")
                    .into());
                }
            }
        }
        Ok(())
    }

    /// The error where the tag names another image. If that is the earlier image, no other promotion wrote it.
    fn lost(&self, now: Option<Digest>, written: bool) -> anyhow::Error {
        let to = &self.setup.to;
        if written && now == self.previous {
            let what =
                format!("the registry accepted the tag but does not return it: it names {}", or_nothing(now));
            return Fault::failed(what)
                .at(&to.at)
                .hint("promote again; if that fails too, report it to the registry's operator")
                .into();
        }
        let what = format!(
            "another promotion to {} was faster: the tag names {}",
            to.environment.name,
            or_nothing(now)
        );
        Fault::failed(what)
            .at(&to.at)
            .hint("cargo xtask environments lists the images; promote again if this image is still wanted")
            .into()
    }
}
