//! Requirements of an environment on an image.

use anyhow::Result;

use super::{PromoteWork, or_nothing};
use crate::environments::{History, Place};
use crate::verify::{State, verify};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_registry::Reference;

impl PromoteWork {
    /// Checks the image in its present repository.
    pub(super) fn demands(&mut self) -> Result<String> {
        let digest = self.digest()?;
        self.runs_in_from(digest)?;
        // An image that has been in the environment passed these checks then. A rollback does not need a new scan.
        let rolls_back = self.has_been_in(&self.setup.to, &digest)?;
        if let Some(after) = &self.setup.after
            && !rolls_back
            && self.running(after)? != Some(digest)
            && !self.has_been_in(after, &digest)?
        {
            let (after, to) = (&after.environment.name, &self.setup.to.environment.name);
            return Err(Fault::gate(format!("the image has never been in {after}, which {to} requires"))
                .at(self.setup.image.with_digest(digest))
                .hint(format!("cargo xtask promote {digest} --to {after}"))
                .into());
        }
        self.setup.demands.takes_older = rolls_back;
        self.verify(&self.setup.image)
    }

    fn has_been_in(&self, place: &Place, digest: &Digest) -> Result<bool> {
        Ok(History::read(&self.client, place, digest)?.has_been_there())
    }

    /// Checks that the environment `--from` still has the image. Another promotion may change that.
    pub(super) fn runs_in_from(&self, digest: Digest) -> Result<()> {
        let Some(from) = &self.setup.from else { return Ok(()) };
        let now = self.running(from)?;
        if now == Some(digest) {
            return Ok(());
        }
        let what = format!("{} has another image: {}", from.environment.name, or_nothing(now));
        Err(Fault::gate(what)
            .at(self.setup.image.with_digest(digest))
            .hint("cargo xtask environments lists the images; promote the one that is wanted")
            .into())
    }

    pub(super) fn verify(&self, at: &Reference) -> Result<String> {
        let (digest, setup) = (self.digest()?, &self.setup);
        let checks = verify(&self.client, at, &digest, &setup.demands, &setup.folder, setup.plain_http)?;
        let failed: Vec<_> = checks.iter().filter(|check| check.state == State::Failed).collect();
        if failed.is_empty() {
            let held = checks.iter().filter(|check| check.state == State::Ok).map(|check| check.name);
            let held = held.collect::<Vec<_>>().join(", ");
            let waived = checks.iter().filter(|check| check.state == State::Waived);
            let to = &setup.to.environment.name;
            return Ok(waived.fold(held, |text, check| {
                format!(
                    "{text}; {}: {}, waived because {to} has had the image before",
                    check.name, check.detail
                )
            }));
        }
        let lines: Vec<_> = failed.iter().map(|check| format!("{}: {}", check.name, check.detail)).collect();
        let what = format!("{} requires more: {}", setup.to.environment.name, lines.join("; "));
        Err(Fault::gate(what).at(at.with_digest(digest)).into())
    }
}
