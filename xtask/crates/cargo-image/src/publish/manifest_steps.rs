//! The manifests: first those that name only blobs, the documents' among them, then the index with the list of
//! documents.

use anyhow::Result;

use super::attach::{self, AttachMode};
use super::report::Attached;
use super::work::{Attachment, PublishWork};
use cli_support::digest::Digest;
use cli_support::threads::{at_once, joined};
use oci_image::oci::Descriptor;

impl PublishWork {
    /// Puts all manifests in two round trips; the second one also proves what is below a tag.
    pub(super) fn manifests(&mut self) -> Result<String> {
        let put = |entry: &Descriptor| {
            if !self.inventory.manifests.contains(&entry.digest) {
                let at = self.setup.to.with_digest(entry.digest);
                self.client.put_manifest(&at, &self.bundle.layout.read(entry)?, &entry.media_type)?;
            }
            Ok(())
        };
        let attached = std::thread::scope(|scope| {
            let referrers = scope.spawn(|| self.put_referrers());
            at_once(&self.bundle.manifests, put)?;
            joined(referrers)
        })?;
        let (attachment, proof) = std::thread::scope(|scope| {
            let listed = scope.spawn(|| self.list_referrers(attached));
            let proof = scope.spawn(|| self.wants_tags().then(|| self.prove(false)).transpose());
            // A registry takes an index only when it has what that names.
            put(&self.bundle.top)?;
            anyhow::Ok((joined(listed)?, joined(proof)?))
        })?;
        (self.attachment, self.proof) = (attachment, proof);
        Ok(self.bundle.digest().to_string())
    }

    /// Puts the referrers that are not there or not listed.
    fn put_referrers(&self) -> Result<Attachment> {
        let is_there = |digest: &Digest| {
            self.inventory.manifests.contains(digest) && self.inventory.listed.contains(digest)
        };
        if self.referrers()?.iter().all(is_there) {
            return Ok(Attachment::Listed);
        }
        let put = attach::refer(&self.client, &self.setup.to, &self.bundle.top, &self.artifacts)?;
        Ok(put.map_or_else(Attachment::Refused, Attachment::Put))
    }

    fn list_referrers(&self, attachment: Attachment) -> Result<Attachment> {
        let Attachment::Put(put) = attachment else { return Ok(attachment) };
        let listed = self.client.list_referrers(&self.setup.to, &put)?;
        Ok(listed.map_or_else(Attachment::Refused, |()| Attachment::Put(put)))
    }

    /// Settles whether the documents are attached, as far as that must be known before a tag is put.
    pub(super) fn attach(&mut self) -> Result<String> {
        if matches!(self.attachment, Attachment::Refused(_)) {
            // A registry may refuse a referrer of what it does not have, and have it now.
            self.attachment = self.list_referrers(self.put_referrers()?)?;
        }
        let attachment = std::mem::replace(&mut self.attachment, Attachment::Listed);
        if let Attachment::Refused(why) = attachment {
            return self.leave_out(why);
        }
        self.is_kept = matches!(attachment, Attachment::Listed);
        if self.setup.keep_first && !self.is_kept {
            // A registry may take note of a referrer and not list it.
            if let Err(unlisted) = self.keep() {
                return self.leave_out(unlisted);
            }
            self.is_kept = true;
        }
        let digests = self.referrers()?;
        let attached = self.artifacts.iter().zip(digests);
        self.attached.extend(
            attached.map(|(artifact, digest)| Attached { artifact_type: artifact.kind.to_owned(), digest }),
        );
        let kinds: Vec<_> = self.attached.iter().map(|one| one.artifact_type.as_str()).collect();
        Ok(kinds.join(", "))
    }

    /// Sees to it that the documents are listed.
    pub(super) fn keep(&self) -> Result<()> {
        attach::keep(&self.client, &self.setup.to, &self.bundle.top, &self.artifacts)
    }

    /// Goes on without documents where the registry takes none.
    pub(super) fn leave_out(&mut self, why: anyhow::Error) -> Result<String> {
        if self.setup.attach == AttachMode::Require {
            return Err(why.context("--attach require"));
        }
        self.artifacts.clear();
        self.attached.clear();
        self.warnings.push(format!("nothing is attached to the image: {why:#}"));
        Ok("nothing: the registry takes no referrers".to_owned())
    }

    /// The digests of the documents' manifests.
    pub(super) fn referrers(&self) -> Result<Vec<Digest>> {
        let manifest = |artifact: &attach::Artifact| Ok(Digest::of(&artifact.manifest(&self.bundle.top)?));
        self.artifacts.iter().map(manifest).collect()
    }

    /// Whether a tag does not name the image yet.
    pub(super) fn wants_tags(&self) -> bool {
        let ours = Some(self.bundle.digest());
        self.setup.tags.iter().any(|tag| self.inventory.tags.get(&tag.name).copied().flatten() != ours)
    }
}
