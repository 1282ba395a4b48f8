//! What goes and what stays, at one moment.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::keep::Keep;
use super::listing::Listing;
use super::reach::Reach;
use crate::digest::Digest;
use crate::image::oci::{self, Descriptor, Index};
use crate::registry::{Client, Reference};

/// What there is, what goes, what stays.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// Tags that go.
    pub tags: Vec<String>,
    /// What goes: first what has the tags, so that no tag is ever on half an image.
    pub targets: Vec<Target>,
    /// How many of those are left of a prune that broke off.
    pub remains: usize,
    /// Tags that were to go, and stay because something kept has the same digest or leads there.
    pub held: Vec<String>,
    /// How many tags stay.
    pub kept: usize,
    /// What a person should know.
    pub notes: Vec<String>,
    /// The tags that this was found by.
    pub listing: Listing,
}

/// Something that goes.
#[derive(Debug, Clone)]
pub struct Target {
    /// A manifest's digest.
    pub digest: Digest,
    /// The manifest; none where it is gone already, and only tags are left of it.
    pub manifest: Option<Descriptor>,
    /// Its tags.
    pub tags: Vec<String>,
}

impl Sweep {
    /// The manifests that go.
    pub fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.targets.iter().filter_map(|target| target.manifest.as_ref())
    }
}

/// Finds out what may go. Nothing is changed.
pub fn sweep(client: &Client, repository: &Reference, keep: &Keep) -> Result<Sweep> {
    let listing = Listing::read(client, repository)?;
    let mut found = Sweep { notes: notes(&listing), ..Sweep::default() };
    let leaving = keep.leaving(listing.images.keys());
    let mut reach = Reach::new(client, repository, &listing);
    let mut kept = BTreeSet::new();
    for (tag, digest) in listing.images.iter().filter(|(tag, _)| !leaving.contains(*tag)) {
        kept.append(&mut reach.kept(digest).with_context(|| format!("what {tag} leads to"))?);
    }
    let mut going: BTreeMap<&String, Vec<Digest>> = BTreeMap::new();
    for tag in leaving.iter().filter(|tag| !kept.contains(&listing.images[*tag])) {
        let all = reach.going(&listing.images[tag]).with_context(|| format!("what {tag} leads to"))?;
        going.insert(tag, all);
    }
    let remains = remains(client, repository, &listing)?;
    // What is attached to an image that has no tag and does not go stays with it.
    let gone: BTreeSet<_> = going.values().flatten().chain(&remains).copied().collect();
    for (subject, attached) in &listing.attached {
        if !gone.contains(subject) {
            for (_, digest) in attached.iter().filter(|(_, digest)| !gone.contains(digest)) {
                kept.append(&mut reach.kept(digest)?);
            }
        }
    }
    for tag in &leaving {
        let goes = going.contains_key(tag) && !kept.contains(&listing.images[tag]);
        if goes { &mut found.tags } else { &mut found.held }.push(tag.clone());
    }
    found.kept = listing.images.len() - found.tags.len();
    let tops = found.tags.iter().map(|tag| listing.images[tag]);
    let hanging = found.tags.iter().flat_map(|tag| &going[tag]).copied();
    let by_tags: BTreeSet<_> = tops.clone().chain(hanging.clone()).collect();
    let mut listed = BTreeSet::new();
    for digest in tops.chain(hanging).chain(remains) {
        if kept.contains(&digest) || !listed.insert(digest) {
            continue;
        }
        let (manifest, tags) = (reach.descriptor(&digest)?, listing.tags_of(&digest));
        if manifest.is_some() || !tags.is_empty() {
            found.remains += usize::from(!by_tags.contains(&digest));
            found.targets.push(Target { digest, manifest, tags });
        }
    }
    found.listing = listing;
    Ok(found)
}

/// What the list of an earlier prune names.
fn remains(client: &Client, repository: &Reference, listing: &Listing) -> Result<Vec<Digest>> {
    let Some(journal) = listing.journal else { return Ok(Vec::new()) };
    let at = repository.with_digest(journal);
    let Some(manifest) = client.manifest_if_any(&at)? else { return Ok(Vec::new()) };
    let index: Index = oci::from_bytes(&at.to_string(), &manifest.bytes)?;
    Ok(index.manifests.iter().map(|entry| entry.digest).collect())
}

fn notes(listing: &Listing) -> Vec<String> {
    let note = |tag: &String| format!("the tag '{tag}' is left alone: no request can name it");
    listing.nameless.iter().map(note).collect()
}
