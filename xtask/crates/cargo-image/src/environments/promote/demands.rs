//! What an environment demands of an image before it takes it.

use anyhow::Result;

use super::{PromoteWork, or_nothing};
use crate::environments::{History, Place};
use crate::verify::{State, verify};
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_registry::Reference;

impl PromoteWork {
    /// Holds the image against all of it, where it is now.
    pub(super) fn demands(&mut self) -> Result<String> {
        let digest = self.digest()?;
        self.runs_in_from(digest)?;
        // What has been in the environment itself was in the other one before, and had a young scan then: it
        // is rolled back to, also where the other one has forgotten it and nobody could scan it again.
        let rolls_back = self.has_been_in(&self.setup.to, &digest)?;
        if let Some(after) = &self.setup.after
            && !rolls_back
            && self.running(after)? != Some(digest)
            && !self.has_been_in(after, &digest)?
        {
            let (after, to) = (&after.environment.name, &self.setup.to.environment.name);
            return Err(Fault::gate(format!("it has never been in {after}, and {to} wants that"))
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

    /// That the environment which it is taken from still has it: that may change while it is checked.
    pub(super) fn runs_in_from(&self, digest: Digest) -> Result<()> {
        let Some(from) = &self.setup.from else { return Ok(()) };
        let now = self.running(from)?;
        if now == Some(digest) {
            return Ok(());
        }
        let what = format!("it does not run in {}: {} does", from.environment.name, or_nothing(now));
        Err(Fault::gate(what)
            .at(self.setup.image.with_digest(digest))
            .hint("cargo xtask environments shows what runs where; promote again what is meant")
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
                format!("{text}; {}: {}, and {to} has run it before", check.name, check.detail)
            }));
        }
        let lines: Vec<_> = failed.iter().map(|check| format!("{}: {}", check.name, check.detail)).collect();
        let what = format!("{} does not take it: {}", setup.to.environment.name, lines.join("; "));
        Err(Fault::gate(what).at(at.with_digest(digest)).into())
    }
}
