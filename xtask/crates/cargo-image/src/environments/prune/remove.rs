//! Deletes manifests, so that a killed run can be repeated.
//!
//! A tag is deleted before its manifests, so that nobody pulls an incomplete image. So that the next run finds
//! manifests without a tag, they are first listed in an index under a tag of its own, the journal, which is deleted
//! last.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::deleter::Deleter;
use super::listing::Listing;
use super::plan::{PrunePlan, Target, plan};
use super::retention::Retention;
use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_image::oci::{self, Annotations, Index};
use oci_registry::{Client, Reference};
use rust_workspace::tags::PRUNE_JOURNAL;

/// The result.
#[derive(Debug, Default)]
pub struct Removed {
    /// The number of deleted manifests.
    pub deleted: usize,
    /// Manifests that stay because a new tag reaches them.
    pub spared: BTreeSet<Digest>,
}

/// Deletes the manifests of the plan. `tell` gets the number of deleted ones.
pub fn remove(
    client: &Client,
    repository: &Reference,
    retention: &Retention,
    found: &PrunePlan,
    tell: &dyn Fn(usize),
) -> Result<Removed> {
    let mut removed = Removed::default();
    if found.targets.is_empty() && found.listing.journal.is_none() {
        return Ok(removed);
    }
    let with = Deleter::of(client, repository)?;
    let journal = write_journal(client, repository, found)?;
    let mut watch = Watch { client, repository, retention, listing: found.listing.clone() };
    let mut going: BTreeSet<Digest> = found.targets.iter().map(|target| target.digest).collect();
    for target in &found.targets {
        if let Some(may_go) = watch.look(target)? {
            going.retain(|digest| may_go.contains(digest));
        }
        if !going.contains(&target.digest) {
            removed.spared.insert(target.digest);
            continue;
        }
        let deleted = with.delete(target).with_context(|| {
            format!("{} of {} manifests are deleted", removed.deleted, found.manifests().count())
        })?;
        removed.deleted += usize::from(deleted);
        tell(removed.deleted);
    }
    for digest in journal {
        let list = Target { digest, manifest: None, tags: vec![PRUNE_JOURNAL.to_owned()] };
        with.delete(&list).context("the list of what went")?;
    }
    Ok(removed)
}

/// Writes the journal. Returns the journals to delete at the end: this one, and that of an earlier run.
fn write_journal(client: &Client, repository: &Reference, found: &PrunePlan) -> Result<BTreeSet<Digest>> {
    let mut lists: BTreeSet<_> = found.listing.journal.into_iter().collect();
    let manifests: Vec<_> = found.manifests().cloned().collect();
    if !manifests.is_empty() {
        let index = oci::to_bytes(&Index::new(manifests, Annotations::new()))?;
        let tag = repository.with_tag(PRUNE_JOURNAL)?;
        let written = client.put_manifest(&tag, &index, oci::INDEX);
        lists.insert(written.context(Fault::failed("nothing has been deleted").at(tag))?);
    }
    Ok(lists)
}

/// Reads the tags again before each deletion.
struct Watch<'a> {
    client: &'a Client,
    repository: &'a Reference,
    retention: &'a Retention,
    listing: Listing,
}

impl Watch<'_> {
    /// The manifests that may still be deleted; none if no tag has changed. Before a tagged manifest all tags are
    /// read, before others only those of environments, which a running promotion may write.
    fn look(&mut self, target: &Target) -> Result<Option<BTreeSet<Digest>>> {
        let now = if target.tags.is_empty() {
            self.kept_by_name()?
        } else {
            Listing::read(self.client, self.repository)?
        };
        if !now.has_news_since(&self.listing) {
            return Ok(None);
        }
        let again = plan(self.client, self.repository, self.retention)?;
        self.listing = again.listing;
        Ok(Some(again.targets.iter().map(|target| target.digest).collect()))
    }

    fn kept_by_name(&self) -> Result<Listing> {
        let mut now = Listing::default();
        for tag in &self.retention.tags {
            if let Some(head) = self.client.head_manifest(&self.repository.with_tag(tag)?)? {
                now.images.insert(tag.clone(), head.digest);
            }
        }
        Ok(now)
    }
}
