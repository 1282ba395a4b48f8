//! Writing an environment's tag, so that of two promotions at once one wins and the other learns of it.
//!
//! Registries know no conditional writes. The tag is looked at before each try to write it and once more
//! when all who looked at the same moment have written. What remains is a write that the registry holds up
//! for longer than that: it comes out as a promotion after the other one, which it did not know of.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{PromoteWork, or_nothing};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use cli_support::time::{now, rfc3339};
use oci_image::oci::{self, Index};

/// How long after a promotion the tag is looked at once more: two that begin at the same moment have both
/// written by then. Longer where the registry takes long to write.
pub(super) const SETTLE: Duration = Duration::from_millis(300);
const SETTLE_AT_MOST: Duration = Duration::from_secs(10);

impl PromoteWork {
    pub(super) fn tag(&mut self) -> Result<String> {
        let digest = self.digest()?;
        if self.previous == Some(digest) {
            return match self.running(&self.setup.to)? {
                Some(now) if now == digest => Ok("it runs there already".to_owned()),
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

    /// Puts the image under the environment's tag, if what ran there still does; how long the try took that
    /// arrived.
    fn write(&self, digest: Digest) -> Result<Duration> {
        let manifest = self.client.manifest(&self.setup.image.with_digest(digest))?;
        let mut looked = Instant::now();
        let mut may = || {
            looked = Instant::now();
            let now = self.running(&self.setup.to)?;
            match now == Some(digest) {
                // An earlier try arrived, and only its answer was lost; or another run wants the same.
                true => Ok(false),
                false if now == self.previous => Ok(true),
                false => Err(self.lost(now, false)),
            }
        };
        self.client.put_manifest_if(&self.setup.to.at, &manifest.bytes, &manifest.media_type, &mut may)?;
        Ok(looked.elapsed())
    }

    /// That nobody deleted parts of the image while it was promoted.
    fn is_whole(&self, digest: Digest) -> Result<()> {
        let at = &self.setup.to.at;
        let top = self.client.manifest(&at.with_digest(digest))?;
        if oci::is_index(&top.media_type) {
            let index: Index = oci::from_bytes(&digest.to_string(), &top.bytes)?;
            for entry in &index.manifests {
                if self.client.head_manifest(&at.with_digest(entry.digest))?.is_none() {
                    return Err(Fault::failed(format!("it is incomplete: {} is gone", entry.digest))
                        .at(at)
                        .hint("it was deleted meanwhile: publish it again, or promote another version")
                        .into());
                }
            }
        }
        Ok(())
    }

    /// Why the tag names something else. Where that is what it named before the write, nobody came in between.
    fn lost(&self, now: Option<Digest>, written: bool) -> anyhow::Error {
        let to = &self.setup.to;
        if written && now == self.previous {
            let what =
                format!("the registry took this tag and does not have it: {} runs there", or_nothing(now));
            return Fault::failed(what)
                .at(&to.at)
                .hint("promote again; where that changes nothing, something in front of the registry drops writes")
                .into();
        }
        let what = format!(
            "another promotion to {} came in between: {} runs there",
            to.environment.name,
            or_nothing(now)
        );
        Fault::failed(what)
            .at(&to.at)
            .hint("see what runs there, cargo xtask environments, and promote again if it is still wanted")
            .into()
    }
}
