//! The plan: what is deleted and what stays.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::graph::Graph;
use super::listing::Listing;
use super::retained_by::{RetainedBy, holds};
use super::retention::Retention;
use cli_support::digest::Digest;
use oci_image::oci::{self, Descriptor, Index};
use oci_registry::{Client, Reference};

/// The most manifests of one run: their list must fit into a manifest of 4 MiB.
const MAX_CONCURRENT: usize = 10_000;

/// The plan.
#[derive(Debug, Clone, Default)]
pub struct PrunePlan {
    /// Tags to delete.
    pub tags: Vec<String>,
    /// Manifests to delete. Those with tags are first, so that no tag names an incomplete image.
    pub targets: Vec<Target>,
    /// The number of them that remain from an unfinished prune.
    pub remains: usize,
    /// Old tags that stay because a kept manifest has the same digest or reaches it.
    pub held: Vec<String>,
    /// Why each of them stays.
    pub held_by: BTreeMap<String, RetainedBy>,
    /// The number of tags that stay.
    pub kept: usize,
    /// Warnings.
    pub notes: Vec<String>,
    /// The tags on which the plan is based.
    pub listing: Listing,
}

/// A manifest to delete.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its digest.
    pub digest: Digest,
    /// Its descriptor; none where the manifest does not exist and only tags are left.
    pub manifest: Option<Descriptor>,
    /// Its tags.
    pub tags: Vec<String>,
}

impl PrunePlan {
    /// The existing manifests to delete.
    pub fn manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.targets.iter().filter_map(|target| target.manifest.as_ref())
    }
}

/// Makes the plan. Nothing is changed.
pub fn plan(client: &Client, repository: &Reference, retention: &Retention) -> Result<PrunePlan> {
    let listing = Listing::read(client, repository)?;
    let remains = remains(client, repository, &listing)?;
    let graph = Graph::read(client, repository, &listing, &remains)?;
    Ok(decide(listing, &graph, retention, &remains))
}

/// The manifests in the list of an unfinished prune.
fn remains(client: &Client, repository: &Reference, listing: &Listing) -> Result<Vec<Digest>> {
    let Some(journal) = listing.journal else { return Ok(Vec::new()) };
    let at = repository.with_digest(journal);
    let Some(manifest) = client.manifest_if_any(&at)? else { return Ok(Vec::new()) };
    let index: Index = oci::from_bytes(&at.to_string(), &manifest.bytes)?;
    Ok(index.manifests.iter().map(|entry| entry.digest).collect())
}

pub(super) fn decide(
    listing: Listing,
    graph: &Graph,
    retention: &Retention,
    remains: &[Digest],
) -> PrunePlan {
    let mut found = PrunePlan { notes: notes(&listing), ..PrunePlan::default() };
    let leaving = retention.leaving(listing.images.keys());
    let staying = listing.images.iter().filter(|(tag, _)| !leaving.contains(*tag));
    let mut kept = graph.kept(staying.map(|(_, digest)| digest));
    let mut going: BTreeMap<&String, Vec<Digest>> = BTreeMap::new();
    let mut later = 0;
    for tag in leaving.iter().filter(|tag| !kept.contains(&listing.images[*tag])) {
        if going.values().map(Vec::len).sum::<usize>() >= MAX_CONCURRENT {
            later += 1;
        } else {
            going.insert(tag, graph.going(&listing.images[tag]));
        }
    }
    if later > 0 {
        found.notes.push(format!("{later} more tags are left for the next run"));
    }
    // Manifests that are attached to a kept image stay, even if no tag names it.
    let gone: BTreeSet<_> = going.values().flatten().chain(remains).copied().collect();
    let attached = listing.attached.iter().filter(|(subject, _)| !gone.contains(subject));
    let attached = attached.flat_map(|(_, attached)| attached.iter().map(|(_, digest)| digest));
    kept.append(&mut graph.kept(attached.filter(|digest| !gone.contains(digest))));
    for tag in &leaving {
        match going.get(tag) {
            Some(_) if !kept.contains(&listing.images[tag]) => found.tags.push(tag.clone()),
            None if !kept.contains(&listing.images[tag]) => {}
            _ => found.held.push(tag.clone()),
        }
    }
    found.held_by = holds(&found.held, &leaving, &listing, graph);
    found.kept = listing.images.len() - found.tags.len();
    let tops = found.tags.iter().map(|tag| listing.images[tag]);
    let hanging = found.tags.iter().flat_map(|tag| &going[tag]).copied();
    let by_tags: BTreeSet<_> = tops.clone().chain(hanging.clone()).collect();
    let mut listed = BTreeSet::new();
    for digest in tops.chain(hanging).chain(remains.iter().copied()) {
        if kept.contains(&digest) || !listed.insert(digest) {
            continue;
        }
        let manifest = graph.get(&digest).map(|node| node.descriptor.clone());
        let tags = listing.tags_of(&digest);
        if manifest.is_some() || !tags.is_empty() {
            found.remains += usize::from(!by_tags.contains(&digest));
            found.targets.push(Target { digest, manifest, tags });
        }
    }
    found.listing = listing;
    found
}

fn notes(listing: &Listing) -> Vec<String> {
    let note = |tag: &String| format!("the tag '{tag}' stays: it is not valid in a request");
    listing.nameless.iter().map(note).collect()
}

#[cfg(test)]
pub mod tests {
    use super::super::graph::tests::{digest, graph};
    use super::*;
    use rust_workspace::tags::Names;

    /// Tags of images `tag=name`, and attached ones `name#list`.
    pub fn listing(words: &str) -> Listing {
        let mut listing = Listing::default();
        for word in words.split_whitespace() {
            if let Some((tag, name)) = word.split_once('=') {
                listing.images.insert(tag.to_owned(), digest(name));
            } else if let Some((subject, name)) = word.split_once('#') {
                let attached = listing.attached.entry(digest(subject)).or_default();
                attached.push((format!("sha256-{subject}"), digest(name)));
            }
        }
        listing
    }

    #[test]
    fn manifests_reachable_from_kept_images_are_kept() {
        let retention = Retention {
            versions: 1,
            tags: BTreeSet::from(["live".to_owned()]),
            drop: vec!["pr-".into()],
            names: Names::plain(),
        };
        for (what, tags, lines, remains, gone, held) in [
            ("old versions", "1.0.0=a 1.1.0=b", &["a: p", "b: q", "p:", "q:"][..], "", "a p", ""),
            ("an environment", "1.0.0=a 1.1.0=b live=a", &["a:", "b:"], "", "", "1.0.0"),
            ("a shared platform", "1.0.0=a 1.1.0=b", &["a: p q", "b: p", "p:", "q:"], "", "a q", ""),
            ("an index above", "1.0.0=a 1.1.0=b", &["a:", "b: a"], "", "", "1.0.0"),
            ("the same image twice", "1.0.0=a pr-1=a 1.1.0=b", &["a: p", "b:", "p:"], "", "a p", ""),
            ("a tagged referrer", "1.0.0=a note=n 1.1.0=b", &["a: <n", "n: ^a", "b:"], "", "", "1.0.0"),
            ("lists", "1.0.0=a 1.1.0=b a#l b#m", &["a: #l", "b: #m", "l:", "m:"], "", "a l", ""),
            ("one list for two", "1.0.0=a 1.1.0=b a#l b#l", &["a: #l", "b: #l", "l:"], "", "a", ""),
            ("a list of the unknown", "1.0.0=a 1.1.0=b x#l", &["a: p", "b:", "p:", "l: p"], "", "a", ""),
            ("remains", "1.1.0=b", &["b: q", "p:", "q:"], "p q x", "p", ""),
            ("a tag without its manifest", "1.0.0=a 1.1.0=b", &["b:"], "", "a", ""),
        ] {
            let remains: Vec<_> = remains.split_whitespace().map(digest).collect();
            let found = decide(listing(tags), &graph(lines), &retention, &remains);
            let targets: Vec<_> = found.targets.iter().map(|target| target.digest).collect();
            assert_eq!(targets, gone.split_whitespace().map(digest).collect::<Vec<_>>(), "{what}");
            assert_eq!(found.held.join(" "), held, "{what}");
        }
    }
}
