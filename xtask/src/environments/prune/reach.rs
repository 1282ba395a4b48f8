//! Following manifests to all that hangs on them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::listing::Listing;
use crate::digest::Digest;
use crate::environments::subject_of;
use crate::image::oci::{self, Annotations, Descriptor, Index};
use crate::registry::{Client, Reference};

/// A manifest, as far as it matters here.
#[derive(Debug, Clone)]
struct Node {
    descriptor: Descriptor,
    /// What it lists, where it is an index.
    entries: Vec<Digest>,
    subject: Option<Digest>,
    /// What a list of referrers has of it, true or not.
    referrers: Vec<Digest>,
}

/// The manifests of a repository, each asked for once.
pub struct Reach<'a> {
    client: &'a Client,
    repository: &'a Reference,
    listing: &'a Listing,
    nodes: BTreeMap<Digest, Option<Node>>,
}

impl<'a> Reach<'a> {
    /// Nothing has been asked for yet.
    pub fn new(client: &'a Client, repository: &'a Reference, listing: &'a Listing) -> Self {
        Self { client, repository, listing, nodes: BTreeMap::new() }
    }

    /// All that stays where this manifest stays: what it lists, what refers to it, what it refers to.
    pub fn kept(&mut self, digest: &Digest) -> Result<BTreeSet<Digest>> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![*digest];
        while let Some(digest) = waiting.pop() {
            if !seen.insert(digest) {
                continue;
            }
            waiting.extend(self.listing.attached_to(&digest));
            if let Some(node) = self.node(&digest)? {
                waiting.extend(node.entries.iter().chain(&node.referrers).chain(&node.subject));
            }
        }
        Ok(seen)
    }

    /// All that goes where this manifest goes, each before what hangs on it: what it lists, and what really
    /// refers to it or to that. Parts may be gone already.
    pub fn going(&mut self, digest: &Digest) -> Result<Vec<Digest>> {
        let (mut all, mut lists) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut waiting = vec![*digest];
        while let Some(digest) = waiting.pop() {
            if !seen.insert(digest) {
                continue;
            }
            lists.extend(self.listing.attached_to(&digest));
            let Some(node) = self.node(&digest)?.cloned() else { continue };
            all.push(digest);
            for referrer in &node.referrers {
                if self.node(referrer)?.is_some_and(|referrer| referrer.subject == Some(digest)) {
                    waiting.push(*referrer);
                }
            }
            waiting.extend(node.entries);
        }
        for list in lists {
            if seen.insert(list) && self.node(&list)?.is_some() {
                all.push(list);
            }
        }
        Ok(all)
    }

    /// What a list of manifests would say of this one; none where it is gone.
    pub fn descriptor(&mut self, digest: &Digest) -> Result<Option<Descriptor>> {
        Ok(self.node(digest)?.map(|node| node.descriptor.clone()))
    }

    fn node(&mut self, digest: &Digest) -> Result<Option<&Node>> {
        if !self.nodes.contains_key(digest) {
            let node = self.ask(digest)?;
            self.nodes.insert(*digest, node);
        }
        Ok(self.nodes.get(digest).and_then(Option::as_ref))
    }

    fn ask(&self, digest: &Digest) -> Result<Option<Node>> {
        let Some(manifest) = self.client.manifest_if_any(&self.repository.with_digest(*digest))? else {
            return Ok(None);
        };
        let mut entries = Vec::new();
        if oci::is_index(&manifest.media_type) {
            let index: Index = oci::from_bytes(&digest.to_string(), &manifest.bytes)?;
            entries.extend(index.manifests.iter().map(|entry| entry.digest));
        }
        let referrers = self.client.referrers(self.repository, digest, None)?;
        Ok(Some(Node {
            descriptor: Descriptor {
                media_type: manifest.media_type,
                digest: *digest,
                size: manifest.bytes.len() as u64,
                platform: None,
                annotations: Annotations::new(),
            },
            entries,
            subject: subject_of(&manifest.bytes),
            referrers: referrers.iter().map(|referrer| referrer.digest).collect(),
        }))
    }
}
